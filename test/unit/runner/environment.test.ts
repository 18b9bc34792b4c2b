import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAction } from '../../../src/domain/action.ts';
import { parseFormula } from '../../../src/domain/formula.ts';
import type { Parsed } from '../../../src/domain/problems.ts';
import { isReservedName } from '../../../src/domain/reserved.ts';
import { buildEnvironment, type EnvironmentParts, STANDARD_PATH } from '../../../src/runner/environment.ts';

const FIXED = 'EDGE_ACTION_ID EDGE_FORMULA EDGE_ATTEMPT EDGE_CONTEXT EDGE_MODEL EDGE_TOOLS EDGE_INPUTS_FILE'
  .concat(' HOME LANG PATH')
  .split(' ');

const name = fc.stringMatching(/^[A-Z][A-Z0-9_]{0,20}$/).filter((each) => !isReservedName(each));
const inputName = fc.stringMatching(/^[a-z][a-z0-9_]{0,20}$/);
const text = fc.string({ unit: fc.constantFrom('a', 'B', '0', '"', '$', '=', '/', 'ü') });

describe('the environment of a command', () => {
  it('holds the names that were granted, declared or are always there, and no other (E6)', () => {
    fc.assert(
      fc.property(
        fc.dictionary(name, text, { noNullPrototype: true }),
        fc.dictionary(name, text, { noNullPrototype: true }),
        fc.dictionary(inputName, fc.oneof(text, fc.integer(), fc.boolean()), { noNullPrototype: true }),
        (secrets, env, inputs) => {
          const built = buildEnvironment(parts({ secrets, env, inputs }));
          const inputNames = Object.keys(inputs).map((each) => `INPUT_${each.toUpperCase()}`);
          const expected = new Set([...FIXED, ...Object.keys(secrets), ...Object.keys(env), ...inputNames]);
          expect(new Set(Object.keys(built))).toEqual(expected);
        },
      ),
    );
  });

  it('gives each name its own value: secrets over the env of the formula, our own over both', () => {
    const built = buildEnvironment(
      parts({
        secrets: { TOKEN: 'secret', PATH: 'evil', EDGE_FORMULA: 'evil' },
        env: { TOKEN: 'plain', LANG: 'de_DE.UTF-8', HOME: 'evil' },
        inputs: { 'dry-run': true, count: 3, version: '1.2.0' },
      }),
    );
    expect(built).toEqual({
      EDGE_ACTION_ID: 'try-1',
      EDGE_ATTEMPT: '2',
      EDGE_CONTEXT: 'why',
      EDGE_FORMULA: 'try',
      EDGE_INPUTS_FILE: '/run/inputs.json',
      EDGE_MODEL: 'sonnet',
      EDGE_TOOLS: 'clawhub,git',
      HOME: '/run/home',
      INPUT_COUNT: '3',
      INPUT_DRY_RUN: 'true',
      INPUT_VERSION: '1.2.0',
      LANG: 'de_DE.UTF-8',
      PATH: STANDARD_PATH,
      TOKEN: 'secret',
    });
  });

  it('adds what the mounts need', () => {
    const mounts = { path: ['/run/bin'], variables: { SOPS_AGE_KEY_FILE: '/run/keys' } };
    const built = buildEnvironment({ ...parts({}), mounts });
    expect(built['PATH']).toBe(`/run/bin:${STANDARD_PATH}`);
    expect(built['SOPS_AGE_KEY_FILE']).toBe('/run/keys');
  });

  it.each([
    ['a directory', '/data/run-1', { EDGE_AGENT_DATA: '/data/run-1' }],
    ['no directory', null, {}],
  ])('of a sidecar says what it works on, where the job has %s for its data (S2.1)', (_, agentData, more) => {
    const work = {
      repo: 'owner/code',
      issue: 12,
      url: 'https://forge.example/owner/code/issues/12',
      project: 'p.toml',
    };
    const sidecar = { work, projectFile: '/run/given/project.toml', agentData };
    expect(buildEnvironment({ ...parts({}), sidecar })).toEqual({
      ...buildEnvironment(parts({})),
      EDGE_ISSUE_NUMBER: '12',
      EDGE_ISSUE_REPO: 'owner/code',
      EDGE_ISSUE_URL: 'https://forge.example/owner/code/issues/12',
      EDGE_PROJECT_FILE: '/run/given/project.toml',
      ...more,
    });
  });
});

interface Given {
  readonly secrets?: Record<string, string>;
  readonly env?: Record<string, string>;
  readonly inputs?: Record<string, string | number | boolean>;
}

function parts({ secrets = {}, env = {}, inputs = {} }: Given): EnvironmentParts {
  const action = 'id="try-1"\nformula="try"\ncontext="why"\nsecrets=[]\nmodel="sonnet"\ntools=["clawhub","git"]';
  const formula = valueOf(
    parseFormula(Buffer.from('name="try"\ndescription="d"\ncommand=["true"]'), 'vault/formulas/try.toml'),
  );
  return {
    action: valueOf(parseAction(Buffer.from(action), 'try-1.toml')),
    formula: { ...formula, env },
    payload: { id: 'try-1', attempt: 2, inputs },
    secrets: Object.entries(secrets).map(([each, value]) => ({ name: each, value })),
    home: '/run/home',
    inputsFile: '/run/inputs.json',
    mounts: { path: [], variables: {} },
    sidecar: null,
  };
}

function valueOf<T>(parsed: Parsed<T>): T {
  if (parsed.ok) return parsed.value;
  throw new Error(parsed.problems.map(({ message }) => message).join());
}
