import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { Result } from '../../src/domain/result.ts';
import { realServices } from '../fakes/services.ts';
import { type Action, openStage, type Stage } from '../fakes/stage.ts';
import { until } from '../fakes/until.ts';

/*
 * From an action to its result through a real Nomad and a real Vault (or OpenBao), by the built program only.
 * NOMAD_ADDR, NOMAD_TOKEN, VAULT_ADDR, VAULT_TOKEN: servers that are there, tokens of an administrator; everything is
 * made in a namespace, a mount and a role of its own and taken away afterwards. EDGE_SMOKE_RESTART_NOMAD: a command
 * that restarts that Nomad's agent. EDGE_SMOKE_EXEC_RUNNER: argv of the runner inside the exec driver's chroot.
 */
const given = inject('realServices');
const services = realServices({
  NOMAD_ADDR: needed('NOMAD_ADDR'),
  NOMAD_TOKEN: needed('NOMAD_TOKEN'),
  VAULT_ADDR: needed('VAULT_ADDR'),
  VAULT_TOKEN: needed('VAULT_TOKEN'),
});

function needed(name: string): string {
  const value = given[name];
  if (value !== undefined && value !== '') return value;
  throw new Error(`the smoke test needs ${name}; docs/operating.md, "Trying it on real servers", says what it is`);
}

/** Prints each variable that could be a secret as `NAME=<digest of its value>`: a digest is not masked. */
const SHOW = `for name in $(compgen -e | grep '^S[0-9A-F]*_' || true); do
  printf '%s=%s\\n' "$name" "$(printf %s "\${!name}" | sha256sum | cut -c 1-16)"
done`;
const digest = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 16);
const shown = (result: Result | undefined) =>
  (result?.logs ?? '').split('\n').filter((line) => /^S[0-9A-F]+_\d+=/.test(line));

/** What the run of an action with these secrets has to have been. */
function expectExactly(result: Result | undefined, secrets: readonly string[], valueOf: Stage['secretValue']): void {
  expect(result).toMatchObject({
    outcome: 'succeeded',
    access: { policies: ['edge-run', ...secrets.map((name) => `runner-${name}`)], revoked_at: expect.any(String) },
    run: { engine: 'nomad', isolated: false, digest_verified: true },
    output: { stdout: { complete: true } },
  });
  expect(shown(result)).toEqual(secrets.map((name) => `${name}=${digest(valueOf(name))}`));
}

const summary: string[] = [];
const note = (line: string): void => void summary.push(line);

afterAll(() => {
  process.stdout.write(`\nsmoke test, ${needed('NOMAD_ADDR')} and ${needed('VAULT_ADDR')}\n`);
  for (const line of summary) process.stdout.write(`  ${line}\n`);
});

