import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAction } from '../../../src/domain/action.ts';
import { parseFormula } from '../../../src/domain/formula.ts';
import { parsePolicy } from '../../../src/domain/policy.ts';
import { locate, parseTomlFile } from '../../../src/domain/toml.ts';

const OPTIONS = { maxBytes: 16_384, syntaxCode: 'ERR_ACTION_SYNTAX' } as const;
const bytesOf = (text: string) => new TextEncoder().encode(text);
const parse = (text: string) => parseTomlFile(bytesOf(text), 'a.toml', OPTIONS);
const problemOf = (bytes: Uint8Array) => {
  const parsed = parseTomlFile(bytes, 'a.toml', OPTIONS);
  return parsed.ok ? undefined : parsed.problems[0];
};

describe('parseTomlFile', () => {
  it('answers plain values, with dates as Date and what is beyond exact numbers as bigint', () => {
    const parsed = parse(
      'a = 1\nb = { c = ["x", true] }\nd = 2026-04-01T08:00:00+02:00\ne = 9007199254740993\nf = inf\n',
    );
    const d = new Date('2026-04-01T06:00:00Z');
    expect(parsed).toEqual({
      ok: true,
      value: { a: 1, b: { c: ['x', true] }, d, e: 9007199254740993n, f: Infinity },
      warnings: [],
    });
  });

  it.each(['2026-02-29T08:00:00Z', '2026-04-31 08:00:00Z', '2026-04-01T08:00:00', '2026-04-01', '08:00:00.5'])(
    'answers an invalid Date for %s, which names no moment',
    (date) => {
      const parsed = parse(`a = ${date}`);
      const value = parsed.ok ? parsed.value['a'] : undefined;
      expect(value instanceof Date && Number.isNaN(value.getTime())).toBe(true);
    },
  );

  it('takes the last day of February in leap years only', () => {
    expect(parse('a = 2024-02-29T08:00:00Z')).toMatchObject({ value: { a: new Date('2024-02-29T08:00:00Z') } });
  });

  it('takes CR LF line ends, in comments and in texts of several lines, as line feeds', () => {
    expect(parse('# one\r\na = """x\r\ny""" # two\r\n')).toMatchObject({ ok: true, value: { a: 'x\ny' } });
  });

  it('takes a file of exactly the allowed size and no byte more', () => {
    expect(problemOf(bytesOf(`#${'x'.repeat(16_383)}`))).toBeUndefined();
    expect(problemOf(bytesOf(`#${'x'.repeat(16_384)}`))).toMatchObject({ code: 'ERR_FILE_SIZE' });
  });

  it('says where the bytes stop being UTF-8', () => {
    const bytes = new Uint8Array([...bytesOf('a = "ä"\nb = "'), 0xff, ...bytesOf('"\n')]);
    expect(problemOf(bytes)).toMatchObject({ code: 'ERR_FILE_ENCODING', line: 2, column: 6 });
  });

  it('says where the TOML is wrong in words that quote nothing of it', () => {
    const problem = problemOf(bytesOf('a = 1\npassword = hunter2-hunter2\n'));
    expect(problem).toMatchObject({ code: 'ERR_ACTION_SYNTAX', line: 2, column: 12 });
    expect(JSON.stringify(problem)).not.toContain('hunter2');
  });

  it('shows a key that is written twice where it begins', () => {
    expect(problemOf(bytesOf('a = 1\n  a = 2\n'))).toMatchObject({ line: 2, column: 3 });
    expect(problemOf(bytesOf('[t]\n[u]\n[ t ]\n'))).toMatchObject({ line: 3, column: 3 });
  });

  it('goes on behind refused characters, so that one look names everything', () => {
    const parsed = parse('a = "x\u202E"\nb =\n');
    expect(parsed.ok ? [] : parsed.problems).toMatchObject([
      { code: 'ERR_TEXT_UNSAFE', line: 1, column: 7 },
      { code: 'ERR_ACTION_SYNTAX', line: 2 },
    ]);
  });

  it('finds escaped characters in texts, lists and keys', () => {
    const parsed = parse('a = ["ok", "\\u200B"]\n[t."k\\u202E"]\n');
    expect(parsed.ok ? [] : parsed.problems.map(({ line, message }) => [line, message])).toEqual([
      [1, 'a[1] holds the character U+200B'],
      [2, 't.(a key of 2 characters) holds the character U+202E'],
    ]);
  });
});

