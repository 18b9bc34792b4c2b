import type { Code, Problem } from '../errors.ts';
import { fieldName, type KeyPath, type Parsed, type Place, parsedFrom, problem } from './problems.ts';
import { unsafeCharacter, unsafeCharacters, withoutUnsafe } from './text.ts';
import { readToml, TomlError, type TomlTree } from './toml-reader.ts';

export interface TomlOptions {
  readonly maxBytes: number;
  /** Code of a file that is no TOML. */
  readonly syntaxCode: Code;
}

/** A file as far as it can be read. `value` is null only where nothing of it can be. */
export interface TomlFile {
  readonly value: Record<string, unknown> | null;
  readonly problems: readonly Problem[];
  readonly locate: (key: KeyPath) => Place | undefined;
}

/**
 * Bytes of a TOML file → its plain value. Numbers beyond 2^53 come as bigint, date-times as Date (an invalid one where
 * the text has no time zone or names no day), `inf` and `nan` as they are: schemas refuse what they have no use for.
 * Never throws.
 */
export function parseTomlFile(bytes: Uint8Array, path: string, options: TomlOptions): Parsed<Record<string, unknown>> {
  const { value, problems } = readTomlFile(bytes, path, options);
  return parsedFrom(value ?? undefined, problems);
}

/** As `parseTomlFile`, and goes on where it can, so that whoever knows the fields can name their problems as well. */
export function readTomlFile(bytes: Uint8Array, path: string, options: TomlOptions): TomlFile {
  const text = decode(bytes, path, options.maxBytes);
  if (typeof text !== 'string') return { value: null, problems: [text], locate: () => undefined };
  const unsafe = unsafeCharacters(text);
  const problems = unsafe.slice(0, SHOWN).map(({ offset, name }) => unsafeProblem(path, name, placeOf(text, offset)));
  const clean = withoutUnsafe(text).replaceAll('\r\n', '\n');
  const place = (offset: number) => placeOf(clean, offset);
  try {
    const tree = readToml(clean);
    const locate = (key: KeyPath) => placeIn(clean, tree, key);
    const value = plain(tree.root);
    if (value === null) return { value, problems: [...problems, tooDeep(path, options)], locate };
    return { value, problems: [...problems, ...unsafeStrings(value, path, locate)], locate };
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const syntax = problem(options.syntaxCode, path, error.message, { place: place(error.offset) });
    return { value: null, problems: [...problems, syntax], locate: () => undefined };
  }
}

/** Where a key (or the item of a list) is written in a TOML text; undefined where it is not, or the text is no TOML. */
export function locate(text: string, key: KeyPath): Place | undefined {
  try {
    const unix = text.replaceAll('\r\n', '\n');
    return placeIn(unix, readToml(unix), key);
  } catch {
    return undefined;
  }
}

/** More refused characters than this are not listed one by one. */
const SHOWN = 20;
const MAX_DEPTH = 16;

function decode(bytes: Uint8Array, path: string, maxBytes: number): string | Problem {
  if (bytes.length > maxBytes) {
    return problem('ERR_FILE_SIZE', path, `the file has ${bytes.length} bytes, at most ${maxBytes} are taken`);
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return problem('ERR_FILE_ENCODING', path, 'the file is not UTF-8', { place: invalidUtf8At(bytes) });
  }
  const start = { line: 1, column: 1 };
  if (text.startsWith('\uFEFF')) {
    return problem('ERR_FILE_ENCODING', path, 'the file begins with a byte order mark', { place: start });
  }
  const nul = text.indexOf('\0');
  if (nul < 0) return text;
  return problem('ERR_FILE_ENCODING', path, 'the file holds a NUL character', { place: placeOf(text, nul) });
}

/** The decoder does not say where it stopped: everything before the first byte that can't be read is found by halves. */
function invalidUtf8At(bytes: Uint8Array): Place {
  let good = 0;
  let bad = bytes.length;
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2);
    if (isUtf8Start(bytes.subarray(0, middle))) good = middle;
    else bad = middle;
  }
  const text = new TextDecoder('utf-8').decode(bytes.subarray(0, good), { stream: true });
  return placeOf(text, text.length);
}

function isUtf8Start(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}

function unsafeProblem(path: string, name: string, place: Place | undefined, where = 'the file'): Problem {
  const hint = `Remove ${name}. Control, bidi and invisible characters are refused, because they hide what is approved.`;
  return problem('ERR_TEXT_UNSAFE', path, `${where} holds the character ${name}`, { place, hint });
}

/** Refused characters that are written as escapes, in texts and in keys. */
function unsafeStrings(value: unknown, path: string, locateKey: TomlFile['locate'], key: KeyPath = []): Problem[] {
  if (typeof value === 'string') {
    const name = unsafeCharacter(value);
    return name === null ? [] : [unsafeProblem(path, name, locateKey(key), fieldName(key))];
  }
  if (typeof value !== 'object' || value === null || value instanceof Date) return [];
  return Object.entries(value).flatMap(([part, inner]) => {
    const here = [...key, Array.isArray(value) ? Number(part) : part];
    const name = unsafeCharacter(part);
    const ofKey = name === null ? [] : [unsafeProblem(path, name, locateKey(here), fieldName(here))];
    return [...ofKey, ...unsafeStrings(inner, path, locateKey, here)];
  });
}

function tooDeep(path: string, options: TomlOptions): Problem {
  return problem(options.syntaxCode, path, `the file is nested deeper than ${MAX_DEPTH} levels`);
}

/** Ordinary objects and arrays without the library's marks; null when it is nested too deeply. */
function plain(root: Readonly<Record<string, unknown>>): Record<string, unknown> | null {
  let depth = 0;
  const copy = (value: unknown, level: number): unknown => {
    depth = Math.max(depth, level);
    if (depth > MAX_DEPTH || typeof value !== 'object' || value === null || value instanceof Date) return value;
    if (Array.isArray(value)) return value.map((inner) => copy(inner, level + 1));
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, copy(inner, level + 1)]));
  };
  const value = copy(root, 0) as Record<string, unknown>;
  return depth > MAX_DEPTH ? null : value;
}

function placeIn(text: string, tree: TomlTree, key: KeyPath): Place | undefined {
  const offset = tree.offsetOf(key);
  return offset === undefined ? undefined : placeOf(text, offset);
}

function placeOf(text: string, offset: number): Place {
  const before = text.slice(0, offset);
  const lines = before.split(/\r\n|\r|\n/);
  return { line: lines.length, column: (lines.at(-1) ?? '').length + 1 };
}