describe('through a real Nomad and a real Vault, with raw_exec', () => {
  let stage: Stage;
  let daemon: ReturnType<Stage['start']>;

  beforeAll(async () => {
    stage = await openStage(services, {
      driver: 'raw_exec',
      secretCount: 6,
      formulas: () => ({
        show: { script: SHOW },
        tell: { script: `printf 'the value is %s\\n' "$(env | grep '^S[0-9A-F]*_' | cut -d= -f2)"` },
        fail: { script: 'echo to err >&2; exit 3' },
        wait: { script: 'echo begun; sleep 12; echo done' },
        'wait-long': { script: 'echo begun; sleep 600' },
      }),
    });
    daemon = stage.start();
  });

  afterAll(() => stage.remove());

  it('deploy shows no difference when it is asked again', async () => {
    const { code, stdout } = await stage.asAdmin('deploy', '--dry-run', '--json');
    const { changes } = JSON.parse(stdout) as { changes: { what: string; kind: string; difference: string[] }[] };
    expect({ code, changed: changes.filter(({ kind }) => kind !== 'same') }).toEqual({ code: 0, changed: [] });
    note(`deploy: ${changes.length} things registered, the second time all the same`);
  });

  it('doctor finds nothing wrong, and warns of what a rate of 600 a minute would need (R24)', async () => {
    const { code, stdout } = await stage.asDispatcher('doctor', '--json');
    const { checks } = JSON.parse(stdout) as { checks: { ok: boolean; code: string | null }[] };
    const wrong = checks.filter(({ ok }) => !ok).map(({ code: problem }) => problem);
    // At 600 dispatches a minute a Nomad that keeps jobs for its default of four hours would hold too many.
    expect({ code, wrong }).toEqual({ code: 0, wrong: ['ERR_RETENTION'] });
    note(`doctor: ${checks.length} checks, nothing wrong but the warning that 600 a minute are many`);
  });

  it('a run has exactly the secrets that it names, for every subset of six (S1.8, R15)', async () => {
    const subsets = Array.from({ length: 64 }, (_, bits) => stage.secrets.filter((_, index) => (bits >> index) & 1));
    const actions = subsets.map((secrets, index): Action => ({ id: `subset-${index}`, formula: 'show', secrets }));
    const start = performance.now();
    await stage.act(...actions);
    const results = await stage.results(
      actions.map(({ id }) => id),
      240,
    );
    const seconds = (performance.now() - start) / 1000;
    for (const { id, secrets = [] } of actions) expectExactly(results.get(id), secrets, stage.secretValue);
    note(`subsets: 64 of 64 runs had exactly their secrets, ${seconds.toFixed(1)} s in all`);
  });

  it('a secret that is printed is masked at the source (R12)', async () => {
    const [name = ''] = stage.secrets;
    await stage.act({ id: 'tell', formula: 'tell', secrets: [name] });
    const result = (await stage.results(['tell'])).get('tell');
    expect(result?.logs).not.toContain(stage.secretValue(name));
    expect(result?.output?.masked).toEqual({ [name]: 1 });
    note('masking: the printed value never left the run');
  });

  it('a formula that fails and one that is not there give a result with a non-zero code (S1.5)', async () => {
    await stage.act({ id: 'fails', formula: 'fail' }, { id: 'nobody', formula: 'no-such-formula' });
    const results = await stage.results(['fails', 'nobody']);
    expect(results.get('fails')).toMatchObject({ outcome: 'failed', exit_code: 3, logs: 'to err\n' });
    expect(results.get('nobody')).toMatchObject({ outcome: 'invalid', exit_code: 64 });
    note('failure: exit code 3 is recorded as 3; an unknown formula is invalid, 64');
  });

  it('a secret that is not in the store stops the action before anything is dispatched (S1.2, R7)', async () => {
    await stage.bench.pushOnTip({
      'vault/formulas/other.toml':
        'name = "other"\ndescription = "x"\ncommand = ["true"]\nsecrets = ["NOT_IN_THE_STORE"]\ntier = "low"\n',
    });
    await stage.act({ id: 'missing', formula: 'other', secrets: ['NOT_IN_THE_STORE'] });
    const result = (await stage.results(['missing'])).get('missing');
    expect(result).toMatchObject({ outcome: 'refused', reason: { code: 'ERR_SECRET_UNKNOWN' }, run: null });
    note('missing secret: refused before launch');
  });

  it('cancel really stops a run and records it (R9)', async () => {
    await stage.act({ id: 'cancelled', formula: 'wait-long' });
    await until(
      'it runs',
      async () => (await stage.asDispatcher('logs', 'cancelled')).stdout.includes('begun'),
      30_000,
    );
    const { code } = await stage.asDispatcher('cancel', 'cancelled');
    const result = (await stage.results(['cancelled'])).get('cancelled');
    expect({ code, outcome: result?.outcome, exit: result?.exit_code }).toEqual({
      code: 0,
      outcome: 'cancelled',
      exit: 130,
    });
    note('cancel: stopped, confirmed and recorded');
  });

  it('a deadline really stops a run (R9)', async () => {
    await stage.act({ id: 'late', formula: 'wait-long', more: 'timeout_minutes = 1' });
    const result = (await stage.results(['late'], 120)).get('late');
    expect(result).toMatchObject({ outcome: 'timed_out', exit_code: 124, reason: { code: 'ERR_DEADLINE' } });
    note('deadline: stopped after its minute');
  });

  it('a daemon that is killed while a run goes on finds it again and records its true end (R8)', async () => {
    await stage.act({ id: 'through-a-kill', formula: 'wait' });
    await until(
      'it runs',
      async () => (await stage.asDispatcher('logs', 'through-a-kill')).stdout.includes('begun'),
      30_000,
    );
    daemon.child.kill('SIGKILL');
    await daemon.ended;
    daemon = stage.start();
    const result = (await stage.results(['through-a-kill'])).get('through-a-kill');
    expect(result).toMatchObject({
      outcome: 'succeeded',
      logs: 'begun\ndone\n',
      attempt: { number: 1, executions: 1 },
    });
    note('killed daemon: the run was adopted, one execution, its true end');
  });

  it('a Nomad that is restarted while a run goes on loses nothing (E2)', async () => {
    await stage.act({ id: 'through-a-restart', formula: 'wait' });
    await until(
      'it runs',
      async () => (await stage.asDispatcher('logs', 'through-a-restart')).stdout.includes('begun'),
      30_000,
    );
    await promisify(execFile)('sh', ['-c', needed('EDGE_SMOKE_RESTART_NOMAD')]);
    const result = (await stage.results(['through-a-restart'], 120)).get('through-a-restart');
    expect(result).toMatchObject({
      outcome: 'succeeded',
      logs: 'begun\ndone\n',
      attempt: { number: 1, executions: 1 },
    });
    note('restarted Nomad: no verdict meanwhile, one execution, its true end');
  });
});

