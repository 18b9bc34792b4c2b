import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRedactor, type Redactor, type Secret } from '../../../src/domain/redact.ts';

// Everything that encoders treat in a way of their own, and one line only: multi-line secrets have tests of their own.
const HARD = `p@ss/w'ör"d\\ x+y%41$z~\`é😀<&>\ttail'`;
const MASK = '[masked:S]';

type Encoder = (text: string) => string;
const bytesOf = (text: string): Buffer => Buffer.from(text);
const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const wrap = (text: string, width: number, lineEnd = '\n'): string =>
  (text.match(new RegExp(`.{1,${width}}`, 'gs')) ?? []).join(lineEnd);
const eachUnit = (text: string, spell: (unit: number) => string): string =>
  Array.from({ length: text.length }, (_, i) => spell(text.charCodeAt(i))).join('');
const hexOf = (unit: number, digits: number): string => unit.toString(16).padStart(digits, '0');
const json: Encoder = (text) => JSON.stringify(text).slice(1, -1);
const ansi: Encoder = (text) => text.replace(/['\\]/g, (char) => `\\${char}`).replaceAll('\n', '\\n');
const escapeUnicode: Encoder = (text) =>
  text.replace(/[\u0080-\uffff]/g, (char) => `\\u${hexOf(char.charCodeAt(0), 4)}`);
const percent: Encoder = (text) => [...bytesOf(text)].map((byte) => `%${hexOf(byte, 2)}`).join('');
const hex: Encoder = (text) => bytesOf(text).toString('hex');

/** Encodings that leave nothing of the secret outside what they make of it. */
const ENCODERS: Readonly<Record<string, Encoder>> = {
  raw: (text) => text,
  base64: (text) => bytesOf(text).toString('base64'),
  base64url: (text) => bytesOf(text).toString('base64url'),
  'base64url with padding': (text) => bytesOf(text).toString('base64').replaceAll('+', '-').replaceAll('/', '_'),
  'base64 wrapped at 20, indented': (text) => wrap(bytesOf(text).toString('base64'), 20, '\n    '),
  'base64 wrapped in JSON': (text) => json(wrap(bytesOf(text).toString('base64'), 20, '\r\n')).replaceAll('/', '\\/'),
  'base64 in a URL': (text) => encodeURIComponent(bytesOf(text).toString('base64')),
  'URL in base64': (text) => bytesOf(encodeURIComponent(text)).toString('base64'),
  encodeURIComponent: (text) => encodeURIComponent(text),
  'percent, lower case': (text) => encodeURIComponent(text).replace(/%../g, (code) => code.toLowerCase()),
  'percent, form style': (text) => new URLSearchParams([['', text]]).toString().slice(1),
  'percent, everything': percent,
  'percent, everything, upper case': (text) => percent(text).toUpperCase(),
  JSON: json,
  'JSON with slashes escaped': (text) => json(text).replaceAll('/', '\\/'),
  'JSON in ASCII': (text) => escapeUnicode(json(text)),
  'JSON, everything escaped': (text) => eachUnit(text, (unit) => `\\u${hexOf(unit, 4)}`),
  'JSON, everything escaped, upper case': (text) => eachUnit(text, (unit) => `\\u${hexOf(unit, 4).toUpperCase()}`),
  'JSON in JSON': (text) => json(json(text)),
  'JSON in ASCII in JSON': (text) => json(escapeUnicode(json(text))),
  'single quotes': (text) => text.replaceAll("'", () => `'\\''`),
  'single quotes, quote in double quotes': (text) => text.replaceAll("'", () => `'"'"'`),
  'single quotes with $ quotes inside': (text) =>
    text.replaceAll("'", () => `'\\''`).replace(/[\t\n]+/g, (run) => `'$'${json(run)}''`),
  'double quotes': (text) => text.replace(/["$`\\]/g, (char) => `\\${char}`),
  'printf %q': (text) => text.replace(/[ !-$&-*;<>?[-^`{-~]/g, (char) => `\\${char}`),
  "$'…'": ansi,
  "$'…' with code points": (text) =>
    ansi(text).replace(/[^ -~]/gu, (char) => `\\U${hexOf(char.codePointAt(0) ?? 0, 8)}`),
  "$'…' in octal": (text) => [...bytesOf(text)].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join(''),
  "$'…' in hex": (text) => [...bytesOf(text)].map((byte) => `\\x${hexOf(byte, 2)}`).join(''),
  hex,
  'hex, upper case': (text) => hex(text).toUpperCase(),
  'hex with colons': (text) => wrap(hex(text), 2, ':'),
  'hex with blanks': (text) => wrap(wrap(hex(text), 2, ' '), 48),
  'hex wrapped at 60': (text) => wrap(hex(text), 60),
  'hex wrapped at 15, CRLF': (text) => wrap(hex(text), 15, '\r\n'),
};

/** Sends `input` through one stream of `redactor`, cut at `cuts` (byte offsets in any order; those beyond it are none). */
function scrub(redactor: Redactor, input: Uint8Array, cuts: readonly number[] = []): Buffer {
  const stream = redactor.stream();
  const ends = [...cuts.filter((cut) => cut < input.length), input.length].sort((a, b) => a - b);
  const pieces = ends.map((end, i) => Buffer.from(stream.write(input.subarray(ends[i - 1] ?? 0, end))));
  return Buffer.concat([...pieces, stream.end()]);
}

const one = (value: string): Redactor => createRedactor([{ name: 'S', value }]);
const scrubText = (value: string, text: string, cuts?: readonly number[]): string =>
  scrub(one(value), bytesOf(text), cuts).toString();

/** What someone who holds the output would try, on each byte as one character. */
function decodings(output: string): readonly string[] {
  const bytes = bytesOf(output).toString('latin1');
  const joined = bytes.replace(/[\s:]/g, '');
  const fromHex = (digits: string): string => Buffer.from(digits, 'hex').toString('latin1');
  const unescaped = bytes.replace(/\\(?:u00(..)|x(..)|([^ux]))/g, (_, u, x, char) => char ?? fromHex(u ?? x));
  const runs = (joined.match(/[\w+/-]{8,}/g) ?? []).flatMap((run) => [0, 1, 2, 3].map((from) => run.slice(from)));
  const unquoted = bytes.replaceAll(`'\\''`, "'").replaceAll(`'"'"'`, "'");
  const url = bytes.replace(/%([\da-f]{2})/gi, (_, digits) => fromHex(digits));
  const readings = [bytes, url, url.replaceAll('+', ' '), unescaped, unquoted];
  return [...readings, ...runs.map((run) => Buffer.from(run, 'base64').toString('latin1')), ...runs.map(fromHex)];
}

function expectNoLeak(output: string, secret: string): void {
  const forms = Object.values(ENCODERS).map((encode) => encode(secret));
  const latin1 = bytesOf(secret).toString('latin1');
  // Half a secret is a leak as well; four bytes of it can be chance.
  const halves = [latin1.slice(0, Math.ceil(latin1.length / 2)), latin1.slice(Math.floor(latin1.length / 2))];
  // One expectation for all: of the many thousand, each would cost more than what it looks at.
  expect(forms.filter((form) => output.includes(form))).toEqual([]);
  expect(decodings(output).filter((reading) => halves.some((half) => reading.includes(half)))).toEqual([]);
}

const hardChar = fc.constantFrom(...Array.from(`'"\\%+ &$/=~\`#?!<>{}[]:;|nrtux0147abcdefXYZé😀ÿ\t\x01`));
const hardSecret = fc
  .tuple(
    fc.string({ unit: 'grapheme-ascii', minLength: 8, maxLength: 12 }),
    fc.string({ unit: hardChar, maxLength: 60 }),
  )
  .map(([plain, hard]) => `k${plain}${hard}z`);
const encoderName = fc.constantFrom(...Object.keys(ENCODERS));
const encode = (name: string, text: string): string => (ENCODERS[name] as Encoder)(text);

describe('one secret', () => {
  test.each(Object.keys(ENCODERS))('R12: a secret is masked, no byte more or less, in the encoding "%s"', (name) => {
    for (const secret of [HARD, `${HARD}a`, `${HARD}ab`]) {
      const redactor = one(secret);
      const output = scrub(
        redactor,
        bytesOf(`before\\n${encode(name, secret)}\\n <${encode(name, secret)}>\n`),
      ).toString();
      expect(output).toBe(`before\\n${MASK}\\n <${MASK}>\n`);
      expect(redactor.masked()).toEqual({ S: 2 });
    }
  });

  test.each(Object.keys(ENCODERS))('R12: a secret split over two chunks anywhere is masked in "%s"', (name) => {
    const redactor = one(HARD);
    const input = bytesOf(`<${encode(name, HARD)}>`);
    const splits = [...input.keys()];
    const outputs = new Set(splits.map((cut) => scrub(redactor, input, [cut]).toString()));
    expect([...outputs]).toEqual([`<${MASK}>`]);
    expect(scrub(redactor, input, splits).toString()).toBe(`<${MASK}>`);
    expect(redactor.masked()).toEqual({ S: input.length + 1 });
  });

  test('R12: any secret in any encoding leaks nothing, and the output does not depend on the chunks', () => {
    const cuts = fc.array(fc.nat(400), { maxLength: 8 });
    fc.assert(
      fc.property(hardSecret, fc.array(encoderName, { minLength: 1, maxLength: 3 }), cuts, (secret, names, where) => {
        const input = bytesOf(`#1\n${names.map((name) => encode(name, secret)).join('\n#2 ')}\n#3`);
        const redactor = one(secret);
        const whole = scrub(redactor, input).toString();
        expect(whole.split(MASK).length - 1).toBe(names.length);
        expectNoLeak(whole, secret);
        expect(scrub(redactor, input, where).toString()).toBe(whole);
        expect(scrub(redactor, input, [...input.keys()]).toString()).toBe(whole);
      }),
      { numRuns: 200 },
    );
  });

  test.each(['\n', '\r\n', '\n    ', '\\n', '%0A'])(
    'R12: a secret inside a longer base64 text is masked at every alignment, wrapped at any column with %j',
    (lineEnd) => {
      const encodings: readonly BufferEncoding[] = ['base64', 'base64url'];
      const redactor = one(HARD);
      for (let before = 0; before < 80; before += 1) {
        const text = bytesOf(`${'q'.repeat(before)}${HARD}${'w'.repeat(before % 7)}`);
        for (const width of [76, 64, 61, 20, 999]) {
          const input = bytesOf(`x: ${wrap(text.toString(encodings[before % 2]), width, lineEnd)}`);
          const output = scrub(redactor, input, [(before * 31) % input.length]).toString();
          expect(output.split(MASK)).toHaveLength(2);
          expectNoLeak(output, HARD);
        }
      }
    },
  );

  test('R12: a secret inside a longer dump in hex is masked, wherever the line breaks', () => {
    for (const separator of ['', ' ', ':']) {
      for (let before = 0; before < 32; before += 1) {
        const line = wrap(hex(`${'q'.repeat(before)}${HARD}`), 2, separator);
        const output = scrubText(HARD, wrap(line, 16 * (2 + separator.length), '\n '));
        expect(output.split(MASK)).toHaveLength(2);
        expectNoLeak(output, HARD);
      }
    }
  });

  test('R12: a secret in narrow lines is masked where it begins a line', () => {
    for (let width = 1; width < 16; width += 1) {
      const form = wrap(bytesOf(HARD).toString('base64'), width);
      expect(scrubText(HARD, form)).toBe(MASK);
      expect(scrubText(HARD, `key:\n${form}\n`, [4, 6])).toBe(`key:\n${MASK}\n`);
    }
  });

  test('R12: a line break is judged by the whole line before it, wherever the bytes are kept', () => {
    const form = wrap(bytesOf(`${'q'.repeat(56)}${HARD}`).toString('base64'), 76);
    // A window holds 131,072 bytes: the break comes first in a new one, one character of the secret's before it.
    const before = 131_072 - 100;
    expect(scrubText(HARD, `${'.'.repeat(before)}${form}`, [before + 76])).toContain(MASK);
  });

  test.each([
    ['user-a:', 'dXNlci1hOn[masked:S]OmFuZCBtb3Jl'],
    ['user-ab:', 'dXNlci1hYjp[masked:S]phbmQgbW9yZQ=='],
    ['user-abc:', 'dXNlci1hYmM6[masked:S]6YW5kIG1vcmU='],
  ])(
    'R12: text around a secret in base64 stays, but for what it shares a last character with: %s',
    (before, output) => {
      const input = Buffer.from(`${before}sekret-value-1:and more`).toString('base64');
      for (let cut = 0; cut <= input.length; cut += 1) expect(scrubText('sekret-value-1', input, [cut])).toBe(output);
    },
  );

  test('R12: secrets of 64 KiB in chunks of 38 bytes, raw and in base64, are masked', () => {
    const block = (seed: string): string => createHash('sha512').update(seed).digest('base64').slice(0, 64);
    const long = (seed: number): string => Array.from({ length: 1_024 }, (_, i) => block(`${seed} ${i}`)).join('');
    const secrets = [1, 2].map((seed) => ({ name: `S${seed}`, value: long(seed) }));
    const redactor = createRedactor(secrets);
    const input = bytesOf(`${secrets[0]?.value}\n${Buffer.from(`${secrets[1]?.value}`).toString('base64')}\n`);
    const cuts = Array.from({ length: 4_000 }, (_, i) => i * 38);
    expect(scrub(redactor, input, cuts).toString()).toBe('[masked:S1]\n[masked:S2]\n');
  });
});

describe('several secrets', () => {
  const secrets: readonly Secret[] = [
    { name: 'SHORT', value: 'kv-user-77' },
    { name: 'LONG', value: 'postgres://kv-user-77:x7!kQ2zP@db' },
    { name: 'NEXT', value: 'Q2zP@db/orders' },
  ];
  const run = (text: string, cuts?: readonly number[]): string =>
    scrub(createRedactor(secrets), bytesOf(text), cuts).toString();

  test('R12: of two secrets, one inside the other, the longer one gives the name', () => {
    expect(run('as kv-user-77: postgres://kv-user-77:x7!kQ2zP@db.')).toBe('as [masked:SHORT]: [masked:LONG].');
  });

  test('R12: of secrets that overlap nothing is left, in every chunk split', () => {
    const input = '<postgres://kv-user-77:x7!kQ2zP@db/orders>';
    for (let cut = 0; cut <= input.length; cut += 1) expect(run(input, [cut])).toBe('<[masked:LONG]>');
  });

  test('R12: the beginning of a longer secret does not hide the shorter one inside it', () => {
    const input = '<postgres://kv-user-77:x7!kQ2z->';
    for (let cut = 0; cut <= input.length; cut += 1)
      expect(run(input, [cut])).toBe('<postgres://[masked:SHORT]:x7!kQ2z->');
  });

  test('R12: secrets side by side are masked one by one', () => {
    expect(run('kv-user-77kv-user-77Q2zP@db/orders')).toBe('[masked:SHORT][masked:SHORT][masked:NEXT]');
  });

  test('R12: one value under two names goes by the first', () => {
    const twice = createRedactor([
      { name: 'A', value: 'x7-kQ2zP' },
      { name: 'B', value: 'x7-kQ2zP' },
    ]);
    expect(scrub(twice, bytesOf('x7-kQ2zP')).toString()).toBe('[masked:A]');
    expect(twice.masked()).toEqual({ A: 1 });
  });

  test('R12: masks are counted by name over all streams, when they are forwarded', () => {
    const redactor = createRedactor(secrets);
    const [stdout, stderr] = [redactor.stream(), redactor.stream()];
    expect(redactor.masked()).toEqual({});
    stdout.write(bytesOf('kv-user-77 kv-user-77 Q2zP@db/'));
    stderr.write(bytesOf('kv-user-77 '));
    expect(redactor.masked()).toEqual({ SHORT: 3 });
    stdout.write(bytesOf('orders\n'));
    expect(redactor.masked()).toEqual({ SHORT: 3, NEXT: 1 });
  });

  test('R12: two streams do not mix: halves of a secret on each are no secret', () => {
    const redactor = createRedactor(secrets);
    const [stdout, stderr] = [redactor.stream(), redactor.stream()];
    expect(textOf(stdout.write(bytesOf('out kv-us')))).toBe('out ');
    expect(textOf(stderr.write(bytesOf('er-77 err kv-us')))).toBe('er-77 err ');
    expect(textOf(stderr.write(bytesOf('er-77\n')))).toBe('[masked:SHORT]\n');
    expect(textOf(stdout.end())).toBe('kv-us');
    expect(redactor.masked()).toEqual({ SHORT: 1 });
  });

  test('R12: a secret that overlaps itself for ever is masked, and not held back for ever', () => {
    const stream = one('abcd-abcd-abcd-').stream();
    const chunk = bytesOf('abcd-'.repeat(2_000));
    const forwarded = Array.from({ length: 20 }, () => textOf(stream.write(chunk))).join('');
    expect(forwarded).toBe(MASK.repeat(3));
    expect(textOf(stream.end())).toBe(MASK);
    expect(scrubText('abcd-abcd-abcd-', 'abcd-'.repeat(40_000))).toBe(MASK.repeat(4));
  });
});

describe('harmless output', () => {
  const secrets: readonly Secret[] = [
    { name: 'A', value: HARD },
    { name: 'B', value: 'ghp_3kVxT0q9ZsLw2RbN' },
    { name: 'C', value: 'first-line-1\nsecond-line-2' },
  ];

  test('R13: 10 MB of harmless text stays as it is byte for byte', () => {
    const line = (i: number): string =>
      `2026-11-21T07:00:${i % 60}Z p@ss ${i} ghp_3kVx 'it'\\''s' "a\\nb\\u00e9" 100%+ %41 ${hexOf(i * 7919, 12)} ${Buffer.from(`k${i}`).toString('base64')}\r\n`;
    const text = bytesOf(Array.from({ length: 110_000 }, (_, i) => line(i)).join(''));
    expect(text.length).toBeGreaterThan(10_000_000);
    const redactor = createRedactor(secrets);
    expect(scrub(redactor, text, [1, 65_537, 5_000_003]).equals(text)).toBe(true);
    expect(redactor.masked()).toEqual({});
  });

  test('R13: bytes that are no text stay as they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.array(fc.nat(300), { maxLength: 5 }), (bytes, cuts) => {
        const output = scrub(createRedactor(secrets), bytes, cuts);
        expect(output.equals(bytes)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  test('R13: what lacks one byte of an encoded secret is none, and stays as it is', () => {
    const value = 'Kd-93_xQ~7w.Zr"T5';
    const redactor = one(value);
    fc.assert(
      fc.property(encoderName, fc.nat(200), fc.array(fc.nat(200), { maxLength: 4 }), (name, at, cuts) => {
        const form = encode(name, value);
        const missing = at % (form.length - 6);
        // Not in the last characters: the padding of base64 is none of the secret, and a shorter secret is another.
        const input = bytesOf(`<${form.slice(0, missing)}\u0000${form.slice(missing + 1)}>`);
        const output = scrub(redactor, input, cuts);
        expect(output.toString()).toBe(input.toString());
      }),
      { numRuns: 200 },
    );
  });

  test('R13: text around masks stays byte for byte', () => {
    const noise = fc.uint8Array({ maxLength: 40 }).filter((bytes) => !bytes.some((byte) => byte >= 0x20));
    fc.assert(
      fc.property(fc.array(noise, { minLength: 2, maxLength: 5 }), encoderName, (between, name) => {
        const form = bytesOf(encode(name, HARD));
        const input = Buffer.concat(between.flatMap((bytes, i) => (i === 0 ? [bytes] : [form, bytes])));
        const expected = Buffer.concat(between.flatMap((bytes, i) => (i === 0 ? [bytes] : [bytesOf(MASK), bytes])));
        expect(scrub(one(HARD), input).equals(expected)).toBe(true);
      }),
    );
  });

  test('R12: a line that can begin no secret is forwarded at once', () => {
    const stream = createRedactor(secrets).stream();
    for (const line of [
      'Done\n',
      'e\r\n',
      'Installing 100%\r',
      'path C:\\temp\n',
      "it's\n",
      '\n',
      '.',
      '{"a":"\\n"}\n',
    ]) {
      expect(textOf(stream.write(bytesOf(line)))).toBe(line);
    }
  });

  test('R12: what may begin a secret is held back, and forwarded as soon as it can be none', () => {
    const stream = one('x7-kQ2zP').stream();
    const write = (text: string): string => textOf(stream.write(bytesOf(text)));
    expect(write('is x7-kQ2')).toBe('is ');
    expect(write('')).toBe('');
    expect(write('z')).toBe('');
    expect(write('p')).toBe('x7-kQ2zp');
    expect(write('%')).toBe('');
    expect(write('7')).toBe('');
    expect(write('8')).toBe('');
    expect(write('!\n')).toBe('%78!\n');
  });

  test('R12: what was held back is forwarded at the end, and only once', () => {
    for (const encoder of Object.values(ENCODERS)) {
      const stream = one(HARD).stream();
      const begin = encoder(HARD.slice(0, 15));
      expect(textOf(stream.write(bytesOf(begin))) + textOf(stream.end())).toBe(begin);
      expect(stream.end()).toHaveLength(0);
      expect(() => stream.write(bytesOf('more'))).toThrow('after its end');
    }
  });

  test('R12: a chunk may be written over after it was handed in', () => {
    const stream = one('x7-kQ2zP').stream();
    const chunk = bytesOf('ab x7-k');
    const first = textOf(stream.write(chunk));
    chunk.fill(0);
    expect(first + textOf(stream.write(bytesOf('!')))).toBe('ab x7-k!');
  });

  test('R13: the stream has nothing before its first byte', () => {
    expect(scrubText('\0\0\0abcdefg', 'abcdefg')).toBe('abcdefg');
    expect(scrubText('\0\0\0abcdefg', '%61bcdefg')).toBe('%61bcdefg');
  });

  test('R13: a value under eight bytes is left out', () => {
    expect(scrubText('x7!kQ2z', 'x7!kQ2z')).toBe('x7!kQ2z');
    expect(scrub(createRedactor([]), bytesOf('text')).toString()).toBe('text');
  });

  test('R12: a mask does not spell a secret', () => {
    const redactor = createRedactor([{ name: 'A', value: 'masked:A' }]);
    expect(scrub(redactor, bytesOf('it is masked:A')).toString()).toBe('it is [masked]');
  });
});
