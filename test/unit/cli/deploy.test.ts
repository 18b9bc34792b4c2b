import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Catalogue, Change } from '../../../src/adapters/factory.ts';
import { type DeployOptions, deployBy, deployFor } from '../../../src/cli/deploy.ts';
import { catalogueOf, type KnownFormulas } from '../../../src/cli/deploy-catalogue.ts';
import { type Formula, parseFormula } from '../../../src/domain/formula.ts';
import { StalledError, TransientError } from '../../../src/errors.ts';

function formula(
  name: string,
  fields: Partial<Pick<Formula, 'job' | 'mounts' | 'secrets' | 'timeout_minutes'>> = {},
): Formula {
  const lines = Object.entries({ name, description: 'd', command: ['true'], ...fields });
  const text = lines.map(([key, value]) => `${key} = ${JSON.stringify(value)}`).join('\n');
  const parsed = parseFormula(Buffer.from(text), `vault/formulas/${name}.toml`);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.value;
}

const known = (formulas: readonly Formula[], from: KnownFormulas['from'] = 'in-force'): KnownFormulas => {
  return { formulas, from, sidecars: [] };
};

describe('what deploy makes room for', () => {
  it('is every subset of the mounts of each formula, and every secret, each once and sorted (S3)', () => {
    const formulas = [
      formula('release', { mounts: ['ssh', 'gpg'], secrets: ['NPM_TOKEN', 'GITHUB_TOKEN'] }),
      formula('sign', { mounts: ['gpg'], secrets: ['NPM_TOKEN'] }),
      formula('page', { job: 'pages' }),
    ];
    expect(catalogueOf(formulas, [])).toEqual({
      variants: [
        { job: 'pages', mounts: [] },
        { job: 'vault-runner', mounts: [] },
        { job: 'vault-runner-gpg', mounts: ['gpg'] },
        { job: 'vault-runner-gpg-ssh', mounts: ['gpg', 'ssh'] },
        { job: 'vault-runner-ssh', mounts: ['ssh'] },
      ],
      secrets: ['GITHUB_TOKEN', 'NPM_TOKEN'],
      sidecarSeconds: null,
    });
  });

  it('is for sidecars the plain job, and one with all mounts of each formula that has some (S2.1)', () => {
    const formulas = [
      formula('reproduce', { job: 'sidecar', mounts: ['ssh', 'gpg'], secrets: ['KEY'], timeout_minutes: 90 }),
      formula('triage', { mounts: ['gpg'], timeout_minutes: 10 }),
      formula('left-over', { job: 'sidecar', mounts: ['sops'], timeout_minutes: 300 }),
    ];
    expect(catalogueOf(formulas, ['reproduce', 'triage', 'not-yet'])).toEqual({
      variants: [
        { job: 'sidecar', mounts: [] },
        { job: 'sidecar-gpg', mounts: ['gpg'] },
        { job: 'sidecar-gpg-ssh', mounts: ['gpg', 'ssh'] },
        { job: 'vault-runner', mounts: [] },
        { job: 'vault-runner-gpg', mounts: ['gpg'] },
      ],
      secrets: ['KEY'],
      sidecarSeconds: 5400,
    });
  });

  it('is the plain job of sidecars before there is a formula for it, for as long as one may take by default', () => {
    const actions = { job: 'vault-runner', mounts: [] };
    const expected = { variants: [{ job: 'sidecar', mounts: [] }, actions], secrets: [], sidecarSeconds: 3600 };
    expect(catalogueOf([], ['reproduce'])).toEqual(expected);
    expect(catalogueOf([formula('other', { job: 'sidecar' })], [])).toEqual({
      variants: [actions],
      secrets: [],
      sidecarSeconds: null,
    });
  });

  it('refuses a job that is named like a variant of the sidecars', () => {
    const formulas = [formula('reproduce', { mounts: ['gpg'] }), formula('one', { job: 'sidecar-gpg' })];
    expect(() => catalogueOf(formulas, ['reproduce'])).toThrow(/sidecar-gpg: .*sidecar with gpg/);
  });

  it('is the same in whatever order the formulas come, and never one job for two sets of mounts', () => {
    const mounts = fc.uniqueArray(fc.constantFrom('a', 'b', 'a-b', 'c'), { maxLength: 3 });
    fc.assert(
      fc.property(fc.array(mounts, { maxLength: 4 }), (sets) => {
        const formulas = sets.map((set, index) => formula(`f${index}`, { mounts: set }));
        const answer = attempt(() => catalogueOf(formulas, []));
        const reversed = attempt(() => catalogueOf(formulas.toReversed(), []));
        expect(typeof reversed).toBe(typeof answer);
        if (typeof answer === 'string') return;
        expect(reversed).toEqual(answer);
        expect(new Set(answer.variants.map(({ job }) => job)).size).toBe(answer.variants.length);
      }),
    );
  });

  it.each([
    [
      'mounts whose names run together',
      [formula('one', { mounts: ['a-b'] }), formula('two', { mounts: ['a', 'b'] })],
      /vault-runner-a-b: vault-runner with a-b; vault-runner with a, b/,
    ],
    [
      'a job named like the variant of another',
      [formula('one', { mounts: ['ssh'] }), formula('two', { job: 'vault-runner-ssh' })],
      /vault-runner-ssh: vault-runner with ssh; vault-runner-ssh with no mounts/,
    ],
    [
      'more mounts than anybody wants jobs for',
      [formula('one', { mounts: ['a', 'b', 'c', 'd', 'e', 'f', 'g'] })],
      /one lists 7 mounts/,
    ],
  ])('refuses %s, and names the mounts', (_, formulas, message) => {
    expect(() => catalogueOf(formulas, [])).toThrow(message);
    expect(() => catalogueOf(formulas, [])).toThrow(StalledError);
  });
});