const MOUNTS = { ssh: 'ssh', gpg: 'gpg', sops: 'sops' };

describe('mounts, with exec', () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await openStage(services, {
      driver: 'exec',
      secretCount: 1,
      runner: needed('EDGE_SMOKE_EXEC_RUNNER').split(' '),
      volumes: { ...MOUNTS, absent: 'no-such-volume' },
      formulas: () => ({
        list: {
          script: `ls /mounts 2>/dev/null | tr '\\n' ' '; for m in /mounts/*/; do touch "$m/x" 2>/dev/null && echo "$m is writable"; done; true`,
        },
      }),
      more: '[limits]\nplacement_minutes = 1\nplacement = "stop"\n',
    });
    stage.start();
  });

  afterAll(() => stage.remove());

  it('each alone, together and none are there, read-only (S3)', async () => {
    const sets = [[], ['ssh'], ['gpg'], ['sops'], ['gpg', 'ssh'], ['gpg', 'sops', 'ssh']];
    const actions = sets.map((mounts): Action => ({ id: ['mounts', ...mounts].join('-'), formula: 'list', mounts }));
    await stage.act(...actions);
    const results = await stage.results(
      actions.map(({ id }) => id),
      120,
    );
    for (const { id, mounts = [] } of actions) {
      const { outcome, logs } = results.get(id) ?? {};
      expect({ id, outcome, logs }).toEqual({
        id,
        outcome: 'succeeded',
        logs: mounts.map((name) => `${name} `).join(''),
      });
    }
    note(`mounts: ${sets.length} sets of ssh, gpg and sops, each exactly there and read-only`);
  });

  it('a volume that no node has gives a visible reason and no endless wait (S3, R6)', async () => {
    await stage.act({ id: 'no-volume', formula: 'list', mounts: ['absent'] });
    const reason = await until(
      'the reason is shown',
      async () => {
        const { stdout } = await stage.asDispatcher('why', 'no-volume');
        return /missing compatible host volumes/.exec(stdout);
      },
      60_000,
    );
    const result = (await stage.results(['no-volume'], 150)).get('no-volume');
    expect(result).toMatchObject({
      outcome: 'timed_out',
      reason: { code: 'ERR_NOT_PLACED' },
      attempt: { executions: 0 },
    });
    note(`absent volume: shown as "${reason[0]}", ended after the placement time`);
  });
});
