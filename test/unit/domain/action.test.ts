import { readFileSync } from 'node:fs';
import path from 'node:path';
import TOML from '@iarna/toml';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { actionSchema, isActionPath, parseAction, salvageId, stemOf } from '../../../src/domain/action.ts';
import type { Problem } from '../../../src/errors.ts';

const PATH = 'vault/actions/release-v1.toml';
const MINIMAL = 'id = "release-v1"\nformula = "release"\ncontext = "why"\nsecrets = []\n';
const bytesOf = (text: string) => new TextEncoder().encode(text);
const parse = (text: string, file = PATH) => parseAction(bytesOf(text), file);

function problems(text: string, file = PATH): readonly Problem[] {
  const parsed = parse(text, file);
  return parsed.ok ? [] : parsed.problems;
}

function value(text: string) {
  const parsed = parse(text);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.value;
}

describe('parseAction', () => {
  it('applies the defaults of the format', () => {
    expect(parse(MINIMAL)).toEqual({
      ok: true,
      warnings: [],
      value: {
        id: 'release-v1',
        formula: 'release',
        context: 'why',
        secrets: [],
        mounts: [],
        model: null,
        tools: [],
        timeout_minutes: 60,
        blast_radius: null,
        dispatch_mode: null,
        inputs: {},
        depends_on: [],
        not_before: null,
        expires_at: null,
        priority: 50,
        retry: null,
      },
    });
  });

  it('takes every field, and times in any zone as UTC', () => {
    const file = path.resolve(import.meta.dirname, '../../fixtures/actions/good/everything.toml');
    const parsed = parseAction(readFileSync(file), 'everything.toml');
    expect(parsed.ok && parsed.value).toEqual({
      id: 'everything',
      formula: 'release',
      context: 'Ship 1.2.0 🚀\n❤️ and 1️⃣ more line',
      secrets: ['GITHUB_TOKEN', 'CODEBERG_TOKEN'],
      mounts: ['ssh'],
      model: 'sonnet',
      tools: ['clawhub'],
      timeout_minutes: 30,
      blast_radius: 'high',
      dispatch_mode: 'pr',
      inputs: { version: '1.2.0', channel: 'stable', 'dry-run': false },
      depends_on: ['build-20260331'],
      not_before: '2026-04-01T08:00:00.000Z',
      expires_at: '2026-04-02T08:00:00.000Z',
      priority: 70,
      retry: { attempts: 2, on: ['failed'] },
    });
  });

  it('warns of dispatch_mode = "direct", which lowers no gate (R3)', () => {
    const parsed = parse(`${MINIMAL}dispatch_mode = "direct"\n`);
    expect(parsed).toMatchObject({ ok: true, value: { dispatch_mode: 'direct', blast_radius: null } });
    expect(parsed.ok && parsed.warnings).toMatchObject([{ code: 'ERR_COMPATIBILITY', severity: 'warning', line: 5 }]);
  });

  it('names all problems at once, errors before warnings', () => {
    const text = 'dispatch_mode = "direct"\nid = "other"\nformulas = "release"\nsecrets = ["a", "B", "B"]\n';
    expect(problems(text).map(({ code, line, message }) => [code, line, message.split(' ')[0]])).toEqual([
      ['ERR_ACTION_FIELD', undefined, 'formula'],
      ['ERR_ACTION_FIELD', undefined, 'context'],
      ['ERR_ACTION_ID', 2, 'id'],
      ['ERR_UNKNOWN_FIELD', 3, 'formulas'],
      ['ERR_ACTION_FIELD', 4, 'secrets[0]'],
      ['ERR_ACTION_FIELD', 4, 'secrets[2]'],
      ['ERR_COMPATIBILITY', 1, 'dispatch_mode'],
    ]);
  });

  it('wants the id to be the file name, in whatever folder', () => {
    expect(parse(MINIMAL, '2026/03/release-v1.toml').ok).toBe(true);
    expect(problems(MINIMAL, 'vault/actions/release-v2.toml')).toMatchObject([
      { code: 'ERR_ACTION_ID', line: 1, hint: 'Write id = "release-v2", or rename the file.' },
    ]);
  });

  it('says of a file name that is no id that it gets no result', () => {
    expect(problems(MINIMAL, 'vault/actions/Release V1.toml').map(({ code }) => code)).toEqual(['ERR_FILE_NAME']);
  });

  it.each([
    ['timeout_minutes', ['1', '10080'], ['0', '10081', '-1', '1.5', '"60"', 'true', 'nan', '18446744073709551621']],
    ['priority', ['1', '100'], ['0', '101', '9007199254740993']],
    [
      'secrets',
      ['["A"]', `["${'A'.repeat(64)}"]`],
      [`["${'A'.repeat(65)}"]`, '["1A"]', '["A-B"]', '["HOME"]', '[1]', '[""]'],
    ],
    [
      'depends_on',
      ['["a.b-c_d"]', `["${'a'.repeat(128)}"]`],
      [`["${'a'.repeat(129)}"]`, '["x.cancel"]', '["x.result"]', '["-x"]'],
    ],
    ['model', ['"sonnet"', '"openai/gpt-5:high"', '"opus[1m]"'], ['""', '"-x"', '"a b"', '"a,b"']],
    ['tools', ['["docker", "mcp:github"]'], ['["a,b"]', '["a b"]', '[""]']],
    [
      'expires_at',
      ['2026-04-01T08:00:00Z', '"2026-04-01T08:00:00+02:00"'],
      ['"2026-04-01"', '"2026-02-30T08:00:00Z"', '1'],
    ],
    [
      'retry',
      ['{ attempts = 1, on = ["failed"] }'],
      ['{ attempts = 1 }', '{ attempts = 0, on = ["failed"] }', '{ attempts = 2, on = ["unknown"] }'],
    ],
  ])('takes and refuses values of %s at the limits', (field, taken, refused) => {
    const text = (given: string) =>
      `${field === 'secrets' ? MINIMAL.replace('secrets = []\n', '') : MINIMAL}${field} = ${given}\n`;
    const codes = (given: string) => [given, ...new Set(problems(text(given)).map(({ code }) => code))];
    expect(taken.map(codes)).toEqual(taken.map((given) => [given]));
    expect(refused.map(codes)).toEqual(refused.map((given) => [given, 'ERR_ACTION_FIELD']));
  });

  it('takes 32 secrets and no more', () => {
    const names = (count: number) => Array.from({ length: count }, (_, index) => `"S${index}"`).join(', ');
    expect(value(MINIMAL.replace('[]', `[${names(32)}]`)).secrets).toHaveLength(32);
    expect(problems(MINIMAL.replace('[]', `[${names(33)}]`))).toMatchObject([{ code: 'ERR_ACTION_FIELD', line: 4 }]);
  });

  it('wants expires_at to be later than not_before, by the moment and not by the text', () => {
    const window = (from: string, until: string) => `${MINIMAL}not_before = ${from}\nexpires_at = ${until}\n`;
    expect(problems(window('2026-04-01T10:00:00+02:00', '2026-04-01T08:00:01Z'))).toEqual([]);
    expect(problems(window('2026-04-01T10:00:00+02:00', '2026-04-01T08:00:00Z'))).toHaveLength(1);
    expect(problems(window('2026-04-01T08:00:00Z', '"2026-04-01T09:00:00+02:00"'))).toHaveLength(1);
  });

  it('never repeats a pasted secret, wherever it was pasted (R14)', () => {
    const secret = 'ghp_16C7e42F292c6912E7710c838347Ae178B4a';
    const lines = ['id', 'formula', 'context', 'model', 'blast_radius', 'not_before', 'priority', 'retry', 'inputs'];
    const values = [`"${secret}"`, secret, `["${secret}"]`, `{ x = "${secret}" }`];
    const texts = lines.flatMap((key) => values.map((given) => `${key} = ${given}\nsecrets = ["${secret}"]\n`));
    expect(texts.filter((text) => problems(text).length === 0)).toEqual([]);
    expect(texts.filter((text) => JSON.stringify(problems(text)).includes(secret))).toEqual([]);
  });
});

