import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isReservedName } from '../../../src/domain/reserved.ts';
import { escapedJson, fenced, printable, unsafeCharacter, withoutUnsafe } from '../../../src/domain/text.ts';

const text = fc.string({ unit: 'binary', maxLength: 60 });

describe('unsafeCharacter', () => {
  it.each([
    ['a\u0000b', 'U+0000'],
    ['\u001B[31m', 'U+001B'],
    ['\u007F', 'U+007F'],
    ['\u0085', 'U+0085'],
    ['a\rb', 'U+000D'],
    ['a\r\r\nb', 'U+000D'],
    ['\u202Eabc', 'U+202E'],
    ['\u2066abc', 'U+2066'],
    ['\u061C', 'U+061C'],
    ['\u200Bx\u202E', 'U+200B'],
    ['👩\u200D💻', 'U+200D'],
    ['soft\u00ADhyphen', 'U+00AD'],
    ['\uFEFF', 'U+FEFF'],
    ['a\u2028b', 'U+2028'],
    ['a\u2029b', 'U+2029'],
    ['\u{E0041}', 'U+E0041'],
    ['\u{E0100}', 'U+E0100'],
    ['1\uFE0F', 'U+FE0F'],
    ['❤\uFE0F\uFE0F', 'U+FE0F'],
    ['\u3164', 'U+3164'],
    ['\uD800', 'U+D800'],
  ])('names the first refused character of %j: %s', (given, name) => {
    expect(unsafeCharacter(given)).toBe(name);
  });

  it.each(['', 'a\tb\nc\r\nd', 'Grüße — 漢字 Ω', '❤\uFE0F 1\uFE0F\u20E3 🚀 👍🏽 👍🏽\uFE0E', 'שלום', '🇩🇪'])(
    'takes %j',
    (given) => {
      expect(unsafeCharacter(given)).toBeNull();
    },
  );

  it('finds nothing in what withoutUnsafe leaves of plain letters and refused characters', () => {
    const part = fc.constantFrom('a', ' ', '\n', '\r\n', '\r', '\u202E', '\u200B', '\u0007', '😀');
    const anything = fc.array(part).map((parts) => parts.join(''));
    fc.assert(fc.property(anything, (given) => unsafeCharacter(withoutUnsafe(given)) === null));
  });
});

describe('printable', () => {
  it('escapes controls, line ends, bidi and invisible characters', () => {
    expect(printable('a\n\u001B[2J\u202E\u{E0041}ü😀')).toBe(String.raw`a\u{000A}\u{001B}[2J\u{202E}\u{E0041}ü😀`);
  });

  it('leaves nothing in any text that a terminal acts on', () => {
    fc.assert(
      fc.property(text, (given) => !/[\p{Cc}\p{Zl}\p{Zp}\u202A-\u202E\u2066-\u2069\u200B]/u.test(printable(given))),
    );
  });
});

describe('escapedJson', () => {
  it('is JSON of the same value, in which nothing acts on a terminal or hides itself', () => {
    const unsafe = fc.constantFrom(
      '\u001b',
      '\u009b',
      '\u202e',
      '\u200b',
      '\u2028',
      '\u{E0041}',
      '\u115f',
      '\ud800',
      '\n',
      '☀️',
    );
    const anything = fc.array(fc.oneof(unsafe, fc.string({ unit: 'binary' }))).map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.dictionary(anything, anything), (value) => {
        const json = escapedJson(JSON.stringify(value, null, 2));
        expect(JSON.parse(json)).toEqual(value);
        expect(unsafeCharacter(json)).toBeNull();
      }),
    );
  });
});

describe('fenced', () => {
  it('closes any text by a fence that the text cannot close itself', () => {
    const ticks = fc.array(fc.constantFrom('`', '``', '`````', '\n', 'x', '~~~')).map((parts) => parts.join(''));
    fc.assert(
      fc.property(ticks, (given) => {
        const lines = fenced(given).split('\n');
        const [fence = ''] = lines;
        expect(fence).toMatch(/^`{3,}$/);
        expect(lines.at(-1)).toBe(fence);
        expect(lines.slice(1, -1).join('\n')).toBe(given.replace(/\n$/, ''));
        expect(given).not.toContain(fence);
      }),
    );
  });
});

describe('isReservedName', () => {
  it.each(['PATH', 'HOME', 'SHELL', 'IFS', 'ENV', 'BASH_ENV', 'LD_PRELOAD', 'NODE_OPTIONS', 'PYTHONPATH', 'PYTHON'])(
    'reserves %s',
    (name) => {
      expect(isReservedName(name)).toBe(true);
    },
  );
  it.each(['EDGE_X', 'EDGE_', 'INPUT_VERSION', 'GIT_SSH_COMMAND'])('reserves %s', (name) => {
    expect(isReservedName(name)).toBe(true);
  });
  it.each(['GITHUB_TOKEN', 'LANG', 'PATHS', 'MY_PATH', 'ENVIRONMENT', 'LD', 'GIT', 'HOMEPAGE'])('leaves %s', (name) => {
    expect(isReservedName(name)).toBe(false);
  });
});
