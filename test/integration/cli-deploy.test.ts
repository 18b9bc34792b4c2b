import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { CliBench } from '../fakes/cli-bench.ts';
import { say } from '../fakes/command-line.ts';
import { DAEMON_TOKEN, FakeNomad, MANAGEMENT_TOKEN } from '../fakes/nomad/fake-nomad.ts';
import { FakeVault } from '../fakes/vault/server.ts';

let bench: CliBench;
let nomad: FakeNomad;
let vault: FakeVault;
let daemonToken: string;

beforeAll(async () => {
  bench = await CliBench.open();
});
afterAll(() => bench.remove());

beforeEach(async () => {
  nomad = await FakeNomad.start();
  vault = await FakeVault.start();
  ({ daemonToken } = vault.install({ secrets: { PUBLISH_TOKEN: 'a-value-that-nobody-prints' } }));
  await writeFile(path.join(bench.root, 'dispatcher.toml'), config());
});
afterEach(async () => {
  await nomad.close();
  await vault.close();
});

function config(): string {
  const own = bench
    .config()
    .replace('kind = "subprocess"', 'kind = "nomad"')
    .replace('kind = "file"', 'kind = "vault"');
  return `${own}
[engine.nomad]
address = "${nomad.address}"
[access.vault]
address = "${vault.address}"
`;
}

interface Told {
  readonly what: string;
  readonly kind: string;
  readonly applied: boolean;
}

const admin = () => ({ NOMAD_TOKEN: MANAGEMENT_TOKEN, VAULT_TOKEN: vault.rootToken });
const deploy = async (...more: readonly string[]) => say(bench.root, ['deploy', ...more], admin());

async function changes(...more: readonly string[]): Promise<readonly Told[]> {
  const { stdout } = await deploy('--json', ...more);
  return (JSON.parse(stdout) as { readonly changes: readonly Told[] }).changes;
}

test('deploy registers what the formulas in force need, once, and a second call finds it all the same', async () => {
  const planned = await changes('--dry-run');
  expect(planned.filter(({ applied }) => applied)).toEqual([]);
  expect(planned.map(({ what }) => what)).toEqual(
    expect.arrayContaining(['policy edge-run', 'policy runner-PUBLISH_TOKEN', 'role edge-run', 'job vault-runner']),
  );
  const made = await changes();
  expect(made.map(({ what, kind }) => [what, kind])).toEqual(planned.map(({ what, kind }) => [what, kind]));
  expect(made.filter(({ kind, applied }) => applied === (kind === 'same'))).toEqual([]);
  expect(nomad.state.job('agents', 'vault-runner')?.ID).toBe('vault-runner');
  const again = await deploy();
  expect(again.code).toBe(0);
  expect(again.stdout).toContain('nothing to do\n');
  expect(again.stdout).not.toContain('applied');
});

test('drift of one job is shown and set right again (R5)', async () => {
  await deploy();
  const job = nomad.state.job('agents', 'vault-runner');
  if (job === undefined) throw new Error('the job is not there');
  nomad.registerJob({
    ...job,
    Namespace: 'agents',
    Meta: { added: 'by-hand' },
    ParameterizedJob: { Payload: 'optional' },
  });
  const drifted = (await changes('--dry-run')).filter(({ kind }) => kind !== 'same');
  expect(drifted.map(({ what, kind }) => [what, kind])).toEqual([['job vault-runner', 'changed']]);
  await deploy();
  expect((await changes('--dry-run')).filter(({ kind }) => kind !== 'same')).toEqual([]);
});

test('the tokens of the daemon are not enough: it says whose are, and shows no token and no value', async () => {
  const { code, stdout, stderr } = await say(bench.root, ['deploy'], {
    NOMAD_TOKEN: DAEMON_TOKEN,
    VAULT_TOKEN: daemonToken,
  });
  expect(code).toBe(1);
  expect(stderr).toContain('ERR_ACCESS_DENIED');
  expect(stderr).toContain('To deploy takes tokens of an administrator, in NOMAD_TOKEN and VAULT_TOKEN');
  const own = { NOMAD_TOKEN: DAEMON_TOKEN, VAULT_TOKEN: daemonToken };
  const doctor = await say(bench.root, ['doctor'], own);
  expect(doctor.stdout).toMatch(/^no +engine\.nomad\.job\.vault-runner/m);
  expect(doctor.stdout).toMatch(/^ok +deployment +policies and roles can not/m);
  for (const hidden of [daemonToken, DAEMON_TOKEN, vault.rootToken, MANAGEMENT_TOKEN, 'a-value-that-nobody-prints']) {
    expect(`${stdout}${stderr}${doctor.stdout}${doctor.stderr}`).not.toContain(hidden);
  }
});

test('a service that is away is no problem of anybody: 3, and the others are still told of (S1.6)', async () => {
  await nomad.close();
  vault.sealed = true;
  expect((await deploy()).code).toBe(3);
  const doctor = await say(bench.root, ['doctor'], admin());
  expect(doctor.code).toBe(3);
  expect(doctor.stdout).toContain('ERR_ENGINE_UNAVAILABLE');
  expect(doctor.stdout).toContain('ERR_ACCESS_UNAVAILABLE');
  expect(doctor.stdout).toMatch(/^ok +policy +in force/m);
  const once = await say(bench.root, ['run', '--once', '--json'], admin());
  expect(once.code).toBe(3);
  const { results, unreachable } = JSON.parse(once.stdout) as {
    readonly results: readonly { readonly outcome: string }[];
    readonly unreachable: readonly string[];
  };
  // What git alone decides is decided.
  expect(results.every(({ outcome }) => outcome === 'refused')).toBe(true);
  expect(unreachable).toEqual(expect.arrayContaining(['ERR_ENGINE_UNAVAILABLE', 'ERR_ACCESS_UNAVAILABLE']));
});

test('run does not start with tokens that may too much, and says of each how to mend it (S1.3, S1.6, R5)', async () => {
  await deploy();
  const { code, stdout, stderr } = await say(bench.root, ['run', '--once', '--json'], admin());
  expect(code).toBe(1);
  const { checks } = JSON.parse(stdout) as { checks: readonly { readonly code: string; readonly fix: string }[] };
  expect(new Set(checks.map((check) => check.code))).toEqual(new Set(['ERR_ENGINE_EXCESS', 'ERR_ACCESS_EXCESS']));
  expect(checks.every(({ fix }) => fix !== '')).toBe(true);
  expect(stderr).toContain('"not started"');
});
