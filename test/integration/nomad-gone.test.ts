import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/adapters/clock.ts';
import { TIMING, type Timing } from '../../src/adapters/engines/nomad/timing.ts';
import type { EngineTools } from '../../src/adapters/factory.ts';
import type { Run } from '../../src/domain/run.ts';
import { TransientError } from '../../src/errors.ts';
import type { Engine } from '../../src/ports/engine.ts';
import type { FakeNomadOptions } from '../fakes/nomad/fake-nomad.ts';
import { type FollowedRun, FollowedRuns } from '../fakes/nomad/followed-runs.ts';
import type { ChildPlan, ScriptedDriver } from '../fakes/nomad/scripted-driver.ts';
import type { FakeNomadBench } from '../fakes/nomad-bench.ts';
import { textOf, until } from '../fakes/until.ts';

const WHY = { kind: 'cancel', by: 'somebody', message: 'no longer wanted' } as const;
const EXIT_0 = { kind: 'exited', exitCode: 0 };

let runs: FollowedRuns;
let bench: FakeNomadBench;
let driver: ScriptedDriver;

async function open(plan?: ChildPlan, options: FakeNomadOptions = {}, timing: Partial<Timing> = {}): Promise<Engine> {
  runs = await FollowedRuns.open(plan, options);
  ({ bench, driver } = runs);
  return bench.engine(timing);
}

const dispatch = (engine: Engine): Promise<Run> => runs.dispatch(engine);
const follow = (engine: Engine, run: Run): FollowedRun => runs.follow(engine, run);

/** A run that is held, with somebody who follows it. */
async function running(plan?: ChildPlan, timing: Partial<Timing> = {}, tools: Partial<EngineTools> = {}) {
  await open(plan);
  return runs.running(timing, tools);
}

afterEach(() => runs.close());

describe('a run whose place is gone', () => {
  it('is lost, and what Nomad placed instead is stopped and never credited (R5, E4)', async () => {
    const { run, followed } = await running();
    driver.plan = () => ({ held: true, outcome: 'killed-15' });
    bench.nomad.loseNode(run.id);
    expect(await followed.end()).toEqual({ kind: 'lost', message: 'alloc is lost since its node is down' });
    expect(bench.nomad.job(run.id).Stop).toBe(true);
    expect(bench.nomad.allocation(run.id)).toMatchObject({ DesiredStatus: 'stop', ClientStatus: 'complete' });
    expect(bench.warnings).toEqual([
      {
        message: 'a run can be started a second time by the engine and is stopped',
        fields: { run: run.id, end: 'lost' },
      },
      { message: 'the output of a run can not be read', fields: { run: run.id, err: expect.any(TransientError) } },
    ]);
  });

  it('is lost with the output that was kept of it, and nobody waits for more of it (R10, E4)', async () => {
    const { engine, run, followed } = await running();
    driver.print(run.id, 'stdout', 'said before');
    await until('it is kept', () => textOf(engine.logs(run, 'stdout', 0)));
    bench.nomad.loseNode(run.id, { replace: false });
    expect(await followed.end()).toMatchObject({ kind: 'lost' });
    const restarted = bench.engine();
    expect(await follow(restarted, run).end()).toMatchObject({ kind: 'lost' });
    for (const each of [engine, restarted]) {
      expect(await textOf(each.logs(run, 'stdout', 0))).toBe('said before');
      expect(await textOf(each.logs(run, 'stderr', 0))).toBe('');
    }
  });

  it('is lost only when its replacement is known to be stopped, whatever fails meanwhile (R5, E4)', async () => {
    const { run, followed } = await running();
    bench.nomad.faults.answer(503, 'busy', { times: 3, pattern: /^DELETE/ });
    bench.nomad.loseNode(run.id);
    expect(await followed.end()).toMatchObject({ kind: 'lost' });
    expect(bench.nomad.count('stop')).toBe(4);
    expect(bench.nomad.job(run.id).Stop).toBe(true);
  });

  it('keeps its own end when it was rescheduled, and its replacement is stopped (R5)', async () => {
    const { run, followed } = await running();
    const tellEnd = bench.nomad.allocation(run.id).ID;
    bench.nomad.faults.answer(503, 'busy', { times: 1, pattern: /allocations/ });
    driver.release(run.id, 'exit-3');
    await until('it failed', () => bench.nomad.state.allocations.get(tellEnd)?.ClientStatus === 'failed');
    bench.nomad.reschedule(run.id);
    expect(await followed.end()).toMatchObject({ kind: 'exited', exitCode: 3 });
    await until('the replacement is stopped', () => bench.nomad.allocation(run.id).ClientStatus === 'complete');
    expect(bench.nomad.job(run.id).Stop).toBe(true);
  });
});

