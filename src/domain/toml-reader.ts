import TOMLParser from '@iarna/toml/lib/toml-parser.js';
import type { KeyPath } from './problems.ts';

/**
 * The TOML library's parser, made safe and made to remember places.
 *
 * Safe: the library writes below whatever it finds under a key, inherited members included, so that a file with
 * `[hasOwnProperty]` and `call = 1` breaks every later parse of the process. Each key is therefore judged before the
 * library sees it. Its front also quotes the source in errors, which this one never does.
 */

/** Why a text is no TOML that we take. `offset` counts UTF-16 units; the message quotes nothing of the text. */
export class TomlError extends Error {
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.name = 'TomlError';
    this.offset = offset;
  }
}

export interface TomlTree {
  /** The library's own tables: numbers may be bigint or not finite, dates that no field can use are invalid Dates. */
  readonly root: Readonly<Record<string, unknown>>;
  /** Offset of the key (or of the list's item) at this path; undefined where it is not written. */
  offsetOf(path: KeyPath): number | undefined;
}

/** Throws TomlError, and nothing else, for any text. */
export function readToml(text: string): TomlTree {
  const reader = new TomlReader(text);
  try {
    reader.parse(`${text}\n`);
    const root = reader.finish();
    return { root, offsetOf: (path) => reader.offsetOf(root, path) };
  } catch (error) {
    throw error instanceof TomlError ? error : reader.explain(error);
  }
}

const DOT = 0x2e;
const CLOSING_BRACKET = 0x5d;

class TomlReader extends TOMLParser {
  readonly #text: string;
  readonly #places = new WeakMap<object, Map<string, number>>();
  /** Where the key begins that was read last, where the value begins that was returned last. */
  #keyAt = 0;
  #valueAt = 0;
  #keysAt: readonly number[] = [];

  constructor(text: string) {
    super();
    this.#text = text;
  }

  offsetOf(root: object, path: KeyPath): number | undefined {
    let offset: number | undefined;
    let table: unknown = root;
    for (const key of path) {
      if (typeof table !== 'object' || table === null) return undefined;
      offset = this.#places.get(table)?.get(String(key));
      if (offset === undefined) return undefined;
      table = (table as Record<string, unknown>)[key];
    }
    return offset;
  }

