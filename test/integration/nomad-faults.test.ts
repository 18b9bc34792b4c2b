import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/adapters/clock.ts';
import type { Timing } from '../../src/adapters/engines/nomad/timing.ts';
import type { Run } from '../../src/domain/run.ts';
import type { Engine } from '../../src/ports/engine.ts';
import type { FakeNomadOptions } from '../fakes/nomad/fake-nomad.ts';
import { type FollowedRun, FollowedRuns } from '../fakes/nomad/followed-runs.ts';
import type { ChildPlan, ScriptedDriver } from '../fakes/nomad/scripted-driver.ts';
import { type FakeNomadBench, LIMITS } from '../fakes/nomad-bench.ts';
import { until } from '../fakes/until.ts';

const WHY = { kind: 'cancel', by: 'somebody', message: 'no longer wanted' } as const;
const EXIT_0 = { kind: 'exited', exitCode: 0 };
/** Reads of a run's state, not its output. */
const READS = /GET \/v1\/(job|jobs|allocation|allocations|evaluations|event)\b/;

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
async function running(plan?: ChildPlan, timing: Partial<Timing> = {}) {
  await open(plan);
  return runs.running(timing);
}

const requests = (): number => bench.nomad.requests.length;

afterEach(() => runs.close());

describe('an outage of Nomad', () => {
  it.each([
    ['five 503 in a row', 5, (times: number) => bench.nomad.faults.answer(503, 'busy', { times, pattern: READS })],
    ['no leader', 5, (times: number) => bench.nomad.faults.noLeader({ times, pattern: READS })],
    ['too many connections', 1, (times: number) => bench.nomad.faults.tooManyConnections({ times, pattern: READS })],
    ['connections that are cut', 5, (times: number) => bench.nomad.faults.cut({ times, pattern: READS })],
    ['an answer of a proxy', 5, (times: number) => bench.nomad.faults.answer(404, '<html>', { times, pattern: READS })],
  ])('is no verdict on a run: %s (E2)', async (_, times, fail) => {
    const { run, followed } = await running();
    const before = requests();
    fail(times);
    bench.nomad.streams.end();
    await until('it was asked', () => requests() >= before + times);
    driver.release(run.id, 'exit-3');
    expect(await followed.end()).toMatchObject({ kind: 'exited', exitCode: 3 });
    expect(followed.states()).toEqual(['queued', 'running', 'ended'].slice(-followed.states().length));
  });

  it('is no verdict when the server is started anew, and denies everybody for a moment (E2)', async () => {
    const { run, followed } = await running();
    await bench.nomad.down();
    driver.release(run.id);
    await bench.nomad.up(3);
    expect(await followed.end()).toMatchObject(EXIT_0);
    expect(followed.states().filter((state) => state === 'ended')).toHaveLength(1);
  });

  it('does not keep a run from being cancelled while a question about it hangs (E3)', async () => {
    const { engine, run, followed } = await running({ held: true, outcome: 'killed-15' });
    const release = bench.nomad.faults.hang({ times: 3, pattern: READS });
    const before = requests();
    bench.nomad.streams.end();
    await until('a question hangs', () => requests() > before);
    await engine.cancel(run, WHY);
    expect(bench.nomad.job(run.id).Stop).toBe(true);
    release();
    expect(await followed.end()).toMatchObject({ kind: 'exited', exitCode: 137, signal: 'SIGKILL' });
  });

  it('is told as a denial when it is one, and the run is followed on after it (E2)', async () => {
    const { engine, run, followed } = await running();
    const denied = bench.engine({}, {}, { deniedMs: 50 });
    bench.nomad.faults.answer(403, 'Permission denied', { times: 1_000, pattern: /job/ });
    await expect(follow(denied, run).end()).rejects.toMatchObject({ code: 'ERR_ENGINE_DENIED' });
    bench.nomad.faults.clear();
    driver.release(run.id);
    expect(await follow(denied, run).end()).toMatchObject(EXIT_0);
    expect(await follow(engine, run).end()).toMatchObject(EXIT_0);
    expect(await followed.end().catch(() => EXIT_0)).toMatchObject(EXIT_0);
  });
});

