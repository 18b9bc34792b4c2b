import { Buffer } from 'node:buffer';

/**
 * What a secret looks like once it was encoded. Listing encoded forms would take hundreds per secret (either case of
 * every hex digit, any line width, any choice of what to escape), so a form is taken apart instead, in two layers:
 *
 * - a **mode** turns escapes of the stream back into bytes (percent, backslash, shell quotes);
 * - a **kind** compares those bytes with the secret (as text, base64 at one of three alignments, hex), skipping the
 *   line breaks of wrapped output.
 *
 * Any mode goes with any kind, so base64 in a query string (%2B) or in JSON (\/, \n) is found without a further word.
 */

// Modes: the stream's escapes

export const LITERAL = 0;
const URL = 1;
const FORM = 2;
const BACKSLASH = 3;
const SHELL = 4;
const ANSI_C = 5;

/** A decoded unit: value × 32 + bytes it took. Values from 256 are code points + 256; see bytesOfUnit. */
type Unit = number;
/** The bytes at hand do not tell yet; ask again when there are more. */
export const NEED_MORE: Unit = -1;
/** A quote that opens or closes `$'…'` inside a quoted word and stands for nothing itself. */
const QUOTE = 0x3fffff;

/** Bytes to look at; `final` says that none will follow, so that a cut escape is what it looks like. */
export interface Window {
  bytes: Uint8Array;
  end: number;
  final: boolean;
}

const unit = (value: number, length: number): Unit => value * 32 + length;
const code = (char: string): number => char.charCodeAt(0);
const byByte = (value: (char: string) => number): Uint8Array =>
  Uint8Array.from({ length: 256 }, (_, byte) => value(String.fromCharCode(byte)));

const INTRODUCERS: Readonly<Record<string, number>> = { '%': URL, '+': FORM, '\\': BACKSLASH, "'": SHELL };
const MODE_BY_BYTE = byByte((char) => INTRODUCERS[char] ?? LITERAL);

/** Not 0 for bytes that can make the first four bytes of an encoded secret other than four bytes of the stream. */
export const SPECIAL = MODE_BY_BYTE.map((mode, byte) => (mode !== LITERAL || isLineBreak(byte) ? 1 : 0));

/** The mode that would read on differently from `pos`, or LITERAL when there is none. */
export function forkAt(mode: number, window: Window, pos: number): number {
  const byte = window.bytes[pos] ?? 0;
  // Form style is percent-encoding up to the first `+`: only there do the two part.
  const other = mode === LITERAL || (mode === URL && byte === code('+')) ? (MODE_BY_BYTE[byte] ?? LITERAL) : LITERAL;
  return decode(other, window, pos) === unit(byte, 1) ? LITERAL : other;
}

/** The unit at `pos`, which must be before the window's end. */
export function decode(mode: number, window: Window, pos: number): Unit {
  const byte = window.bytes[pos] ?? 0;
  if (mode === URL || mode === FORM) return decodePercent(mode, window, pos);
  if (mode === SHELL && byte === code("'")) return firstMatch(window, pos, QUOTES);
  if (mode === ANSI_C && byte === code("'")) return firstMatch(window, pos, CLOSING);
  if ((mode === BACKSLASH || mode === ANSI_C) && byte === code('\\')) return decodeBackslash(window, pos);
  return unit(byte, 1);
}

/** Moves a reader behind a unit. Out: the bytes it stands for: none for a quote, up to four for a code point. */
export function advance(reader: { pos: number; mode: number }, taken: Unit): readonly number[] {
  reader.pos += taken & 31;
  const value = taken >>> 5;
  if (value < 256) return [value];
  if (value !== QUOTE) return [...Buffer.from(String.fromCodePoint(value - 256))];
  reader.mode = reader.mode === SHELL ? ANSI_C : SHELL;
  return [];
}

/** The byte a unit stands for, or -1 if it is none, several, a line break, or not known yet. */
export function singleByte(taken: Unit): number {
  return taken === NEED_MORE || taken >>> 5 > 255 || isLineBreak(taken >>> 5) ? -1 : taken >>> 5;
}

