import { afterEach, describe, expect, it } from 'vitest';
import type { NomadOptions } from '../../src/adapters/engines/nomad/options.ts';
import { TIMING } from '../../src/adapters/engines/nomad/timing.ts';
import type { Run, RunStatus } from '../../src/domain/run.ts';
import type { Engine } from '../../src/ports/engine.ts';
import { endOf, randomToken } from '../contract/engine.contract.ts';
import { DAEMON_CAPABILITIES, type FakeNomadOptions } from '../fakes/nomad/fake-nomad.ts';
import { type ChildPlan, type ScriptedDriver, scriptedDriver } from '../fakes/nomad/scripted-driver.ts';
import { FakeNomadBench } from '../fakes/nomad-bench.ts';
import { textOf, until } from '../fakes/until.ts';

let bench: FakeNomadBench;
let driver: ScriptedDriver;

async function open(
  plan: ChildPlan = { held: true },
  options: FakeNomadOptions = {},
  engine: Partial<NomadOptions> = {},
): Promise<Engine> {
  driver = scriptedDriver(plan);
  bench = await FakeNomadBench.open({ driver, ...options }, engine);
  return bench.engine();
}

const dispatch = (engine: Engine): Promise<Run> => engine.dispatch(bench.request(randomToken()));

afterEach(async () => {
  await bench.close();
});

describe('what is told of a run', () => {
  it('is its present status first, each change once, and its end last', async () => {
    const engine = await open();
    const run = await dispatch(engine);
    const told: RunStatus[] = [];
    for await (const status of engine.watch(run, AbortSignal.timeout(20_000))) {
      told.push(status);
      if (status.state === 'running') driver.release(run.id, 'exit-3');
    }
    expect(told.slice(-2)).toMatchObject([
      { state: 'running', startedAt: expect.stringMatching(/^\d{4}-/), node: 'edge-1' },
      { state: 'ended', end: { kind: 'exited', exitCode: 3 }, node: 'edge-1' },
    ]);
    expect(await engine.look(run)).toEqual(told.at(-1));
    expect(new Set(told.map((status) => JSON.stringify(status))).size).toBe(told.length);
  });

  it('is said to who comes later as well', async () => {
    const engine = await open();
    const run = await dispatch(engine);
    const first = engine.watch(run, AbortSignal.timeout(20_000))[Symbol.asyncIterator]();
    let present = await first.next();
    while (present.value?.state !== 'running') present = await first.next();
    const second = engine.watch(run, AbortSignal.timeout(20_000))[Symbol.asyncIterator]();
    expect(await second.next()).toEqual(present);
    driver.release(run.id);
    expect(await first.next()).toEqual(await second.next());
    await Promise.all([first.next(), second.next()]);
  });

  it('needs few requests for many runs', async () => {
    await open();
    const engine = bench.engine({ firstLineMs: TIMING.firstLineMs, blindMs: TIMING.blindMs });
    const runs = await Promise.all(Array.from({ length: 60 }, () => dispatch(engine)));
    await until('all are placed', () => runs.every(({ token }) => bench.nomad.executions(token) === 1));
    const ends = Promise.all(runs.map((run) => endOf(engine, run)));
    await until('the stream is there', () => bench.nomad.streams.open === 1);
    for (const run of runs) driver.release(run.id);
    expect((await ends).every((end) => end.kind === 'exited' && end.exitCode === 0)).toBe(true);
    const lists = bench.nomad.count('allocations') + bench.nomad.count('job allocations');
    expect(lists).toBeLessThan(runs.length);
    expect(bench.nomad.count('allocation')).toBe(0);
    expect(bench.nomad.count('event stream')).toBe(1);
  });

  it('keeps the output of at most four runs at a time', async () => {
    const engine = await open({ stdout: 'words' });
    const release = bench.nomad.faults.hang({ times: 8, pattern: /fs\/logs/ });
    const runs = await Promise.all(Array.from({ length: 6 }, () => dispatch(engine)));
    const ends = runs.map((run) => endOf(engine, run));
    await until('both streams of four are read', () => bench.nomad.count('logs') === 8);
    release();
    await Promise.all(ends);
    expect(await Promise.all(runs.map((run) => textOf(engine.logs(run, 'stdout', 0))))).toEqual(
      runs.map(() => 'words'),
    );
  });
});