describe('an event stream', () => {
  it('that answers 200 and not a byte leaves the runs to the lists, and is closed (E2)', async () => {
    const engine = await open();
    bench.nomad.streams.answersNothing = true;
    const run = await dispatch(engine);
    const followed = follow(engine, run);
    await followed.isRunning();
    await until('it is asked for again', () => bench.nomad.count('event stream') >= 3);
    driver.release(run.id);
    expect(await followed.end()).toMatchObject(EXIT_0);
    expect(bench.warnings.map(({ message }) => message)).toEqual(['no event stream; runs are followed by lists']);
  });

  it('that falls silent counts as dead, and a new one tells what came meanwhile (E2)', async () => {
    const engine = await open({ held: true }, { heartbeatMs: 10 });
    const quick = bench.engine({ silenceMs: 100, reconcileMs: 60_000 });
    const run = await dispatch(engine);
    const followed = follow(quick, run);
    await followed.isRunning();
    await until('the stream is there', () => bench.nomad.streams.open > 0);
    bench.nomad.streams.silent = true;
    bench.nomad.faults.answer(503, 'busy', { times: 1_000, pattern: /job\/[^/]+\/allocations/ });
    driver.release(run.id);
    await until('it is dead', () => bench.nomad.count('event stream') >= 2);
    bench.nomad.faults.clear();
    bench.nomad.streams.silent = false;
    expect(await followed.end()).toMatchObject(EXIT_0);
  });

  it('that is cut in the middle of a line loses no event (E2)', async () => {
    const { run, followed } = await running();
    bench.nomad.streams.cutNextLine();
    driver.release(run.id, 'exit-3');
    expect(await followed.end()).toMatchObject({ exitCode: 3 });
  });

  it('that was overtaken loses no run (E2)', async () => {
    const { run, followed } = await running();
    bench.nomad.faults.answer(503, 'busy', { times: 2, pattern: /event\/stream/ });
    bench.nomad.streams.end();
    driver.release(run.id, 'exit-3');
    await until('it has ended', () => bench.nomad.allocation(run.id).ClientStatus === 'failed');
    bench.nomad.streams.overtake();
    expect(await followed.end()).toMatchObject({ exitCode: 3 });
  });

  it('is gone when nobody follows a run any more', async () => {
    const { engine, run, followed } = await running();
    const own = new AbortController();
    const statuses = engine.watch(run, own.signal)[Symbol.asyncIterator]();
    expect((await statuses.next()).value).toMatchObject({ state: 'running' });
    own.abort();
    expect((await statuses.next()).done).toBe(true);
    expect(bench.nomad.streams.open).toBe(1);
    driver.release(run.id);
    await followed.end();
    await until('the stream is closed', () => bench.nomad.streams.open === 0);
  });
});

