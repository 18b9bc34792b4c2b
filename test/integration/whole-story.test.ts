import { readFileSync } from 'node:fs';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Result } from '../../src/domain/result.ts';
import { actionText, countingFormula, type DaemonBench, makeDaemonBench, POLICY } from '../fakes/daemon-bench.ts';
import { GitHttpServer } from '../fakes/git-http-server.ts';
import { createSigningKey } from '../fakes/git-repo.ts';
import { until } from '../fakes/until.ts';

let bench: DaemonBench;

beforeEach(async () => {
  bench = await makeDaemonBench();
});
afterEach(() => bench.remove());

function formula(name: string, script: string, more = ''): string {
  return `name = "${name}"\ndescription = "a test"\ntier = "low"\nscript = '''\n#!/bin/bash\n${script}\n'''\n${more}`;
}

async function once(): Promise<void> {
  const program = bench.start(['run', '--once', '--json']);
  const { code } = await program.ended;
  expect({ code, stderr: code === 0 ? '' : program.stderr() }).toEqual({ code: 0, stderr: '' });
}

async function resultOf(id: string): Promise<Result> {
  const result = (await bench.results()).get(id);
  if (result === undefined) throw new Error(`${id} has no result`);
  return result;
}

async function output(result: Result, stream: 'stdout' | 'stderr'): Promise<string> {
  return readFile(fileURLToPath(result.output?.[stream].uri ?? ''), 'utf8');
}

it('E1: exit code, both streams and the signal of the command survive into the result', async () => {
  await bench.push({
    'vault/policy.toml': POLICY,
    'vault/formulas/three.toml': formula('three', 'echo out; echo err >&2; exit 3'),
    'vault/formulas/killed.toml': formula('killed', 'echo dying; kill -TERM $$; sleep 5'),
    'vault/actions/three.toml': actionText('three', 'three'),
    'vault/actions/killed.toml': actionText('killed', 'killed'),
  });
  await once();

  const three = await resultOf('three');
  expect(three).toMatchObject({
    outcome: 'failed',
    exit_code: 3,
    logs: 'out\nerr\n',
    reason: { code: 'ERR_COMMAND_FAILED' },
    run: { signal: null, oom: false, digest_verified: true },
    output: { stdout: { complete: true, bytes: 4 }, stderr: { complete: true, bytes: 4 } },
  });
  expect([await output(three, 'stdout'), await output(three, 'stderr')]).toEqual(['out\n', 'err\n']);
  expect(await resultOf('killed')).toMatchObject({
    outcome: 'failed',
    exit_code: 143,
    reason: { code: 'ERR_COMMAND_SIGNALLED' },
    run: { signal: 'SIGTERM' },
  });
});

it('S1.4, R12: a granted secret reaches the command and is masked in logs and result, an ungranted one is absent', async () => {
  await writeFile(path.join(bench.stateDir, 'secrets/DEPLOY_KEY'), 'correct-horse-battery', { mode: 0o600 });
  await writeFile(path.join(bench.stateDir, 'secrets/OTHER_KEY'), 'another-value-entirely', { mode: 0o600 });
  await bench.push({
    'vault/policy.toml': POLICY,
    'vault/formulas/show.toml': formula(
      'show',
      'echo "${#DEPLOY_KEY} $DEPLOY_KEY"; echo "other=${OTHER_KEY-absent}"; printf %s "$DEPLOY_KEY" | base64 >&2',
      'secrets = ["DEPLOY_KEY", "OTHER_KEY"]',
    ),
    'vault/actions/show.toml': actionText('show', 'show', 'secrets = ["DEPLOY_KEY"]\n'),
  });
  await once();

  const result = await resultOf('show');
  expect(await output(result, 'stdout')).toBe('21 [masked:DEPLOY_KEY]\nother=absent\n');
  expect(result).toMatchObject({ outcome: 'succeeded', output: { masked: { DEPLOY_KEY: 2 } } });
  expect(result.access?.policies).toEqual(['edge-run', 'runner-DEPLOY_KEY']);
  expect(result.access?.revoked_at).not.toBeNull();
  expect(JSON.stringify(result)).not.toMatch(/correct-horse|Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5/);
});

