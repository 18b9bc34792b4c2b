import { type KeyPath } from '../domain/problems.ts';
import { locate, readTomlFile } from '../domain/toml.ts';

/**
 * Small edits of files that people keep: everything but one value stays as it is, byte for byte. Each edit is parsed
 * again before it counts; null: the file is written in a way that is not understood well enough to be touched.
 */

/** Another text at a key that is there already. `value` needs no escapes. */
export function withText(text: string, key: KeyPath, value: string): string | null {
  const at = offsetOf(text, key);
  const assignment = at === null ? null : ASSIGNMENT.exec(text.slice(at));
  if (at === null || assignment === null) return null;
  const [whole, before = ''] = assignment;
  const quote = whole.at(-1) ?? '"';
  return verified(
    text,
    `${text.slice(0, at)}${before}${quote}${value}${quote}${text.slice(at + whole.length)}`,
    key,
    value,
  );
}

/** A key with a text of one line; a text of several lines begins with a quote that is followed by two more. */
const ASSIGNMENT = /^((?:[\w-]+|"[\w-]+"|'[\w-]+')[ \t]*=[ \t]*)(?:"(?:[^"\\\n\r]|\\[^\n\r])*"(?!")|'[^'\n\r]*'(?!'))/;

/** The same, and where the key is not there yet it is added to its section, which is added if need be. */
export function withSetting(text: string, section: string, name: string, value: string): string | null {
  const key = [section, name];
  if (offsetOf(text, key) !== null) return withText(text, key, value);
  const eol = text.includes('\r\n') ? '\r\n' : '\n';
  const line = `${name} = "${value}"${eol}`;
  const whole = text === '' || text.endsWith('\n') ? text : `${text}${eol}`;
  const at = offsetOf(whole, [section]);
  const candidates = [
    ...(at === null ? [] : [insertAfterLine(whole, at, line), insertBeforeLine(whole, at, `${section}.${line}`)]),
    `${whole}${whole === '' ? '' : eol}[${section}]${eol}${line}`,
  ];
  return candidates.find((candidate) => verified(text, candidate, key, value) !== null) ?? null;
}

function insertAfterLine(text: string, at: number, line: string): string {
  const end = text.indexOf('\n', at) + 1;
  return `${text.slice(0, end)}${line}${text.slice(end)}`;
}

function insertBeforeLine(text: string, at: number, line: string): string {
  const start = text.lastIndexOf('\n', at) + 1;
  return `${text.slice(0, start)}${line}${text.slice(start)}`;
}

/** The text at a key; null: none is there. */
export function textAt(text: string, key: KeyPath): string | null {
  const value = key.reduce<unknown>((table, part) => fieldsOf(table)[part], treeOf(text));
  return typeof value === 'string' ? value : null;
}

function verified(before: string, after: string, key: KeyPath, value: string): string | null {
  const [old, now] = [treeOf(before), treeOf(after)];
  if (old === null || now === null) return null;
  return isSame(withValue(old, key, value), now) ? after : null;
}

function withValue(table: unknown, [part, ...rest]: KeyPath, value: string): unknown {
  if (part === undefined) return value;
  const fields = fieldsOf(table);
  return { ...fields, [part]: withValue(fields[part], rest, value) };
}

function fieldsOf(value: unknown): Readonly<Record<string | number, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function isSame(a: unknown, b: unknown): boolean {
  return canonical(a) === canonical(b);
}

/** The order of keys says nothing. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (typeof inner === 'bigint') return `${inner}n`;
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner) || inner instanceof Date) return inner;
    return Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  });
}

function treeOf(text: string): Readonly<Record<string, unknown>> | null {
  const { value, problems } = readTomlFile(Buffer.from(text), '', {
    maxBytes: 1024 * 1024,
    syntaxCode: 'ERR_CONFIG_SYNTAX',
  });
  return problems.length > 0 ? null : value;
}

/** Lines are counted alike with and without carriage returns. */
function offsetOf(text: string, key: KeyPath): number | null {
  const place = locate(text, key);
  if (place === undefined) return null;
  let start = 0;
  for (let line = 1; line < place.line; line++) start = text.indexOf('\n', start) + 1;
  return start + place.column - 1;
}
