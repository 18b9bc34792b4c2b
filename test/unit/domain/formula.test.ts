import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { formulaSchema, formulaTier, parseFormula } from '../../../src/domain/formula.ts';
import { matchesPattern, patternProblem } from '../../../src/domain/pattern.ts';

const MINIMAL = 'name = "tidy"\ndescription = "what"\n';
const parse = (text: string) => parseFormula(new TextEncoder().encode(text), 'vault/formulas/tidy.toml');
const messages = (text: string) => {
  const parsed = parse(text);
  return parsed.ok ? [] : parsed.problems.map(({ message }) => message);
};

function formula(text: string) {
  const parsed = parse(text);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.value;
}

describe('parseFormula', () => {
  it('applies the defaults of the format: the strictest tier, nothing granted', () => {
    expect(parse(`${MINIMAL}script = "true"\n`)).toEqual({
      ok: true,
      warnings: [],
      value: {
        name: 'tidy',
        description: 'what',
        command: null,
        script: 'true',
        prompt: null,
        job: 'vault-runner',
        secrets: [],
        mounts: [],
        tools: [],
        models: [],
        tier: 'high',
        unattended: false,
        files: [],
        timeout_minutes: 60,
        idempotent: false,
        concurrency: null,
        concurrency_limit: 1,
        artifacts: [],
        env: {},
        inputs: {},
        unmasked: false,
      },
    });
  });

  it('takes every field', () => {
    const file = path.resolve(import.meta.dirname, '../../fixtures/formulas/good/release.toml');
    const parsed = parseFormula(readFileSync(file), 'release.toml');
    expect(parsed.ok && parsed.value).toMatchObject({
      command: ['bash', '/formulas/release.sh'],
      script: null,
      tier: 'low',
      models: ['sonnet'],
      idempotent: true,
      concurrency: 'release',
      concurrency_limit: 2,
      files: [{ path: '/formulas/release.sh', sha256: 'a'.repeat(64) }],
      env: { LANG: 'C.UTF-8' },
      inputs: {
        version: { type: 'string', pattern: String.raw`^\d+\.\d+\.\d+$`, required: true },
        channel: { type: 'enum', values: ['stable', 'beta'], default: 'beta', required: false },
        'dry-run': { type: 'boolean', required: false },
        count: { type: 'integer', default: 3 },
      },
    });
  });

  it('names problems of several fields at once, also beside a broken field', () => {
    const text = `${MINIMAL}tier = "no"\nconcurrency_limit = 2\n[env]\nPATH = "/x"\n[inputs.v]\ntype = "enum"\n`;
    expect(messages(text).map((message) => message.split(' ')[0])).toEqual([
      'command,',
      'tier',
      'concurrency_limit',
      'env.PATH',
      'inputs.v.values',
    ]);
  });

  it.each([
    ['dist/*.tgz', true],
    ['**/report..json', true],
    ['.config/x', true],
    ['a', true],
    ['/etc/passwd', false],
    ['../x', false],
    ['a/../x', false],
    ['a/..', false],
    ['..', false],
    ['./a', false],
    ['a//b', false],
    ['a/', false],
    ['', false],
    ['a\\b', false],
    ['a\nb', false],
  ])('judges the artifact path %j: %s', (glob, taken) => {
    expect(parse(`${MINIMAL}script = "x"\nartifacts = [${JSON.stringify(glob)}]\n`).ok).toBe(taken);
  });

  it.each([
    ['/formulas/x.sh', true],
    ['/..x', true],
    ['/', false],
    ['x.sh', false],
    ['/a/../b', false],
    ['/a/./b', false],
    ['/a//b', false],
    ['/a/', false],
  ])('judges the path of a program %j: %s', (file, taken) => {
    const files = `files = [{ path = ${JSON.stringify(file)}, sha256 = "${'0'.repeat(64)}" }]`;
    expect(parse(`${MINIMAL}script = "x"\n${files}\n`).ok).toBe(taken);
  });
});