interface NumberShape {
  /** Bytes before the first digit. */
  readonly skip: number;
  readonly base: number;
  readonly min: number;
  readonly max: number;
  readonly codePoint?: boolean;
}
const PERCENT: NumberShape = { skip: 1, base: 16, min: 2, max: 2 };
const OCTAL: NumberShape = { skip: 1, base: 8, min: 1, max: 3 };
const HEX_BYTE: NumberShape = { skip: 2, base: 16, min: 1, max: 2 };
const CODE_UNIT: NumberShape = { skip: 2, base: 16, min: 4, max: 4, codePoint: true };
const CODE_POINT: NumberShape = { skip: 2, base: 16, min: 8, max: 8, codePoint: true };

function decodePercent(mode: number, window: Window, pos: number): Unit {
  const byte = window.bytes[pos] ?? 0;
  if (byte === code('%')) return decodeNumber(window, pos, PERCENT);
  return unit(byte === code('+') && mode === FORM ? code(' ') : byte, 1);
}

const CONTROLS: Readonly<Record<string, number>> = { a: 7, b: 8, e: 27, E: 27, f: 12, n: 10, r: 13, t: 9, v: 11 };
const ESCAPED = byByte((char) => CONTROLS[char] ?? code(char));

/** JSON, C, Python, `printf %q` and `$'…'` in one: they differ in what they escape, not in what an escape means. */
function decodeBackslash(window: Window, pos: number): Unit {
  const next = window.bytes[pos + 1] ?? 0;
  if (pos + 1 >= window.end) return window.final ? unit(code('\\'), 1) : NEED_MORE;
  if (next >= code('0') && next <= code('7')) return decodeNumber(window, pos, OCTAL);
  if (next === code('x')) return decodeNumber(window, pos, HEX_BYTE);
  if (next === code('u')) return decodeUtf16(window, pos);
  if (next === code('U')) return decodeNumber(window, pos, CODE_POINT);
  return unit(ESCAPED[next] ?? next, 2);
}

function decodeUtf16(window: Window, pos: number): Unit {
  const high = decodeNumber(window, pos, CODE_UNIT);
  const value = (high >>> 5) - 256;
  if (high === NEED_MORE || value < 0xd800 || value > 0xdbff) return high;
  const follows = matches(window, pos + 6, '\\u');
  if (follows !== true) return follows === NEED_MORE ? NEED_MORE : high;
  const low = decodeNumber(window, pos + 6, CODE_UNIT);
  const lowValue = (low >>> 5) - 256;
  if (low === NEED_MORE || lowValue < 0xdc00 || lowValue > 0xdfff) return low === NEED_MORE ? low : high;
  return unit(0x10000 + ((value - 0xd800) << 10) + (lowValue - 0xdc00) + 256, 12);
}

/** Greedy digits; with too few of them the first bytes mean themselves (`%zz`), a backslash just goes (`\xyz`). */
function decodeNumber(window: Window, pos: number, shape: NumberShape): Unit {
  let value = 0;
  let count = 0;
  while (count < shape.max) {
    const at = pos + shape.skip + count;
    if (at >= window.end && !window.final) return NEED_MORE;
    const digit = at < window.end ? (HEX_VALUES[window.bytes[at] ?? 0] ?? NONE) : NONE;
    if (digit >= shape.base) break;
    value = value * shape.base + digit;
    count += 1;
  }
  if (count < shape.min) return unit(window.bytes[pos + shape.skip - 1] ?? 0, shape.skip);
  return unit(shape.codePoint ? Math.min(value, 0x10ffff) + 256 : value & 255, shape.skip + count);
}

/** Inside '…': two ways to write a quote, and the one to open the escapes that coreutils and `@Q` write. */
const QUOTES: readonly [string, Unit][] = [
  ["'\\''", unit(0x27, 4)],
  [`'"'"'`, unit(0x27, 5)],
  ["'$'", unit(QUOTE, 3)],
];
const CLOSING: readonly [string, Unit][] = [["''", unit(QUOTE, 2)]];

