import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readBootId, readStat } from '../../src/adapters/process-identity.ts';
import type { AttemptToken } from '../../src/domain/ids.ts';
import type { Run } from '../../src/domain/run.ts';
import type { Exit, Started } from '../../src/domain/run-directory.ts';
import type { Engine } from '../../src/ports/engine.ts';
import { endOf, randomToken } from '../contract/engine.contract.ts';
import { ANY_PAYLOAD, SubprocessBench } from '../fakes/subprocess-bench.ts';
import { until } from '../fakes/until.ts';

const EXIT: Exit = {
  exit_code: 0,
  signal: null,
  oom: false,
  stopped: false,
  started_at: '2026-11-21T03:00:00.000Z',
  finished_at: '2026-11-21T03:04:05.000Z',
};

describe('runs that another daemon started', () => {
  let bench: SubprocessBench;
  let engine: Engine;
  let runner: ChildProcess;

  beforeEach(async () => {
    bench = await SubprocessBench.open();
    engine = bench.engine();
    runner = spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' });
    await once(runner, 'spawn');
  });

  afterEach(async () => {
    if (runner.exitCode === null && runner.signalCode === null) {
      runner.kill('SIGKILL');
      await once(runner, 'exit');
    }
    await bench.close();
  });

  it('are all adopted, 1,000 of them in 5 s (R8)', async () => {
    const tokens = Array.from({ length: 1_000 }, () => leaveRun({}));
    const start = performance.now();
    const controller = new AbortController();
    let adopted = 0;
    const watches = tokens.map(async (token) => {
      const run = await engine.find({ token, payloadSha256: ANY_PAYLOAD });
      for await (const status of engine.watch(run ?? runOf(token), controller.signal)) {
        if (status.state === 'running') adopted += 1;
      }
    });
    await until('all are known to run', () => adopted === 1_000, 5_000 - (performance.now() - start)).finally(() =>
      controller.abort(),
    );
    await Promise.all(watches);
    expect(adopted).toBe(1_000);
  });

  it('that all ended meanwhile are told as they ended (R8)', async () => {
    const tokens = Array.from({ length: 200 }, (_, i) => {
      const token = leaveRun({ start_time: '1' });
      writeFileSync(bench.file(token, 'exit.json'), JSON.stringify({ ...EXIT, exit_code: i % 7 }));
      return token;
    });
    const ends = await Promise.all(tokens.map((token) => endOf(engine, runOf(token))));
    expect(ends.map((end) => end.kind === 'exited' && end.exitCode)).toEqual(tokens.map((_, i) => i % 7));
    expect(ends[0]).toMatchObject({ startedAt: EXIT.started_at, finishedAt: EXIT.finished_at });
  });

  it('are unknown when their pid belongs to another process now, which is left alone', async () => {
    const token = leaveRun({ start_time: '1' });
    await engine.cancel(runOf(token), { kind: 'cancel', by: 'x', message: 'x' });
    expect(await endOf(engine, runOf(token))).toMatchObject({ kind: 'unknown' });
    expect(runner.signalCode).toBeNull();
    expect(readStat(runner.pid ?? 0)?.state).toMatch(/^[RS]$/);
  });

  it('are lost when the machine was started anew since, whatever has their pid now', async () => {
    const token = leaveRun({ boot_id: 'an earlier one' });
    expect(await endOf(engine, runOf(token))).toMatchObject({ kind: 'lost' });
    expect(readStat(runner.pid ?? 0)?.state).toMatch(/^[RS]$/);
  });

  it('are told as they ended when the machine was started anew after their end', async () => {
    const token = leaveRun({ boot_id: 'an earlier one' });
    writeFileSync(bench.file(token, 'exit.json'), JSON.stringify({ ...EXIT, exit_code: 9 }));
    expect(await endOf(engine, runOf(token))).toMatchObject({ kind: 'exited', exitCode: 9 });
  });

  it('are known as ended by us when we died between the kill and the note of their end (R9)', async () => {
    const token = leaveRun({ start_time: '1' });
    writeFileSync(bench.file(token, 'killed'), '');
    expect(await endOf(engine, runOf(token))).toMatchObject({ kind: 'exited', exitCode: 137, signal: 'SIGKILL' });
  });

  it('are unknown when nothing is kept of them here', async () => {
    expect(await endOf(engine, runOf(randomToken()))).toMatchObject({ kind: 'unknown' });
    expect(existsSync(bench.aside('runs'))).toBe(false);
  });

  it('are watched on when their files could not be read for a while (E2)', async () => {
    const token = leaveRun({ start_time: '1' });
    mkdirSync(bench.file(token, 'exit.json'));
    const end = endOf(engine, runOf(token));
    await until('it was noticed', () => bench.warnings.length > 0);
    rmdirSync(bench.file(token, 'exit.json'));
    expect(await end).toMatchObject({ kind: 'unknown' });
    expect(bench.warnings.map((warning) => warning.message)).toEqual(['the state of a run can not be read']);
  });

  it('of another user get a directory that this user can pass through, where we are root', async () => {
    const isolated = bench.engine({}, '65534:65534');
    const isRoot = process.getuid?.() === 0;
    expect(isolated.isolated).toBe(isRoot);
    const token = randomToken();
    const dispatched = isolated.dispatch(bench.request(token, { script: '' }));
    const outcome = await dispatched.then(
      () => statSync(bench.file(token)).mode & 0o777,
      (error: Error) => error.message,
    );
    expect(outcome).toBe(isRoot ? 0o711 : 'only root can run commands as another user');
  });

  it('of another user are checked for a way to their directory', async () => {
    const passages = async () =>
      (await bench.engine({}, '65534:65534').check()).filter(({ ok }) => !ok).map(({ name }) => name);
    const wrong = process.getuid?.() === 0 ? 'engine.subprocess.passage' : 'engine.subprocess.isolation';
    expect(await passages()).toEqual([wrong]);
    chmodSync(bench.stateDir, 0o711);
    expect(await passages()).toEqual(process.getuid?.() === 0 ? [] : [wrong]);
  });

  /** The directory of a run whose runner is `sleep`, unless the change says otherwise. */
  function leaveRun(change: Partial<Started>): AttemptToken {
    const token = randomToken();
    const pid = runner.pid ?? 0;
    const started = {
      pid,
      start_time: readStat(pid)?.startTime,
      boot_id: readBootId(),
      at: EXIT.started_at,
      ...change,
    };
    mkdirSync(bench.file(token), { recursive: true });
    writeFileSync(bench.file(token, 'started'), JSON.stringify(started));
    return token;
  }
});

const runOf = (token: AttemptToken): Run => ({ token, id: `subprocess/${token}`, node: null });
