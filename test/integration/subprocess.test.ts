import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import process from 'node:process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readStat } from '../../src/adapters/process-identity.ts';
import type { AttemptToken } from '../../src/domain/ids.ts';
import type { Run } from '../../src/domain/run.ts';
import { StalledError, TransientError } from '../../src/errors.ts';
import type { Engine } from '../../src/ports/engine.ts';
import { endOf, randomToken } from '../contract/engine.contract.ts';
import { ANY_PAYLOAD, type StandInJob, SubprocessBench } from '../fakes/subprocess-bench.ts';
import { WANTED } from '../fakes/tools.ts';
import { textOf, until } from '../fakes/until.ts';

const WHY = { kind: 'cancel', by: 'somebody', message: 'no longer wanted' } as const;
const HOLD = 'while :; do sleep 0.02; done';

describe('the subprocess engine', () => {
  let bench: SubprocessBench;
  let engine: Engine;
  let token: AttemptToken;
  const dispatch = (job: StandInJob): Promise<Run> => engine.dispatch(bench.request(token, job));
  const modeOf = (name: string): number => statSync(bench.file(token, name)).mode & 0o777;

  beforeEach(async () => {
    bench = await SubprocessBench.open();
    engine = bench.engine();
    token = randomToken();
  });

  afterEach(() => bench.close());

  describe('starting a run', () => {
    it('gives the runner nothing of its own environment (R14)', async () => {
      process.env['EDGE_FORGE_TOKEN'] = 'a credential of the daemon';
      const run = await dispatch({ script: 'echo "$RUNNER_ENVIRONMENT"' }).finally(
        () => delete process.env['EDGE_FORGE_TOKEN'],
      );
      await endOf(engine, run);
      expect(await textOf(engine.logs(run, 'stdout', 0))).toBe('LANG,PATH\n');
    });

    it('starts the runner in a session of its own, so that it outlives us (R16)', async () => {
      await dispatch({ script: HOLD });
      const pid = await bench.runnerPid(token);
      expect(readStat(pid)).toMatchObject({ session: pid, group: pid, terminal: 0 });
    });

    it('keeps request and output from the eyes of other users', async () => {
      await expect(dispatch({ script: '', knob: 'crash' })).rejects.toThrow(TransientError);
      expect([modeOf(''), modeOf('payload'), modeOf('host.json'), modeOf('stderr')]).toEqual([
        0o700, 0o600, 0o600, 0o600,
      ]);
    });

    it('is an outage when the runner ends before it has started, and can be tried again', async () => {
      await expect(dispatch({ script: '', knob: 'crash' })).rejects.toMatchObject({
        code: 'ERR_ENGINE_UNAVAILABLE',
        message: 'the runner ended with exit code 7 before it had started',
      });
      expect(await engine.find({ token, payloadSha256: ANY_PAYLOAD })).toBeNull();
      expect(await endOf(engine, await dispatch({ script: 'exit 3' }))).toMatchObject({ exitCode: 3 });
    });

    it('is an outage when there is no runner to start', async () => {
      const broken = bench.engine({ runner: [bench.aside('no-such-runner')] });
      await expect(broken.dispatch(bench.request(token, { script: '' }))).rejects.toThrow(TransientError);
      expect((await broken.check()).filter((check) => !check.ok).map((check) => check.name)).toEqual([
        'engine.subprocess.runner',
      ]);
    });

    it('does not wait for ever for a runner that does nothing, and can withdraw it', async () => {
      const hasty = bench.engine({}, '', { startMs: 300 });
      await expect(hasty.dispatch(bench.request(token, { script: '', knob: 'silent' }))).rejects.toThrow(
        TransientError,
      );
      const run = { token, id: `subprocess/${token}`, node: null };
      const statuses = hasty.watch(run, AbortSignal.timeout(10_000))[Symbol.asyncIterator]();
      expect((await statuses.next()).value).toMatchObject({ state: 'queued' });
      await hasty.cancel(run, WHY);
      expect((await statuses.next()).value).toMatchObject({ state: 'ended', end: { kind: 'not-started' } });
      expect((await statuses.next()).done).toBe(true);
    });

    it('stops waiting when it is told to', async () => {
      const request = bench.request(token, { script: '', knob: 'silent' });
      await expect(engine.dispatch(request, AbortSignal.timeout(50))).rejects.toThrow(/abort|timeout/);
    });

    it('gives the run the mounts that it names and no others (S3)', async () => {
      await mkdir(bench.aside('ssh'));
      const mounts = {
        ssh: { path: bench.aside('ssh'), hostVolume: null },
        gpg: { path: bench.aside('ssh'), hostVolume: null },
        sops: { path: '/nowhere', hostVolume: null },
      };
      const mounted = bench.engine({ wanted: { ...WANTED, mounts } });
      await mounted.dispatch(bench.request(token, { script: '' }, 'ssh'));
      const host: unknown = JSON.parse(await readFile(bench.file(token, 'host.json'), 'utf8'));
      expect(host).toEqual({ mounts: { ssh: bench.aside('ssh') }, run_as: null, grace_ms: 400 });
    });

    it.each(['sops', 'tls', 'constructor'])(
      'says that the mount %s is not to be had here, and starts nothing (S3)',
      async (name) => {
        const mounts = { sops: { path: '/nowhere', hostVolume: null } };
        const mounted = bench.engine({ wanted: { ...WANTED, mounts } });
        await expect(mounted.dispatch(bench.request(token, { script: '' }, name))).rejects.toThrow(StalledError);
        expect(existsSync(bench.file(token))).toBe(false);
      },
    );

    it('starts nothing for a user that is not to be had, instead of starting it as itself', async () => {
      const isolated = bench.engine({}, 'no-such-user');
      await expect(isolated.dispatch(bench.request(token, { script: '' }))).rejects.toThrow(StalledError);
      expect(isolated.isolated).toBe(false);
      expect(existsSync(bench.file(token))).toBe(false);
    });

    it('refuses a token that is a path', async () => {
      expect(() => engine.find({ token: '../../etc' as AttemptToken, payloadSha256: ANY_PAYLOAD })).toThrow(
        'not an attempt token',
      );
    });
  });

  describe('stopping a run', () => {
    it('kills a command that does not hear TERM (R9)', async () => {
      const run = await dispatch({ script: `trap '' TERM; echo ready; ${HOLD}` });
      await until('it is ready', async () => await textOf(engine.logs(run, 'stdout', 0)));
      await engine.cancel(run, WHY);
      expect(await endOf(engine, run)).toMatchObject({ kind: 'exited', exitCode: 137, signal: 'SIGKILL' });
    });

    it('kills a runner that does not hear TERM, with all it started, and knows that it did (R9)', async () => {
      const run = await dispatch({ script: `echo $$; ${HOLD}`, knob: 'stuck' });
      const command = Number(await until('it is ready', () => textOf(engine.logs(run, 'stdout', 0))));
      await engine.cancel(run, WHY);
      expect(await endOf(engine, run)).toMatchObject({ kind: 'exited', exitCode: 137, signal: 'SIGKILL' });
      expect(isRunning(command)).toBe(false);
      expect(await endOf(bench.engine(), run)).toMatchObject({ kind: 'exited', exitCode: 137, signal: 'SIGKILL' });
    });

    it('kills a stuck runner also when we were started anew after the wish (R9)', async () => {
      const run = await dispatch({ script: HOLD, knob: 'stuck' });
      await engine.cancel(run, WHY);
      expect(await endOf(bench.engine(), run)).toMatchObject({ kind: 'exited', signal: 'SIGKILL' });
    });

    it('gives a runner its time after the wish, and a second wish gives no more (R9)', async () => {
      const patient = bench.engine({}, '', { graceMs: 60_000 });
      const run = await dispatch({ script: HOLD, knob: 'stuck' });
      await patient.cancel(run, WHY);
      const noted = readFileSync(bench.file(token, 'stop.json'), 'utf8');
      await patient.cancel(run, WHY);
      expect(readFileSync(bench.file(token, 'stop.json'), 'utf8')).toBe(noted);
      expect(existsSync(bench.file(token, 'killed'))).toBe(false);
    });

    it('tells no end while a process that the command left behind lives (R9)', async () => {
      const run = await dispatch({ script: 'setsid sleep 1000 > /dev/null 2>&1 & echo $!' });
      const end = await endOf(engine, run);
      const left = Number(await textOf(engine.logs(run, 'stdout', 0)));
      expect(end).toMatchObject({ kind: 'exited', exitCode: 0 });
      expect(left).toBeGreaterThan(1);
      expect(isRunning(left)).toBe(false);
    });

    it('kills what a runner left behind that vanished (R9)', async () => {
      const run = await dispatch({ script: `echo $$; ${HOLD}` });
      const command = Number(await until('it is ready', () => textOf(engine.logs(run, 'stdout', 0))));
      process.kill(await bench.runnerPid(token), 'SIGKILL');
      expect(await endOf(engine, run)).toMatchObject({ kind: 'unknown' });
      expect(isRunning(command)).toBe(false);
    });

    it('does not wait for ever for a runner that lives on after its end (R9)', async () => {
      const run = await dispatch({ script: 'exit 3', lingerMs: 60_000 });
      expect(await endOf(engine, run)).toMatchObject({ kind: 'exited', exitCode: 3 });
      expect(isRunning(await bench.runnerPid(token))).toBe(false);
    });

    it('says of a runner that ended without a word that nobody knows', async () => {
      expect(await endOf(engine, await dispatch({ script: '', knob: 'mute' }))).toMatchObject({ kind: 'unknown' });
    });

    it('does not believe an end that is not whole', async () => {
      const run = await dispatch({ script: '' });
      await endOf(engine, run);
      await writeFile(bench.file(token, 'exit.json'), '{"exit_code": 0');
      expect(await endOf(bench.engine(), run)).toMatchObject({ kind: 'unknown' });
    });
  });

  describe('what it keeps of a run', () => {
    it('gives artifacts, and nothing that lies beside them (E6)', async () => {
      const run = await dispatch({ script: '' });
      await endOf(engine, run);
      await mkdir(bench.file(token, 'artifacts/dist'));
      await writeFile(bench.file(token, 'artifacts/dist/x.tgz'), 'packed');
      await symlink('/etc', bench.file(token, 'artifacts/etc'));
      await symlink('../host.json', bench.file(token, 'artifacts/link'));
      expect(await textOf(await engine.artifact(run, 'dist/x.tgz'))).toBe('packed');
      const strange = [
        '../host.json',
        '/etc/passwd',
        'etc/passwd',
        'link',
        'dist',
        '',
        '.',
        'a\0b',
        'none',
        'dist/../../started',
      ];
      expect(await Promise.all(strange.map((file) => engine.artifact(run, file)))).toEqual(strange.map(() => null));
    });

    it('does not follow a link in the place of the output (E6)', async () => {
      const run = await dispatch({ script: 'echo x' });
      await endOf(engine, run);
      await rm(bench.file(token, 'stdout'));
      await symlink('/etc/passwd', bench.file(token, 'stdout'));
      expect(await textOf(engine.logs(run, 'stdout', 0))).toBe('');
    });

    it('is freed also where the command took away the rights to it', async () => {
      const run = await dispatch({ script: 'mkdir -p a/b; touch a/b/c; chmod 000 a/b a' });
      await endOf(engine, run);
      await engine.forget(token);
      expect(existsSync(bench.file(token))).toBe(false);
    });

    it('is not freed while the run lives', async () => {
      const run = await dispatch({ script: HOLD });
      await expect(engine.forget(token)).rejects.toThrow(TransientError);
      expect(await engine.find({ token, payloadSha256: ANY_PAYLOAD })).toEqual(run);
    });
  });
});

function isRunning(pid: number): boolean {
  const stat = readStat(pid);
  return stat !== null && stat.state !== 'Z';
}