function firstMatch(window: Window, pos: number, tokens: readonly [string, Unit][]): Unit {
  for (const [token, taken] of tokens) {
    const found = matches(window, pos, token);
    if (found !== false) return found === NEED_MORE ? NEED_MORE : taken;
  }
  return unit(window.bytes[pos] ?? 0, 1);
}

function matches(window: Window, pos: number, token: string): boolean | typeof NEED_MORE {
  for (let i = 0; i < token.length; i += 1) {
    if (pos + i >= window.end) return window.final ? false : NEED_MORE;
    if (window.bytes[pos + i] !== token.charCodeAt(i)) return false;
  }
  return true;
}

// Kinds: how the bytes stand for the secret's

const TEXT = 0;
const HEX = 4;
/** Base64 with 0, 1 and 2 bytes of something else before the secret in its group of three: kinds 1, 2 and 3. */
export const BASE64 = 1;
const BITS = [8, 6, 6, 6, 4];
/** Bits of the secret in a first character that it shares with what comes before. */
const LEAD = [0, 0, 4, 2, 0];
const NONE = 255;
/** A line break and the indentation after it; more is no wrapping, and would hold the stream back for nothing. */
const MAX_SKIPPED = 40;

const STANDARD = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const URL_SAFE = `${STANDARD.slice(0, 62)}-_`;
const DIGITS = '0123456789abcdef';

const BASE64_VALUES = byByte((char) => Math.max(STANDARD.indexOf(char), URL_SAFE.indexOf(char)) & NONE);
const HEX_VALUES = byByte((char) => DIGITS.indexOf(char.toLowerCase()) & NONE);

/** What the columns of wrapped output are made of: base64, or hex with what stands between its bytes. */
export const COLUMNS: readonly ((byte: number) => boolean)[] = [
  (byte) => BASE64_VALUES[byte] !== NONE,
  (byte) => HEX_VALUES[byte] !== NONE || byte === 0x20 || byte === 0x3a || byte === 0x2d,
];

export function isLineBreak(byte: number): boolean {
  return byte === 0x0a || byte === 0x0d;
}

/** How many symbols (bytes, base64 characters, hex digits) depend on the secret alone. */
export function symbolsIn(kind: number, secret: Uint8Array): number {
  return Math.floor((secret.length * 8 - (LEAD[kind] ?? 0)) / (BITS[kind] ?? 8));
}

function symbolAt(kind: number, secret: Uint8Array, index: number): number {
  const bits = BITS[kind] ?? 8;
  const bit = (LEAD[kind] ?? 0) + bits * index;
  const pair = ((secret[bit >> 3] ?? 0) << 8) | (secret[(bit >> 3) + 1] ?? 0);
  return (pair >> (16 - bits - (bit & 7))) & ((1 << bits) - 1);
}

/** Longest end after the symbols: the base64 character that holds the secret's last two or four bits, and padding. */
export function tailLength(kind: number, secret: Uint8Array): number {
  return BITS[kind] === 6 ? ([0, 0, 3, 0, 2][(secret.length * 8 - (LEAD[kind] ?? 0)) % 6] ?? 0) : 0;
}

/** Whether a byte can be number `index` of symbols and tail; both base64 alphabets and both cases of hex will do. */
export function isNext(kind: number, secret: Uint8Array, index: number, byte: number): boolean {
  if (kind === TEXT) return byte === secret[index];
  const value = (kind === HEX ? HEX_VALUES : BASE64_VALUES)[byte] ?? NONE;
  const over = index - symbolsIn(kind, secret);
  if (over > 0) return byte === code('=');
  const foreign = over < 0 ? 0 : tailLength(kind, secret) === 3 ? 4 : 2;
  return value >> foreign === symbolAt(kind, secret, index) >> foreign;
}

/** Whether a byte before symbol `index`, after `skipped` others, stands for nothing: a wrapped line, `41:42 43`. */
export function isFiller(kind: number, index: number, skipped: number, byte: number): boolean {
  if (kind === TEXT || index === 0 || skipped >= MAX_SKIPPED) return false;
  if (isLineBreak(byte)) return true;
  const betweenBytes = kind === HEX && index % 2 === 0;
  if (byte === 0x20 || byte === 0x09) return betweenBytes || skipped > 0;
  return betweenBytes && (byte === 0x3a || byte === 0x2d);
}

