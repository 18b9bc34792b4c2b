import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { maskOf, textsOf, whyUnmaskable } from '../../../src/domain/maskable.ts';
import { createRedactor, type Redactor } from '../../../src/domain/redact.ts';

const MASK = '[masked:S]';
const hex = (text: string): string => Buffer.from(text).toString('hex');
const json = (text: string): string => JSON.stringify(text).slice(1, -1);
const ansi = (text: string): string => text.replace(/['\\]/g, (char) => `\\${char}`).replaceAll('\n', '\\n');

/** What is left of `text`, written in two chunks, the first of `cut` bytes. */
function scrub(redactor: Redactor, text: string, cut = 0): string {
  const stream = redactor.stream();
  const input = Buffer.from(text);
  return Buffer.concat([
    stream.write(input.subarray(0, cut)),
    stream.write(input.subarray(cut)),
    stream.end(),
  ]).toString();
}
const one = (value: string): Redactor => createRedactor([{ name: 'S', value }]);

describe('whyUnmaskable', () => {
  test.each([
    ['an empty value', '', 'is empty'],
    ['blanks only', ' \t \n  \u00a0   ', 'is blank'],
    ['seven bytes', 'x7!kQ2z', 'is shorter than 8 bytes'],
    ['seven bytes in four characters', 'ä€é', 'is shorter than 8 bytes'],
    ['seven bytes among blanks', '  x7!kQ2z  ', 'is shorter than 8 bytes without its blanks'],
    ['one repeated character', 'aaaaaaaa', 'has fewer than 4 different characters'],
    ['zeros', '00000000', 'has fewer than 4 different characters'],
    ['three different characters', 'abcabccbaabc', 'has fewer than 4 different characters'],
    ['a repeated word', 'truetrue', 'repeats the same few characters'],
    ['a repeated group', 'x1y2x1y2x1y2', 'repeats the same few characters'],
    ['a date', '20260331', 'is a short number, as ordinary output contains'],
    ['counting up', '12345678', 'is a short number, as ordinary output contains'],
    ['counting far', '123456789012', 'is a plain sequence of characters'],
    ['the alphabet', 'abcdefgh', 'is a plain sequence of characters'],
    ['the alphabet backwards', 'HGFEDCBA', 'is a plain sequence of characters'],
    ['a row of keys', 'qwertyui', 'is a plain sequence of characters'],
    ['a common password', 'password', 'is a common word or value'],
    ['a common password in capitals, with a line feed', 'PassW0rd\n', 'is a common word or value'],
    ['a host', 'localhost', 'is a common word or value'],
    ['a word of programs', 'undefined', 'is a common word or value'],
  ])('R13: %s is no secret that could be masked', (_what, value, reason) => {
    expect(whyUnmaskable(value)).toBe(reason);
  });

  test.each(['hunter2!', 'x7!kQ2zP', 'äöüß', 'correct horse battery staple', '31415926535', 'password-of-the-forge'])(
    'R13: %s can be masked',
    (value) => {
      expect(whyUnmaskable(value)).toBeNull();
    },
  );

  test('R13: eight random bytes as hex or base64 can be masked, unless fewer than four characters differ', () => {
    const random = fc.uint8Array({ minLength: 8, maxLength: 40 }).filter((bytes) => new Set(bytes).size > 6);
    const text = fc.tuple(random, fc.constantFrom('hex', 'base64', 'base64url'));
    fc.assert(
      fc.property(text, ([bytes, encoding]) => {
        const value = Buffer.from(bytes).toString(encoding as BufferEncoding);
        fc.pre(new Set(value).size >= 4 && !/^\d+$/.test(value));
        expect(whyUnmaskable(value)).toBeNull();
      }),
    );
  });

  test('R13: whatever the value, the reason does not quote it', () => {
    const short = fc.string({ unit: fc.constantFrom('Q', 'X', 'Z', '&', '#', '7'), minLength: 2, maxLength: 7 });
    fc.assert(
      fc.property(short, (value) => {
        expect(whyUnmaskable(value)).toMatch(/^(is|has) [a-z0-9 ]+$/);
        expect(whyUnmaskable(value)).not.toContain(value);
      }),
    );
  });
});

describe('textsOf', () => {
  test('R12: a secret of one plain line is looked for as it is', () => {
    expect(textsOf('x7!kQ2zP'.replace('!', '-'))).toEqual(['x7-kQ2zP']);
  });

  test('R12: each line of eight characters is looked for on its own, and the whole with either line end', () => {
    const texts = textsOf('first-line-1\nshort\r\n  indented-2\n--------\nlocalhost');
    expect(texts).toEqual(expect.arrayContaining(['first-line-1', 'indented-2']));
    expect(texts).toContain('first-line-1\nshort\n  indented-2\n--------\nlocalhost');
    expect(texts).toContain('first-line-1\r\nshort\r\n  indented-2\r\n--------\r\nlocalhost');
    expect(texts).toContain('first-line-1 short indented-2 -------- localhost');
    expect(textsOf(' \n first-1\nsecond-2 \n')).toContain('first-1\nsecond-2');
    for (const harmless of ['short', '--------', 'localhost']) expect(texts).not.toContain(harmless);
  });

  test('R13: nothing shorter than eight bytes is looked for', () => {
    expect(textsOf('x7!kQ2z')).toEqual([]);
    expect(textsOf('abc\nxyz!')).not.toContain('xyz!');
  });
});

describe('a secret of many lines', () => {
  const body = Array.from({ length: 3 }, (_, i) =>
    Buffer.from(`line ${i} of the key, ${'xyzuvw'.repeat(4)}`).toString('base64'),
  );
  const pem = ['-----BEGIN PRIVATE KEY-----', ...body, 'aGk=', '-----END PRIVATE KEY-----'].join('\n');

  test.each([
    ['as it is', pem],
    ['with CRLF', pem.replaceAll('\n', '\r\n')],
    ['on one line', pem.replaceAll('\n', ' ')],
    ['in JSON', json(pem)],
    ['with CRLF in JSON', json(pem.replaceAll('\n', '\r\n'))],
    ['in a URL', encodeURIComponent(pem)],
    ['in base64', Buffer.from(pem).toString('base64')],
    ["in $'…'", ansi(pem)],
  ])('R12: a PEM printed whole %s is one mask', (_how, text) => {
    expect(scrub(one(pem), `key: ${text}\n`)).toBe(`key: ${MASK}\n`);
    expect(scrub(one(pem.replaceAll('\n', '\r\n')), `key: ${text}\n`)).toBe(`key: ${MASK}\n`);
  });

  test('R12: each line of a PEM that is printed alone is masked, with either line end and wherever it is cut', () => {
    const redactor = one(pem);
    for (const line of pem.split('\n').filter((text) => text.length >= 8)) {
      for (const [before, text, after] of [
        ['12:', line, '\n'],
        ['12:', line, '\r\n'],
        ['?a=', encodeURIComponent(line), '&b'],
        ['<', hex(line), '>'],
        ['<', Buffer.from(line).toString('base64'), '>'],
      ] as const) {
        const input = `${before}${text}${after}`;
        for (let cut = 0; cut <= input.length; cut += 1) {
          expect(scrub(redactor, input, cut)).toBe(`${before}${MASK}${after}`);
        }
      }
    }
  });

  test('R13: a short line, a ruler or a common word of a secret is left alone when it is printed alone', () => {
    const secret = 'first-line-1\nshort\n--------\nlocalhost\nlast-line-2';
    const text = 'short\n--------\nlocalhost\n';
    expect(scrub(one(secret), text)).toBe(text);
    expect(scrub(one(secret), `${text}${secret}\n`)).toBe(`${text}${MASK}\n`);
  });

  test('R12: a secret of more lines than fit into one stretch of overlaps is one mask', () => {
    const lines = Array.from({ length: 1_100 }, (_, i) => createHash('sha512').update(`${i}`).digest('base64'));
    expect(scrub(one(lines.join('\n')), `<${lines.join('\n')}>`)).toBe(`<${MASK}>`);
  });
});

describe('maskOf', () => {
  test('R12: a mask names the secret', () => {
    expect(maskOf('DB_PASSWORD', ['x7!kQ2zP'])).toBe('[masked:DB_PASSWORD]');
  });

  test.each([
    ['is part of the mask', 'masked:A', '[masked]'],
    ['contains the mask', 'x[masked:A]y', '[masked]'],
    ['begins as the mask ends', 'd:A]abcdefgh', '[masked]'],
    ['ends as every such mask begins', 'abcdefgh[mas', '***'],
    ['contains every such mask', 'a[masked:A]b[masked]c', '***'],
  ])('R12: the mask is plainer where a secret %s', (_how, value, mask) => {
    expect(maskOf('A', [value])).toBe(mask);
  });
});