describe('a run that is stopped while its node is disconnected', () => {
  /** Time that a test lets pass at once. */
  function skippingClock() {
    let skipped = 0;
    const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + skipped };
    return { clock, skip: (ms: number) => void (skipped += ms) };
  }
  const MINUTE = 60_000;

  /** Away for all that time before it is stopped: that is Nomad's own matter. */
  async function stoppedWhileAway(plan: ChildPlan = { outcome: 'killed-15' }) {
    const { clock, skip } = skippingClock();
    const { engine, run, followed } = await running({ held: true, ...plan }, { reconcileMs: 20 }, { clock });
    const connect = bench.nomad.disconnectNode(run.id);
    await runs.lookedAt();
    skip(TIMING.lostAfterMs);
    await runs.lookedAt();
    const stop = async () => {
      await engine.cancel(run, WHY);
      await until('it is to stop', () => bench.nomad.allocation(run.id).DesiredStatus === 'stop');
      await runs.lookedAt();
      skip(TIMING.lostAfterMs - MINUTE);
      await runs.lookedAt();
      expect(bench.nomad.allocation(run.id).ClientStatus).toBe('unknown');
      expect(followed.states()).not.toContain('ended');
    };
    return { run, followed, connect, skip, stop };
  }

  it('is lost once its node was away for as long as its job allows, and not before (R9, E4)', async () => {
    const { followed, skip, stop } = await stoppedWhileAway();
    await stop();
    skip(MINUTE);
    expect(await followed.end()).toEqual({
      kind: 'lost',
      message: 'its node is disconnected, and it was stopped meanwhile',
    });
  });

  it('is stopped when its node comes back in time, and tells its true end (R9)', async () => {
    const { followed, connect, stop } = await stoppedWhileAway();
    await stop();
    connect();
    expect(await followed.end()).toMatchObject({ kind: 'exited', exitCode: 137, signal: 'SIGKILL' });
  });

  it('has as much time again when its node goes away once more (R9)', async () => {
    const { run, followed, connect, skip, stop } = await stoppedWhileAway({ outcome: 'stopped', stopHeld: true });
    await stop();
    connect();
    await runs.lookedAt();
    const connectAgain = bench.nomad.disconnectNode(run.id);
    await runs.lookedAt();
    skip(2 * MINUTE);
    await runs.lookedAt();
    expect(followed.states()).not.toContain('ended');
    connectAgain();
    driver.release(run.id);
    expect(await followed.end()).toMatchObject({ kind: 'exited', exitCode: 137, signal: 'SIGKILL' });
  });

  it('tells how it had ended meanwhile when its node comes back in time (R9)', async () => {
    const { run, followed, connect, stop } = await stoppedWhileAway();
    driver.release(run.id, 'exit-3');
    await runs.lookedAt();
    await stop();
    connect();
    expect(await followed.end()).toMatchObject({ kind: 'exited', exitCode: 3, signal: null });
  });
});

describe('a run that the engine has forgotten', () => {
  it('is unknown when two answers agree, and its output is what was kept of it (E5)', async () => {
    const { engine, run, followed } = await running({ held: true }, { reconcileMs: 100 });
    driver.print(run.id, 'stdout', 'said before');
    await until('it is kept', () => textOf(engine.logs(run, 'stdout', 0)));
    bench.nomad.collectFromServer(run.id);
    expect(await followed.end()).toEqual({ kind: 'unknown', message: 'the engine keeps nothing of it any more' });
    expect(await textOf(engine.logs(run, 'stdout', 0))).toBe('said before');
    expect(await textOf(bench.engine().logs(run, 'stdout', 0))).toBe('said before');
  });

  it('is unknown when it was purged while it ran (E5)', async () => {
    const { run, followed } = await running();
    bench.nomad.purge(run.id);
    expect(await followed.end()).toMatchObject({ kind: 'unknown' });
  });

  it('is not unknown for one answer that does not know it (E5)', async () => {
    const engine = await open({ outcome: 'constraint' });
    const run = await dispatch(engine);
    bench.nomad.faults.answer(404, 'job not found', { times: 1, pattern: /GET \/v1\/job\/[^/]+\?/ });
    const followed = follow(engine, run);
    await until('it waits', () => followed.told.some((status) => status.state === 'queued' && status.message !== null));
    await engine.cancel(run, WHY);
    expect(await followed.end()).toMatchObject({ kind: 'not-started' });
  });

  it('has its end and its output when only its logs were collected, since they were kept while it ran (R10)', async () => {
    const { engine, run, followed } = await running();
    driver.print(run.id, 'stdout', 'said while it ran');
    const spooled = () => bench.read(`cache/spool/${run.token}/stdout`);
    await until('it is kept', async () => {
      bench.nomad.streams.end();
      return (await spooled()) === 'said while it ran';
    });
    bench.nomad.collectFromClient(run.id);
    driver.release(run.id);
    expect(await followed.end()).toMatchObject(EXIT_0);
    expect(await textOf(engine.logs(run, 'stdout', 0))).toBe('said while it ran');
  });

  it('has its output after its end, although the engine kept nothing (R10)', async () => {
    const { engine, run, followed } = await running();
    driver.print(run.id, 'stderr', 'last words');
    driver.release(run.id);
    await followed.end();
    bench.nomad.collectFromServer(run.id);
    expect(await textOf(engine.logs(run, 'stderr', 0))).toBe('last words');
    expect(await textOf(bench.engine().logs(run, 'stderr', 5))).toBe('words');
  });
});