describe('a run that is never placed', () => {
  const PLACED_LATE = { wanted: { ...LIMITS, placementSeconds: 0.2 } };

  it('waits with the reason of the engine, and is stopped with it when its time is over (R6)', async () => {
    await open({ outcome: 'resources' });
    const engine = bench.engine({}, PLACED_LATE);
    const run = await dispatch(engine);
    const followed = follow(engine, run);
    expect(await followed.end()).toEqual({
      kind: 'not-started',
      message: 'not placed within 0 s: memory exhausted on 1 node',
    });
    expect(followed.told).toContainEqual({ state: 'queued', message: 'memory exhausted on 1 node' });
    expect(bench.nomad.job(run.id)).toMatchObject({ Stop: true, Status: 'dead' });
    expect(bench.nomad.executions(run.token)).toBe(0);
  });

  it('is stopped where it is placed and waits for a template until its wrapper is nearly over (R6, S2.1)', async () => {
    await open({ outcome: 'template-given-up' });
    const engine = bench.engine({}, { wanted: { ...LIMITS, placementSeconds: 0.2, wrapSeconds: 90.4 } });
    const run = await dispatch(engine);
    expect(await follow(engine, run).end()).toMatchObject({
      kind: 'not-started',
      message: expect.stringMatching(/^not started within 0 s: .*Missing: vault\.read\(kv\/data\/edge\/runner/),
    });
    expect(bench.nomad.job(run.id).Stop).toBe(true);
  });

  it('counts from when it was sent, also for a daemon that has only just started (R6)', async () => {
    await open({ outcome: 'constraint' });
    const run = await dispatch(bench.engine());
    const clock = { ...systemClock, now: () => new Date(Date.now() + 601_000) };
    const end = await follow(bench.engine({}, { clock }), run).end();
    expect(end).toMatchObject({ kind: 'not-started', message: expect.stringContaining('not placed within 600 s') });
  });

  it('is stopped although the server is away at that moment (R6)', async () => {
    await open({ outcome: 'resources' });
    const engine = bench.engine({}, PLACED_LATE);
    const run = await dispatch(engine);
    bench.nomad.faults.answer(503, 'busy', { times: 3, pattern: /^DELETE/ });
    expect(await follow(engine, run).end()).toMatchObject({ kind: 'not-started' });
    expect(bench.nomad.job(run.id).Stop).toBe(true);
  });

  it('ends when it is cancelled, and nothing of it can start (R6, R9)', async () => {
    const engine = await open({ outcome: 'constraint' });
    const run = await dispatch(engine);
    const followed = follow(engine, run);
    await until('it waits', () => followed.told.some((status) => status.state === 'queued' && status.message !== null));
    await engine.cancel(run, WHY);
    expect(await followed.end()).toEqual({ kind: 'not-started', message: 'it was stopped before it was placed' });
  });

  it('is told as not started when its place failed before its runner began (R6)', async () => {
    const engine = await open({ outcome: 'artifact' });
    const run = await dispatch(engine);
    expect(await follow(engine, run).end()).toMatchObject({ kind: 'not-started' });
    expect(bench.nomad.job(run.id).Stop).toBe(true);
  });
});

describe('the end of a run', () => {
  it('is not told before its place has ended, when it was placed and stopped behind a list (R9)', async () => {
    const engine = await open({ held: true, outcome: 'stopped', stopHeld: true });
    const run = await dispatch(engine);
    await until('it runs', () => bench.nomad.allocation(run.id).ClientStatus === 'running');
    await engine.cancel(run, WHY);
    await until('it is to stop', () => bench.nomad.allocation(run.id).DesiredStatus === 'stop');
    bench.nomad.faults.noLeader({ times: 1_000, pattern: /event\/stream/ });
    bench.nomad.faults.answer(200, '[]', { times: 1, pattern: /job\/[^/]+\/allocations/ });
    const followed = follow(engine, run);
    await followed.isRunning();
    driver.release(run.id);
    expect(await followed.end()).toMatchObject({ kind: 'exited', exitCode: 137, signal: 'SIGKILL' });
  });

  it('is where output that can not be had is worth a warning; before that it is tried again soon (R10)', async () => {
    await open();
    const said: string[] = [];
    const say = (level: string) => (message: string) => void said.push(`${level} ${message}`);
    const log = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };
    const { run, followed } = await runs.running({ reconcileMs: 20 }, { log });
    bench.nomad.faults.answer(404, 'No path to node', { times: 1_000, pattern: /fs\/logs/ });
    const line = 'the output of a run can not be read';
    await until('it was tried twice', () => said.filter((each) => each === `debug ${line}`).length >= 2);
    expect(said).not.toContain(`warn ${line}`);
    driver.release(run.id);
    await followed.end();
    expect(said.filter((each) => each === `warn ${line}`)).toHaveLength(1);
  });

  it('is not its success when Nomad killed it for its time, and not told before it is dead', async () => {
    const engine = await open({ outcome: 'max-run-duration' });
    const followed = follow(engine, await dispatch(engine));
    expect(await followed.end()).toMatchObject({ kind: 'exited', exitCode: 137, signal: 'SIGKILL' });
  });

  it('is told although its output can not be had, and that is logged (R10)', async () => {
    const { run, followed } = await running();
    bench.nomad.faults.answer(500, 'rpc error: Permission denied', { times: 1_000, pattern: /fs\/logs/ });
    driver.release(run.id);
    expect(await followed.end()).toMatchObject(EXIT_0);
    expect(bench.warnings.map(({ message }) => message)).toContain('the output of a run can not be read');
  });

  it('is told after its output is kept, however often that had to be tried (R10)', async () => {
    const { run, followed } = await running();
    driver.print(run.id, 'stdout', 'words');
    bench.nomad.faults.answer(503, 'busy', { times: 4, pattern: /fs\/logs/ });
    driver.release(run.id);
    await followed.end();
    expect(await bench.read(`cache/spool/${run.token}/stdout`)).toBe('words');
  });
});