describe('an artifact', () => {
  const RIGHTS = { daemonCapabilities: [...DAEMON_CAPABILITIES, 'read-fs'] };
  const files = { 'alloc/data/artifacts/dist/x.tgz': 'content', 'alloc/data/artifacts/empty': '' };

  async function ended(options: FakeNomadOptions, engineOptions: Partial<NomadOptions>) {
    const engine = await open({ files }, options, engineOptions);
    const run = await dispatch(engine);
    await endOf(engine, run);
    return { engine, run };
  }

  it('is what the run left in its directory', async () => {
    const { engine, run } = await ended(RIGHTS, { artifacts: true });
    expect(await textOf(await engine.artifact(run, 'dist/x.tgz'))).toBe('content');
    const empty = await engine.artifact(run, 'empty');
    expect(empty).not.toBeNull();
    expect(await textOf(empty)).toBe('');
  });

  it.each(['dist/y.tgz', '../secret', 'a/../../../local/x'])('is null where there is none: %s', async (path) => {
    const { engine, run } = await ended(RIGHTS, { artifacts: true });
    expect(await engine.artifact(run, path)).toBeNull();
  });

  it('is null where none are collected, and when the run is collected itself', async () => {
    const { engine, run } = await ended(RIGHTS, {});
    expect(await engine.artifact(run, 'dist/x.tgz')).toBeNull();
    await bench.close();
    const other = await ended(RIGHTS, { artifacts: true });
    bench.nomad.collectFromServer(other.run.id);
    expect(await other.engine.artifact(other.run, 'dist/x.tgz')).toBeNull();
  });

  it('is never the words of a refusal, which come with 200', async () => {
    const { run } = await ended({}, { artifacts: true });
    const engine = bench.engine({}, {}, { deniedMs: 50 });
    await expect(engine.artifact(run, 'dist/x.tgz')).rejects.toMatchObject({ code: 'ERR_ENGINE_DENIED' });
  });

  it('is never the words of an error that came in its place, with 200', async () => {
    const { engine, run } = await ended(RIGHTS, { artifacts: true });
    bench.nomad.faults.answer(200, 'No path to node', { pattern: /fs\/cat/ });
    const content = await engine.artifact(run, 'dist/x.tgz');
    await expect(textOf(content)).rejects.toMatchObject({ code: 'ERR_ENGINE_UNAVAILABLE' });
  });
});

describe('the engine', () => {
  it('takes it when a run is stopped that Nomad does not know', async () => {
    const engine = await open();
    const stranger = { token: randomToken(), id: 'vault-runner/dispatch-1-unknown', node: null };
    await engine.cancel(stranger, { kind: 'cancel', by: 'somebody', message: 'no longer wanted' });
    expect(bench.nomad.count('stop')).toBe(1);
  });

  it('never purges, since a purged run tells no end', async () => {
    const engine = await open({ held: true, outcome: 'stopped' });
    const run = await dispatch(engine);
    await engine.cancel(run, { kind: 'deadline', by: 'edge-1', message: 'over' });
    await endOf(engine, run);
    expect(bench.nomad.requests.filter(({ url }) => url.includes('purge'))).toEqual([]);
    expect(bench.nomad.job(run.id).Stop).toBe(true);
  });

  it('keeps nothing of a run that is forgotten', async () => {
    const engine = await open({ stdout: 'words' });
    const run = await dispatch(engine);
    await endOf(engine, run);
    expect(await bench.read(`cache/spool/${run.token}/stdout`)).toBe('words');
    await engine.forget(run.token);
    expect(await bench.read(`cache/spool/${run.token}/stdout`)).toBe('');
    expect(bench.nomad.job(run.id)).toBeDefined();
  });

  it.each([
    ['docker', true],
    ['exec', false],
    ['raw_exec', false],
  ] as const)('says of the driver %s whether a command is isolated: %s', async (kind, isolated) => {
    const engine = await open({}, {}, { driver: kind });
    expect(engine.isolated).toBe(isolated);
  });
});