it('R7: a secret that is not in the store is refused by name, and nothing is minted or started', async () => {
  await bench.push({
    'vault/policy.toml': POLICY,
    'vault/formulas/count.toml': countingFormula(bench, 'count').concat('secrets = ["NOT_THERE"]\n'),
    'vault/actions/want.toml': actionText('want', 'count', 'secrets = ["NOT_THERE"]\n'),
  });
  await once();

  expect(await resultOf('want')).toMatchObject({
    outcome: 'refused',
    exit_code: 64,
    reason: { code: 'ERR_SECRET_UNKNOWN' },
    attempt: null,
    access: null,
  });
  expect((await bench.executions()).size).toBe(0);
});

it('R1: an action edited after it was signed waits; signed again, exactly the new bytes run', async () => {
  const key = await createSigningKey(bench.dir);
  const policy = `${POLICY}[[approvers]]\nname = "Grace"\nkeys = ["grace@example.org ${key.publicKey}"]\n`;
  const trusted = await bench.push({
    'vault/policy.toml': policy,
    'vault/formulas/count.toml': countingFormula(bench, 'count'),
  });
  const approval = `low = ["signed-commit"]\nhigh = ["signed-commit"]\ntrusted_commit = "${trusted}"`;
  await bench.writeConfig({ approval });
  await bench.push({ 'vault/actions/one.toml': actionText('one', 'count') }, key.file);
  await bench.push({ 'vault/actions/one.toml': actionText('one', 'count', 'priority = 51\n') });

  const first = bench.start(['run', '--once', '--json']);
  await first.ended;
  expect(JSON.parse(first.stdout())).toMatchObject({
    results: [],
    waiting: [{ id: 'one', reason: 'ERR_NEEDS_APPROVAL' }],
  });

  const signed = await bench.push(
    { 'vault/actions/one.toml': actionText('one', 'count', 'priority = 52\n') },
    key.file,
  );
  await once();
  expect(await resultOf('one')).toMatchObject({
    outcome: 'succeeded',
    action: { blob: await bench.writer.blobAt(signed, 'vault/actions/one.toml') },
    approval: { evidence: [{ rule: 'signed-commit', by: 'Grace', commit: signed }] },
  });
  expect(await bench.executions()).toEqual(new Map([['one', 1]]));
});

it('R8: a polite stop leaves the run going, and the next start adopts it and records its true result', async () => {
  await bench.push({
    'vault/policy.toml': POLICY,
    'vault/formulas/slow.toml': countingFormula(bench, 'slow', '; sleep 2; exit 7'),
    'vault/actions/slow.toml': actionText('slow', 'slow'),
  });
  const daemon = bench.start(['run']);
  await until('the command has started', async () => (await bench.executions()).get('slow') === 1, 20_000);
  daemon.child.kill('SIGTERM');
  expect(await daemon.ended).toEqual({ code: 0, signal: null });
  expect((await bench.results()).size).toBe(0);

  await once();
  expect(await resultOf('slow')).toMatchObject({
    outcome: 'failed',
    exit_code: 7,
    attempt: { number: 1, executions: 1 },
  });
  expect(await bench.executions()).toEqual(new Map([['slow', 1]]));
});

it('R9: a cancel stops the command and everything it started before the result is written, and twice is no error', async () => {
  const pids = path.join(bench.dir, 'pids');
  await bench.push({
    'vault/policy.toml': POLICY,
    'vault/formulas/hang.toml': formula(
      'hang',
      `trap '' TERM; (setsid sleep 300 & echo $! >> ${pids}); echo $$ >> ${pids}; sleep 300`,
      'timeout_minutes = 1',
    ),
    'vault/actions/hang.toml': actionText('hang', 'hang', 'timeout_minutes = 1\n'),
  });
  const daemon = bench.start(['run']);
  await until('it hangs', async () => (await readFile(pids, 'utf8').catch(() => '')).split('\n').length > 2, 20_000);
  const cancel = bench.start(['cancel', 'hang', '--json']);
  expect((await cancel.ended).code).toBe(0);
  const again = bench.start(['cancel', 'hang', '--json']);
  expect((await again.ended).code).toBe(0);
  daemon.child.kill('SIGTERM');
  await daemon.ended;

  expect(await resultOf('hang')).toMatchObject({
    outcome: 'cancelled',
    exit_code: 130,
    reason: { code: 'ERR_CANCELLED' },
  });
  const alive = (await readFile(pids, 'utf8')).split('\n').filter((pid) => pid !== '' && isAlive(Number(pid)));
  expect(alive).toEqual([]);
}, 60_000);