function attempt(work: () => Catalogue): Catalogue | string {
  try {
    return work();
  } catch (error) {
    return String(error);
  }
}

/** A service that holds what was applied. */
class Registry {
  readonly held = new Map<string, string>();
  readonly order: string[] = [];
  fails: { readonly what: string; readonly error: Error } | null = null;

  plan(wanted: Readonly<Record<string, string>>): readonly Change[] {
    return Object.entries(wanted).map(([what, value]) => {
      const before = this.held.get(what);
      const kind = before === undefined ? 'new' : before === value ? 'same' : 'changed';
      const difference = kind === 'same' ? [] : [`${what}: ${before ?? '(none)'} → ${value}`];
      const apply = async () => {
        if (this.fails?.what === what) throw this.fails.error;
        this.held.set(what, value);
        this.order.push(what);
      };
      return { what, kind, difference, apply };
    });
  }
}

async function deploy(
  registry: Registry,
  wanted: Readonly<Record<string, string>>,
  options: DeployOptions = {},
  from: KnownFormulas['from'] = 'in-force',
) {
  const said = { stdout: '', stderr: '' };
  const io = {
    cwd: '/',
    env: {},
    stdout: { write: (text: string | Uint8Array) => void (said.stdout += String(text)) },
    stderr: { write: (text: string | Uint8Array) => void (said.stderr += String(text)) },
    signal: new AbortController().signal,
  };
  const plan = () => Promise.resolve(registry.plan(wanted));
  const code = await deployBy(io, options, (deployment) => deployFor(known([formula('a')], from), plan, deployment));
  return { code, ...said };
}

describe('edge-dispatcher deploy', () => {
  const WANTED = { 'policy edge-run': 'p1', 'job vault-runner': 'j1' };

  it('shows the difference first and then applies it in its order', async () => {
    const registry = new Registry();
    const { code, stdout } = await deploy(registry, WANTED);
    expect(code).toBe(0);
    expect(stdout.split('\n')).toEqual([
      'for 1 formula in force:',
      '  new     policy edge-run',
      '            policy edge-run: (none) → p1',
      '  new     job vault-runner',
      '            job vault-runner: (none) → j1',
      'applied policy edge-run',
      'applied job vault-runner',
      '',
    ]);
    expect(registry.order).toEqual(['policy edge-run', 'job vault-runner']);
  });

  it('changes nothing when it is called again', async () => {
    const registry = new Registry();
    await deploy(registry, WANTED);
    const { code, stdout } = await deploy(registry, WANTED);
    expect([code, registry.order.length]).toEqual([0, 2]);
    expect(stdout).toContain('  same    job vault-runner\nnothing to do\n');
  });

  it('changes nothing with --dry-run, and says the same', async () => {
    const registry = new Registry();
    const { code, stdout } = await deploy(registry, WANTED, { dryRun: true });
    expect([code, registry.order]).toEqual([0, []]);
    expect(stdout).toContain('job vault-runner: (none) → j1');
    expect(stdout).not.toContain('applied');
  });

  it('says so when no policy is in force and the formulas are those at the tip', async () => {
    const { stdout } = await deploy(new Registry(), {}, {}, 'tip');
    expect(stdout).toBe(
      'for 1 formula at the tip of the branch (no policy is in force yet):\n  nothing to register: this engine and this access need no set-up\n',
    );
  });

  it('prints one JSON value of all changes, and which were made', async () => {
    const registry = new Registry();
    registry.held.set('job vault-runner', 'j0');
    registry.held.set('policy edge-run', 'p1');
    const { stdout } = await deploy(registry, WANTED, { json: true });
    expect(JSON.parse(stdout)).toEqual({
      changes: [
        { what: 'policy edge-run', kind: 'same', difference: [], applied: false },
        { what: 'job vault-runner', kind: 'changed', difference: ['job vault-runner: j0 → j1'], applied: true },
      ],
    });
  });

  it.each([
    [new StalledError('ERR_ENGINE_DENIED', 'may not register jobs'), 1, 'NOMAD_TOKEN and VAULT_TOKEN'],
    [new TransientError('ERR_ENGINE_UNAVAILABLE', 'it does not answer'), 3, 'it is asked again'],
  ])('stops at %s, says what was done before, and what to do', async (error, exit, todo) => {
    const registry = new Registry();
    registry.fails = { what: 'job vault-runner', error };
    const { code, stdout, stderr } = await deploy(registry, WANTED);
    expect(code).toBe(exit);
    expect(stdout).toContain('applied policy edge-run\n');
    expect(stderr).toContain(`${error.code}: ${error.message}`);
    expect(stderr).toContain(todo);
    const again = await deploy(registry, WANTED, { json: true });
    expect(JSON.parse(again.stdout)).toMatchObject({
      changes: [{ kind: 'same' }, { kind: 'new', applied: false }],
      error: { code: error.code },
    });
  });

  it('escapes what a service says of itself', async () => {
    const { stdout } = await deploy(new Registry(), { 'job \u001b[31mred': '\u202ej' });
    expect(['\u001b', '\u202e'].filter((sign) => stdout.includes(sign))).toEqual([]);
  });

  it('lets a mistake of ours come out as one', async () => {
    const registry = new Registry();
    registry.fails = { what: 'job vault-runner', error: new TypeError('a bug') };
    await expect(deploy(registry, WANTED)).rejects.toThrow('a bug');
  });
});
