import { Buffer } from 'node:buffer';

/** Shorter values turn up in ordinary output by chance. */
const MIN_SECRET_BYTES = 8;
/** `10011001` or `aabbccaa` is a setting; eight random characters have fewer than four different ones once in millions. */
const MIN_DISTINCT = 4;
/** Dates (20260331), sizes in bytes and Unix times (ten digits) are all over harmless logs. */
const MAX_NUMBER_DIGITS = 10;
/** What fingers do on a keyboard, and counting. */
const ROWS = ['0123456789', 'abcdefghijklmnopqrstuvwxyz', 'qwertyuiop', 'asdfghjkl', 'zxcvbnm'];

const COMMON = new Set([
  ...words('password password1 password123 password1234 passw0rd p@ssw0rd p@ssword passphrase changeme changeit'),
  ...words('change-me change_me changeme123 letmein1 letmeinnow welcome1 welcome123 admin123 admin1234 administrator'),
  ...words('qwerty12 qwerty123 1q2w3e4r 1qaz2wsx iloveyou trustno1 username anonymous test1234 testtest testing1'),
  ...words('default1 placeholder notasecret undefined required optional disabled unlimited infinity -infinity'),
  ...words('localhost localhost.localdomain 127.0.0.1 255.255.255.255 http://localhost https://localhost https://'),
  ...words(
    'github.com https://github.com docker.io 0123456789abcdef deadbeef cafebabe production development database',
  ),
  ...words('postgres postgresql registry internal external kubernetes terraform container function continue complete'),
  ...words('completed finished starting starting... succeeded exception response warning: /bin/bash /usr/bin'),
  ...words('/usr/local /usr/local/bin /usr/bin/env /dev/null /etc/passwd /home/agent'),
  '[object object]',
  'permission denied',
]);

/**
 * Why a granted secret can't be masked, or null when it can.
 *
 * In: the value as the command would find it. Out: a phrase that goes after the secret's name ("is shorter than 8
 * bytes"); it never quotes the value or any part of it. Bytes are those of UTF-8. Pure, never throws.
 */
export function whyUnmaskable(value: string): string | null {
  if (value === '') return 'is empty';
  const word = value.trim().toLowerCase();
  if (word === '') return 'is blank';
  if (Buffer.byteLength(value) < MIN_SECRET_BYTES) return `is shorter than ${MIN_SECRET_BYTES} bytes`;
  if (Buffer.byteLength(word) < MIN_SECRET_BYTES) return `is shorter than ${MIN_SECRET_BYTES} bytes without its blanks`;
  if (new Set(value).size < MIN_DISTINCT) return `has fewer than ${MIN_DISTINCT} different characters`;
  if (/^(.{1,4})\1+$/su.test(word)) return 'repeats the same few characters';
  if (/^\d+$/.test(word) && word.length <= MAX_NUMBER_DIGITS) return 'is a short number, as ordinary output contains';
  if (isSequence(word)) return 'is a plain sequence of characters';
  return COMMON.has(word) ? 'is a common word or value' : null;
}

function words(line: string): string[] {
  return line.split(' ');
}

/** `12345678901`, `hgfedcba`, `qwertyui`: a stretch of one row, there or back, going round at its end. */
function isSequence(word: string): boolean {
  const reversed = Array.from(word).reverse().join('');
  return ROWS.some((row) => {
    const endless = row.repeat(Math.ceil(word.length / row.length) + 1);
    return endless.includes(word) || endless.includes(reversed);
  });
}

/** The texts to look for: the value, and what tools commonly make of it before they encode it. */
export function textsOf(value: string): readonly string[] {
  // A lone surrogate reaches the command as U+FFFD; encodeURIComponent would throw at it.
  const whole = Buffer.from(value).toString();
  const unix = whole.replaceAll('\r\n', '\n');
  const trimmed = whole.trim();
  const lines = unix.split('\n').map((line) => (isLong(line.trim()) ? line.trim() : line));
  const windows = unix.replaceAll('\n', '\r\n');
  const oneLine = trimmed.replaceAll(/\s+/g, ' '); // echo $PEM, unquoted
  const json = JSON.stringify(whole).slice(1, -1);
  const ascii = json.replaceAll(/[\u0080-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
  const twice = [json, ascii, encodeURIComponent(whole)]; // JSON in base64, in a URL, in JSON
  // A line is found when it was printed alone (grep), but not one like `--------` or `localhost`.
  const derived = [unix, windows, trimmed, oneLine, ...twice, ...lines].filter((text) => whyUnmaskable(text) === null);
  return [...new Set([whole, ...derived])].filter(isLong);
}

function isLong(text: string): boolean {
  return Buffer.byteLength(text) >= MIN_SECRET_BYTES;
}

/**
 * The mask must not spell a secret, alone or with what is printed around it (a secret `masked:A`, or one that ends in
 * `[mask`). Such a run gets a plainer mask. An overlap of up to three bytes is let be: the whole rest of that secret
 * would have to be printed beside the mask.
 */
export function maskOf(name: string, values: readonly string[]): string {
  const secrets = values.filter(isLong);
  const free = (mask: string): boolean => {
    const overlaps = Array.from({ length: mask.length - 3 }, (_, i) => i + 4);
    return !secrets.some(
      (text) =>
        mask.includes(text) ||
        text.includes(mask) ||
        overlaps.some((n) => text.endsWith(mask.slice(0, n)) || text.startsWith(mask.slice(-n))),
    );
  };
  return [`[masked:${name}]`, '[masked]'].find(free) ?? '***';
}