  /** Our own words for what the library threw. */
  explain(error: unknown): TomlError {
    const said = error instanceof Error ? error.message : '';
    const known = WORDS.find(([part]) => said.includes(part));
    const offset = said.includes('redefine') ? this.#keyAt : this.ii;
    return new TomlError(known?.[1] ?? 'this is no TOML', Math.min(offset, this.#text.length));
  }

  protected override parseKeyword(): unknown {
    this.#keyAt = this.ii;
    return super.parseKeyword();
  }

  protected override recordAssignKeyword(key: string): unknown {
    this.#refuseUnsafe(key);
    this.state.keysAt = [...(this.state.keysAt ?? []), this.#keyAt];
    return super.recordAssignKeyword(key);
  }

  protected override parseValue(): unknown {
    this.state.at ??= this.ii;
    return super.parseValue();
  }

  protected override return(value?: unknown): void {
    if (this.state.at !== undefined) this.#valueAt = this.state.at;
    super.return(value);
  }

  protected override recordAssignValue(value: unknown): unknown {
    this.#keysAt = this.state.keysAt ?? [];
    this.#keyAt = this.#keysAt[0] ?? this.#keyAt;
    return super.recordAssignValue(this.#usable(value));
  }

  protected override recordAssignStatement(kv: { key: string[]; value: unknown }): unknown {
    const { ctx } = this;
    const keys = [...kv.key];
    const next = super.recordAssignStatement(kv);
    this.#markAll(ctx, keys);
    return next;
  }

  protected override recordInlineTableValue(kv: { key: string[]; value: unknown }): unknown {
    const { state } = this;
    const keys = [...kv.key];
    const keysAt = this.#keysAt;
    const next = super.recordInlineTableValue(kv);
    this.#keysAt = keysAt;
    this.#markAll(state.resultTable as object, keys);
    return next;
  }

  protected override recordInlineListValue(value: unknown): unknown {
    const { state } = this;
    const at = this.#valueAt;
    const next = super.recordInlineListValue(this.#usable(value));
    const list = state.resultArr ?? [];
    this.#mark(list, String(list.length - 1), at);
    return next;
  }

  protected override parseTableMore(key: string): unknown {
    this.#refuseUnsafe(key);
    const { ctx, char } = this;
    const next = super.parseTableMore(key);
    if (char === CLOSING_BRACKET || char === DOT) this.#mark(ctx, key, this.#keyAt);
    return next;
  }

  protected override parseListMore(key: string): unknown {
    this.#refuseUnsafe(key);
    const { ctx, char } = this;
    const next = super.parseListMore(key);
    if (char === CLOSING_BRACKET || char === DOT) this.#mark(ctx, key, this.#keyAt);
    const list = ctx[key];
    if (char === CLOSING_BRACKET && Array.isArray(list)) this.#mark(list, String(list.length - 1), this.#keyAt);
    return next;
  }

  #refuseUnsafe(key: string): void {
    if (key !== 'prototype' && !(key in Object.prototype)) return;
    throw new TomlError('a key is named like a built-in member of objects', this.#keyAt);
  }

  /** Dates without zone and days that no calendar has (the library moves 31 February to March) become invalid Dates. */
  #usable(value: unknown): unknown {
    if (!(value instanceof Date)) return value;
    const [, year, month, day] = /^(\d{4})-(\d\d)-(\d\d)[Tt ]/.exec(this.#text.slice(this.#valueAt)) ?? [];
    const days = new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate();
    const isLocal = 'isDate' in value || 'isTime' in value || 'isFloating' in value;
    return isLocal || !(Number(day) <= days) ? new Date(Number.NaN) : value;
  }

  #markAll(table: object, keys: readonly string[]): void {
    let inner: unknown = table;
    for (const [index, key] of keys.entries()) {
      if (typeof inner !== 'object' || inner === null) return;
      this.#mark(inner, key, this.#keysAt[index] ?? this.#keyAt);
      inner = (inner as Record<string, unknown>)[key];
    }
  }

  /** The first place counts: a table that is opened twice begins where it is named first. */
  #mark(table: object, key: string, at: number): void {
    const places = this.#places.get(table) ?? new Map<string, number>();
    if (!places.has(key)) places.set(key, at);
    this.#places.set(table, places);
  }
}

/** What the library says (a part of it) → what we say. */
const WORDS: readonly (readonly [string, string])[] = [
  ['Unexpected character, expecting string', 'a value is missing or a text has no quotes'],
  ['redefine', 'a key or table is written twice'],
  ["Can't extend", 'a list or table that is closed already is extended'],
  ['Unterminated string', 'a text is not closed before its line ends'],
  ['Unterminated multi-line', 'a text of several lines is not closed before the file ends'],
  ['Unterminated inline array', 'a list or an inline table is not closed, or an inline table goes over several lines'],
  ['Trailing commas', 'an inline table ends with a comma'],
  ['Empty elements', 'two commas follow each other'],
  ['Control characters', 'a control character is not written as an escape'],
  ['Unknown escape', 'a backslash is followed by something that is no escape; write \\\\ or use single quotes'],
  ['unicode', 'an escape names no character'],
  ["Can't escape whitespace", 'a backslash is followed by a space'],
  ['boolean', 'a value is neither true nor false, and texts need quotes'],
  ['Key without value', 'a key has no value'],
  ['Key ended without value', 'a key has no value'],
  ['Empty bare keys', 'a key is missing'],
  ['expected "="', 'a key is not followed by ='],
  ['till end of line', 'something follows that does not belong to the value before it'],
  ['comma (,) or close bracket', 'a comma or a closing bracket is missing'],
  ['expected whitespace, . or ]', 'the name of a table is not closed by ]'],
  ['year part', 'a number begins with 0, or a date-time is not of the form 2026-04-01T08:00:00Z'],
  ['date', 'a date-time is not of the form 2026-04-01T08:00:00Z'],
  ['Date', 'a date-time is not of the form 2026-04-01T08:00:00Z'],
  ['time', 'a date-time is not of the form 2026-04-01T08:00:00Z'],
  ['number', 'a number is incomplete'],
  ['digit', 'a number is incomplete'],
  ['"inf"', 'a value is missing or a text has no quotes'],
  ['"nan"', 'a value is missing or a text has no quotes'],
  ['Unknown character', 'a line begins with something that is no key'],
];
