import { randomInt } from 'node:crypto';
import { Refusal } from './answers.ts';

/** Readers of what callers send, as lenient as the server, and writers of its forms. */

const UNITS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 };
const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** Seconds of `1200`, `"1200"` or `"20m"`; nothing is 0. */
export function seconds(value: unknown): number {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string' || value === '') return 0;
  if (/^\d+$/.test(value)) return Number(value);
  const parts = [...value.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== value) {
    throw new Refusal(400, `time: invalid duration ${JSON.stringify(value)}`);
  }
  return parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * (UNITS[unit ?? ''] ?? 0), 0);
}

/** `2h`, `20m`, `1h30m`. */
export function durationText(total: number): string {
  const whole = Math.floor(total);
  const parts = [
    [Math.floor(whole / 3600), 'h'],
    [Math.floor((whole % 3600) / 60), 'm'],
    [whole % 60, 's'],
  ] as const;
  return parts.flatMap(([amount, unit]) => (amount > 0 ? [`${amount}${unit}`] : [])).join('') || '0s';
}

/** A list, or text with commas. */
export function texts(value: unknown): string[] {
  if (typeof value === 'string') return value === '' ? [] : value.split(',').map((part) => part.trim());
  return Array.isArray(value) ? value.map(String) : [];
}

export const text = (value: unknown): string => (typeof value === 'string' ? value : '');

export function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value))
    : {};
}

/** Policy names as the server keeps them. */
export function policyNames(names: readonly string[], addDefault = false): string[] {
  const all = addDefault ? [...names, 'default'] : names;
  return [...new Set(all.map((name) => name.trim().toLowerCase()))].filter((name) => name !== '').toSorted();
}

/** Go's %q of a list of strings. */
export const quoted = (names: readonly string[]): string => `[${names.map((name) => JSON.stringify(name)).join(' ')}]`;

export function matchesGlob(glob: string, name: string): boolean {
  const parts = glob.split('*').map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`).test(name);
}

/** RFC 3339 with nine digits, as Go writes it. */
export const timestamp = (ms: number): string => new Date(ms).toISOString().replace('Z', '486342Z');

export const randomId = (length = 24): string =>
  Array.from({ length }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
