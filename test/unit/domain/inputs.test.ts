import { describe, expect, it } from 'vitest';
import { checkInputs, clashes, inputDeclarationSchema, inputVariable } from '../../../src/domain/inputs.ts';

const declare = (given: Record<string, object>) =>
  Object.fromEntries(Object.entries(given).map(([name, each]) => [name, inputDeclarationSchema.parse(each)]));

const declared = declare({
  version: { type: 'string', pattern: String.raw`\d+\.\d+`, required: true },
  channel: { type: 'enum', values: ['stable', 'beta'], default: 'beta' },
  count: { type: 'integer' },
  'dry-run': { type: 'boolean', default: false },
  note: { type: 'string' },
});
const check = (given: Record<string, string | number | boolean>) => checkInputs(declared, given, 'a.toml');
const messages = (given: Record<string, string | number | boolean>) =>
  check(given).problems.map(({ message }) => message);

describe('checkInputs', () => {
  it('answers what was given and the defaults, in the order of the declarations', () => {
    const { problems, values } = check({ count: 3, version: '1.2' });
    expect(problems).toEqual([]);
    expect(Object.entries(values)).toEqual([
      ['version', '1.2'],
      ['channel', 'beta'],
      ['count', 3],
      ['dry-run', false],
    ]);
  });

  it('takes false, zero and the empty text as given', () => {
    expect(check({ version: '1.0', count: 0, 'dry-run': false, note: '' }).values).toMatchObject({
      count: 0,
      note: '',
    });
  });

  it('names all problems, all of them ERR_INPUT', () => {
    const { problems } = check({ channel: 'nightly', count: 1.5, 'dry-run': 'no', note: 7, verson: 'x' });
    expect(problems.map(({ code, path }) => [code, path])).toEqual(
      Array.from({ length: 6 }, () => ['ERR_INPUT', 'a.toml']),
    );
    expect(problems.map(({ message }) => message)).toEqual([
      'inputs.verson is not declared by the formula; did you mean version?',
      'inputs.version is missing',
      'inputs.channel must be one of stable, beta',
      'inputs.count must be a whole number; it is 1.5',
      'inputs.dry-run must be true or false; it is a text of 2 characters',
      'inputs.note must be a text in quotes; it is 7',
    ]);
  });

  it('matches a pattern from end to end, and says when a value is too long for it', () => {
    expect(messages({ version: 'v1.2' })).toEqual([
      'inputs.version must match the pattern of the formula, from end to end',
    ]);
    expect(messages({ version: '1.2\n' })).toHaveLength(1);
    expect(messages({ version: `1.${'2'.repeat(255)}` })).toEqual([expect.stringContaining('at most 256')]);
  });

  it('does not take what objects inherit for a given or declared input', () => {
    expect(messages({ version: '1.2', valueOf: 1 })).toEqual(['inputs.valueOf is not declared by the formula']);
    const inherited = declare({ toString: { type: 'string', required: true } });
    expect(checkInputs(inherited, {}, 'a').problems.map(({ message }) => message)).toEqual([
      'inputs.toString is missing',
    ]);
  });

  it('refuses two inputs that would be one variable', () => {
    const both = declare({ 'my-note': { type: 'string' }, MY_NOTE: { type: 'string' } });
    expect(checkInputs(both, { 'my-note': 'a', MY_NOTE: 'b' }, 'a').problems.map(({ message }) => message)).toEqual([
      'inputs.MY_NOTE and inputs.my-note would both be INPUT_MY_NOTE',
    ]);
  });
});

describe('inputVariable', () => {
  it('is INPUT_ and the name in capitals, with _ for -', () => {
    expect(inputVariable('dry-run')).toBe('INPUT_DRY_RUN');
    expect(clashes(['a', 'b-c', 'B_C', 'd'])).toEqual([['B_C', 'b-c']]);
  });
});