describe('formulaTier', () => {
  const text = (tier: string, mounts: string) => `${MINIMAL}script = "x"\ntier = "${tier}"\nmounts = ${mounts}\n`;

  it.each([
    ['low', '[]', 'low'],
    ['low', '["ssh"]', 'medium'],
    ['medium', '["ssh"]', 'medium'],
    ['high', '["ssh"]', 'high'],
  ])('of %s with mounts %s is %s: mounts are at least medium', (tier, mounts, expected) => {
    expect(formulaTier(formula(text(tier, mounts)))).toBe(expected);
  });
});

describe('patterns of inputs', () => {
  it.each([
    String.raw`^\d+\.\d+\.\d+$`,
    String.raw`^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?$`,
    String.raw`\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}`,
    String.raw`[a-z]+@[a-z]+\.[a-z]+`,
    '(?:abc)+',
    'v(?:1|2|3)',
    '[a-z]*(?:-)[a-z]*(?:-)[a-z]*(?:-)[a-z]*',
    'x|[a-z]+|[a-z]+|[a-z]+|[a-z]+',
    String.raw`\p{L}+ \p{L}+`,
    String.raw`[(\]]+x`,
    '',
  ])('may be %s', (pattern) => {
    expect(patternProblem(pattern)).toBeNull();
  });

  it.each([
    ['[', 'expression'],
    ['a)(b', 'expression'],
    ['a'.repeat(257), '256'],
    ['(a+)+', 'group'],
    ['(?:a?){30}', 'group'],
    ['(?:a|a)*', 'group'],
    ['((a{2})+)+', 'group'],
    [String.raw`(a)\1`, 'refer back'],
    [String.raw`(?<x>a)\k<x>`, 'refer back'],
    ['(?=a)', 'look'],
    ['(?<!a)b', 'look'],
    ['.*.*.*.*=', 'repetitions'],
    ['[a-z]*-?[a-z]*-?[a-z]*-?[a-z]*', 'repetitions'],
    ['[a-z]*(?:-)?[a-z]*(?:-)?[a-z]*(?:-)?[a-z]*', 'repetitions'],
    ['.*a.*a.*a.*a', 'repetitions'],
    [`${'a?'.repeat(30)}${'a'.repeat(30)}`, 'repetitions'],
    [String.raw`\w{1,20}\w{1,20}\w{1,20}\w{1,20}`, 'repetitions'],
    ['(?:abc)+(?:abc)+(?:abc)+(?:abc)+', 'repetitions'],
    ['(?:a*x|a*)?(?:a*y|a*)?(?:a*z|a*)?', 'repetitions'],
  ])('may not be %s', (pattern, why) => {
    expect(patternProblem(pattern)).toMatch(new RegExp(`^must .*${why}`));
  });

  it('match the whole value and nothing longer than 256 characters', () => {
    expect(matchesPattern('a|b', 'a')).toBe(true);
    expect(matchesPattern('a|b', 'ab')).toBe(false);
    expect(matchesPattern(String.raw`\d+`, '1\n')).toBe(false);
    expect(matchesPattern('a*', 'a'.repeat(256))).toBe(true);
    expect(matchesPattern('a*', 'a'.repeat(257))).toBe(false);
  });

  it.each(['.*x.*x.*', '[a-z]*[a-z]*[a-z]*1', '(?:ab)*(?:ab)*c'])('%s, which is let through, ends soon', (pattern) => {
    expect(patternProblem(pattern)).toBeNull();
    const start = performance.now();
    for (const part of ['x', 'ab', 'a']) matchesPattern(pattern, part.repeat(256).slice(0, 255).concat('!'));
    expect(performance.now() - start).toBeLessThan(3000);
  });
});

describe('formulaSchema', () => {
  it('gives editors a JSON Schema that asks for name and description', () => {
    const schema = z.toJSONSchema(formulaSchema, { io: 'input' });
    expect(schema).toMatchObject({ additionalProperties: false, required: ['name', 'description'] });
  });
});