describe('an action that was written by a program', () => {
  const id = fc
    .stringMatching(/^[a-z0-9][a-z0-9._-]{0,20}[a-z0-9]$/)
    .filter((text) => salvageId(`${text}.toml`) !== null);
  const names = (pattern: RegExp) => fc.uniqueArray(fc.stringMatching(pattern), { maxLength: 5 });
  const plainText = fc.string({
    unit: fc.constantFrom(
      'a',
      'Z',
      '0',
      ' ',
      '"',
      "'",
      '\\',
      '#',
      '[',
      '}',
      '=',
      ',',
      '.',
      'ß',
      '漢',
      '😀',
      '\n',
      '\t',
    ),
  });
  const moment = (from: string, to: string) => fc.date({ min: new Date(from), max: new Date(to), noInvalidDate: true });
  const action = fc.record(
    {
      id,
      formula: fc.constantFrom('release', 'run-publish.site_2'),
      context: plainText.map((text) => `${text}why`),
      secrets: names(/^S_[A-Z0-9_]{0,8}$/),
      mounts: names(/^[a-z][a-z0-9_-]{0,8}$/),
      model: fc.constantFrom('sonnet', 'a/b:c'),
      tools: names(/^[a-z][a-z0-9]{0,8}$/),
      timeout_minutes: fc.integer({ min: 1, max: 10_080 }),
      blast_radius: fc.constantFrom('low', 'medium', 'high'),
      inputs: fc.dictionary(fc.stringMatching(/^i[a-z0-9_-]{0,8}$/), fc.oneof(plainText, fc.integer(), fc.boolean())),
      depends_on: names(/^dep-[a-z0-9]{1,8}$/),
      not_before: moment('2026-01-01', '2026-12-31'),
      expires_at: moment('2027-01-01', '2028-12-31'),
      priority: fc.integer({ min: 1, max: 100 }),
      retry: fc.record({ attempts: fc.integer({ min: 1, max: 10 }), on: fc.constant<string[]>(['failed']) }),
    },
    { requiredKeys: ['id', 'formula', 'context', 'secrets'] },
  );

  it('parses back to what was written', () => {
    fc.assert(
      fc.property(action, (written) => {
        const { not_before, expires_at, ...rest } = written;
        const parsed = parseAction(
          bytesOf(TOML.stringify(Object.fromEntries(Object.entries(written)))),
          `vault/actions/${written.id}.toml`,
        );
        const times = { not_before: not_before?.toISOString() ?? null, expires_at: expires_at?.toISOString() ?? null };
        expect(parsed).toMatchObject({ ok: true, value: { ...rest, ...times } });
      }),
    );
  });
});

describe('the paths of actions', () => {
  it.each([
    ['vault/actions/a.toml', true, 'a', 'a'],
    ['2026/03/a.b-c.toml', true, 'a.b-c', 'a.b-c'],
    ['a.cancel.toml', false, 'a.cancel', null],
    ['a.result.toml', true, 'a.result', null],
    ['A.toml', true, 'A', null],
    ['.toml', true, '', null],
    ['a.result.json', false, 'a.result.json', null],
    ['a.toml.bak', false, 'a.toml.bak', null],
    [`${'a'.repeat(129)}.toml`, true, 'a'.repeat(129), null],
  ])('%s', (file, isAction, stem, id) => {
    expect([isActionPath(file), stemOf(file), salvageId(file)]).toEqual([isAction, stem, id]);
  });
});

describe('actionSchema', () => {
  it('gives editors a JSON Schema that asks for four fields and knows no others', () => {
    const schema = z.toJSONSchema(actionSchema, { io: 'input' });
    expect(schema).toMatchObject({
      additionalProperties: false,
      required: ['id', 'formula', 'context', 'secrets'],
      properties: { timeout_minutes: { type: 'integer', minimum: 1, maximum: 10_080, default: 60 } },
    });
  });
});