describe('keys named like members of all objects', () => {
  const names = ['__proto__', 'constructor', 'prototype', 'hasOwnProperty', 'toString', 'valueOf', '__defineGetter__'];
  const shapes = [
    'N = 1',
    'N.call = 1',
    'a.N.x = 1',
    '[N]\ncall = 1',
    '[a.N]',
    '[[N]]',
    '[[a.N]]',
    'a = { N = 1 }',
    "'N' = 1",
  ];

  it.each(names.flatMap((name) => shapes.map((shape) => shape.replace('N', name))))('are refused: %j', (text) => {
    expect(problemOf(bytesOf(text))).toMatchObject({
      code: 'ERR_ACTION_SYNTAX',
      message: expect.stringContaining('built-in'),
    });
  });

  it('leave the process as it was, however they are written', () => {
    const { hasOwnProperty } = Object.prototype as { hasOwnProperty: object };
    const before = Object.getOwnPropertyNames(hasOwnProperty);
    expect(parse('[hasOwnProperty]\ncall = 1\n').ok).toBe(false);
    expect(parse('"has\\u004FwnProperty".call = 1\n').ok).toBe(false);
    expect(Object.getOwnPropertyNames(hasOwnProperty)).toEqual(before);
    expect(parse('a = 1')).toMatchObject({ ok: true, value: { a: 1 } });
  });
});

describe('locate', () => {
  const text = [
    '# id = "no"',
    'id = "x"',
    'script = """',
    'id = "no"',
    '[inputs]',
    '"""',
    'a.b = 1',
    'list = ["[no]", { path = "/x" }]',
    '',
    '[inputs.version]',
    '  type = "string"',
    '[[files]]',
    'path = "/a"',
    '[[files]] # second',
    "'path' = '''",
    "/b'''",
    '[files.more]',
    'x = { y = { z = 1 } }',
  ].join('\n');

  it.each([
    [['id'], 2, 1],
    [['script'], 3, 1],
    [['a'], 7, 1],
    [['a', 'b'], 7, 3],
    [['list', 0], 8, 9],
    [['list', 1, 'path'], 8, 19],
    [['inputs'], 10, 2],
    [['inputs', 'version'], 10, 9],
    [['inputs', 'version', 'type'], 11, 3],
    [['files', 0, 'path'], 13, 1],
    [['files', 1], 14, 3],
    [['files', 1, 'path'], 15, 1],
    [['files', 1, 'more', 'x', 'y', 'z'], 18, 13],
  ])('finds %j in line %i, column %i', (key, line, column) => {
    expect(locate(text, key)).toEqual({ line, column });
  });

  it('finds a table that is written in several places where it begins', () => {
    expect(locate('x = 1\n[t.a]\n[t.b]\n[t]\n', ['t'])).toEqual({ line: 2, column: 2 });
  });

  it('answers undefined where the key is not written, or the text is no TOML', () => {
    expect(locate(text, ['inputs', 'version', 'pattern'])).toBeUndefined();
    expect(locate(text, ['id', 'x'])).toBeUndefined();
    expect(locate('id =', ['id'])).toBeUndefined();
  });
});

describe('the parsers, given anything', () => {
  const fixtures = path.resolve(import.meta.dirname, '../../fixtures');
  const parsers = { actions: parseAction, formulas: parseFormula, policies: parsePolicy };
  const kinds = ['actions', 'formulas', 'policies'] as const;
  const good = kinds.flatMap((kind) =>
    readdirSync(`${fixtures}/${kind}/good`).map((name) => ({
      kind,
      bytes: readFileSync(`${fixtures}/${kind}/good/${name}`),
    })),
  );

  function expectAnswer(kind: (typeof kinds)[number], bytes: Uint8Array): void {
    const parsed = parsers[kind](bytes, 'x.toml');
    const answer = parsed.ok ? [parsed.value] : parsed.problems.filter(({ severity }) => severity === 'error');
    expect(answer).toContainEqual(expect.any(Object));
  }

  it('answer a value or a problem for random bytes', () => {
    fc.assert(fc.property(fc.constantFrom(...kinds), fc.uint8Array({ maxLength: 300 }), expectAnswer), {
      numRuns: 300,
    });
  });

  it('answer a value or a problem for good files with something cut out, put in or doubled', () => {
    const snippets = fc.constantFrom(
      '[',
      ']',
      '"',
      '"""',
      "'",
      '=',
      '.',
      '\n',
      '#',
      '{',
      '}',
      ',',
      '\\',
      '-',
      '1979-05-27',
      '__proto__',
      '\u202E',
      'nan',
      '[[x]]\n',
      'toString.call = 1\n',
    );
    const mutation = fc.record({
      at: fc.nat(2000),
      cut: fc.nat(40),
      put: fc.oneof(snippets.map(bytesOf), fc.uint8Array({ maxLength: 4 })),
    });
    fc.assert(
      fc.property(
        fc.constantFrom(...good),
        fc.array(mutation, { minLength: 1, maxLength: 3 }),
        ({ kind, bytes }, mutations) => {
          let mutated: Uint8Array = bytes;
          for (const { at, cut, put } of mutations) {
            const from = at % (mutated.length + 1);
            mutated = new Uint8Array([...mutated.subarray(0, from), ...put, ...mutated.subarray(from + cut)]);
          }
          expectAnswer(kind, mutated);
        },
      ),
      { numRuns: 500 },
    );
    expect(parse('still = "works"').ok).toBe(true);
  });
});