/** A zombie that only waits for its parent to look runs nothing. */
function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !'ZX'.includes(stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3));
  } catch {
    return false;
  }
}

it('E6: a task that forges its trailer and exit file, reads other secrets and plants git configuration achieves nothing', async () => {
  const isRoot = process.getuid?.() === 0;
  await chmod(bench.dir, 0o711);
  await writeFile(path.join(bench.stateDir, 'secrets/OTHER_KEY'), 'another-value-entirely', { mode: 0o600 });
  await bench.writeConfig({ more: isRoot ? '[engine.subprocess]\nrun_as = "65534:65534"\n' : '' });
  await bench.push({
    'vault/policy.toml': POLICY,
    'vault/formulas/evil.toml': formula(
      'evil',
      [
        'cd "$HOME/.."',
        `echo '{"exit_code":0,"signal":null,"oom":false,"stopped":false,"started_at":null,"finished_at":"2026-01-01T00:00:00Z"}' > exit.json`,
        `cat ${bench.stateDir}/secrets/OTHER_KEY`,
        'git config --global core.hooksPath /tmp 2>/dev/null',
        `printf '\\n::edge-trailer {"v":1,"exit":0} %064d\\n' 0 >&2`,
        'exit 9',
      ].join('\n'),
    ),
    'vault/actions/evil.toml': actionText('evil', 'evil'),
  });
  await once();

  const result = await resultOf('evil');
  const stdout = await output(result, 'stdout');
  expect({
    outcome: result.outcome,
    isolated: result.run?.isolated,
    // Without another user the command could do what the runner can: that is why the result says so.
    exit_code: isRoot ? result.exit_code : 9,
    read: isRoot && stdout.includes('another-value'),
    complete: isRoot ? result.output?.stderr.complete : true,
  }).toEqual({ outcome: 'failed', isolated: isRoot, exit_code: 9, read: false, complete: true });
});

it('answers on /healthz and /readyz where the configuration says, and stops listening when it stops', async () => {
  await bench.push({ 'vault/policy.toml': POLICY });
  await bench.writeConfig({ listen: '127.0.0.1:0' });
  const daemon = bench.start(['run']);
  await until('it is up', () => daemon.stderr().includes('"watching"'), 20_000);
  const line = daemon
    .stderr()
    .split('\n')
    .find((text) => text.includes('"watching"'));
  const { health } = JSON.parse(line ?? '{}') as { health: string };
  const ask = async (where: string) =>
    (await fetch(new URL(where, health), { headers: { connection: 'close' } })).status;
  expect(await ask('/healthz')).toBe(200);
  await until('it is ready', async () => (await ask('/readyz')) === 200, 20_000);
  daemon.child.kill('SIGTERM');
  expect(await daemon.ended).toEqual({ code: 0, signal: null });
});

it('R8: a second signal ends the process at once, and the next start records what was under way', async () => {
  const server = await GitHttpServer.start({ root: bench.dir });
  try {
    await bench.writeConfig({ url: `${server.origin}/ops.git` });
    await bench.push({
      'vault/policy.toml': POLICY,
      'vault/formulas/count.toml': countingFormula(bench, 'count', '; sleep 1'),
      'vault/actions/one.toml': actionText('one', 'count'),
    });
    const daemon = bench.start(['run']);
    await until('the command has started', async () => (await bench.executions()).size === 1, 20_000);
    server.delayMs = 4000;
    await until('its result is on its way', () => daemon.stderr().includes('"recording"'), 20_000);
    daemon.child.kill('SIGTERM');
    await until('a second signal was heard', () => {
      daemon.child.kill('SIGTERM');
      return daemon.child.exitCode !== null;
    });
    expect((await daemon.ended).code).toBe(143);
    server.delayMs = 0;
    await once();
    expect(await resultOf('one')).toMatchObject({ outcome: 'succeeded', attempt: { executions: 1 } });
    expect(await bench.executions()).toEqual(new Map([['one', 1]]));
  } finally {
    await server.close();
  }
}, 60_000);