/** Every way (of four bytes, after modes and line breaks are undone) in which an encoded secret can begin. */
function prefixes(kind: number, secret: Uint8Array): readonly string[] {
  const symbols = [0, 1, 2, 3].map((index) => symbolAt(kind, secret, index));
  if (kind === TEXT) return [String.fromCharCode(...symbols)];
  const spell = (alphabet: string): string => symbols.map((symbol) => alphabet[symbol]).join('');
  if (kind !== HEX) return [...new Set([spell(STANDARD), spell(URL_SAFE)])];
  const [high, low] = [spell(DIGITS).slice(0, 2), spell(DIGITS).slice(2)];
  const separated = ['', ' ', ':', '-'].map((separator) => `${high}${separator}${low}`.slice(0, 4));
  return [...new Set([...separated, ...separated.map((form) => form.toUpperCase())])];
}

/** 2^32 divided by the golden ratio. The slot of a key is Math.imul(key, MULTIPLIER) >>> shift. */
export const MULTIPLIER = 0x9e3779b1;

/**
 * Which needle, as which kind, may begin with which four bytes. Four are enough to be rare in harmless text, and few
 * enough for every kind of an eight-byte secret to have them. An automaton over whole needles would take a kilobyte per
 * byte of a secret, times the encodings; this takes 5 KiB per line of a secret (after 10 MiB, 400 bytes), and a filter
 * that stays in the processor's cache answers for almost all bytes of a stream.
 */
export class PrefixIndex {
  /** Bit n-1 at the slot of a key: some needle begins with these n bytes (or, rarely, with others of the same slot). */
  readonly filter: Uint8Array;
  readonly shift: number;
  readonly #heads: Int32Array;
  /** Four numbers an entry, in chains of equal slot: key, needle, kind, next entry. */
  readonly #entries: number[] = [];

  constructor(needles: readonly Uint8Array[]) {
    // A needle sets some 50 bits: with 1,024 slots for each, nineteen of twenty slots stay empty.
    const bits = Math.min(21, Math.max(13, Math.ceil(Math.log2(needles.length * 1024 + 1))));
    this.shift = 32 - bits;
    this.filter = new Uint8Array(2 ** bits);
    this.#heads = new Int32Array(2 ** bits).fill(-1);
    for (const [needle, bytes] of needles.entries()) {
      for (let kind = TEXT; kind <= HEX; kind += 1) {
        for (const prefix of prefixes(kind, bytes)) this.#add(prefix, needle, kind);
      }
    }
  }

  #add(prefix: string, needle: number, kind: number): void {
    let key = 0;
    let slot = 0;
    for (let i = 0; i < 4; i += 1) {
      key = (key << 8) | prefix.charCodeAt(i);
      slot = Math.imul(key, MULTIPLIER) >>> this.shift;
      this.filter[slot] = (this.filter[slot] ?? 0) | (1 << i);
    }
    this.#entries.push(key, needle, kind, this.#heads[slot] ?? -1);
    this.#heads[slot] = this.#entries.length - 4;
  }

  /** Whether the last `length` bytes of `key` may be the first ones of an encoded secret. */
  mayBegin(key: number, length: number): boolean {
    const part = length < 4 ? key & ((1 << (8 * length)) - 1) : key;
    return ((this.filter[Math.imul(part, MULTIPLIER) >>> this.shift] ?? 0) & (1 << (length - 1))) !== 0;
  }

  /** Calls back with each needle and kind that begins with the four bytes of `key`. */
  eachBeginning(key: number, call: (needle: number, kind: number) => void): void {
    let entry = this.#heads[Math.imul(key, MULTIPLIER) >>> this.shift] ?? -1;
    while (entry >= 0) {
      if (this.#entries[entry] === key) call(this.#entries[entry + 1] ?? 0, this.#entries[entry + 2] ?? 0);
      entry = this.#entries[entry + 3] ?? -1;
    }
  }
}
