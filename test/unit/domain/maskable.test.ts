import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { maskOf, textsOf, whyUnmaskable } from '../../../src/domain/maskable.ts';

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
    for (const harmless of ['short', '--------', 'localhost']) expect(texts).not.toContain(harmless);
  });

  test('R13: nothing shorter than eight bytes is looked for', () => {
    expect(textsOf('x7!kQ2z')).toEqual([]);
    expect(textsOf('abc\nxyz!')).not.toContain('xyz!');
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
