import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { createBoard } from '../../../src/daemon/board.ts';
import { createTasks, type Tasks } from '../../../src/daemon/tasks.ts';
import type { StoryContext } from '../../../src/story/context.ts';
import { reason } from '../../../src/story/reasons.ts';
import { judgeAction } from '../../../src/story/run-action.ts';
import { type Process, quiet, StoryBench } from '../../fakes/story-bench.ts';

const never = new AbortController().signal;

async function setUp(ids: readonly string[] = ['a']) {
  const bench = new StoryBench();
  bench.addFormula('tidy', { concurrency: 'g' });
  for (const id of ids) {
    bench.engine.behaviours.set(id, { runMs: 5000 });
    bench.addAction(id);
  }
  const process: Process = bench.process();
  const board = createBoard({ clock: bench.clock, log: process.parts.log });
  const stop = new AbortController();
  let changes = 0;
  const base = await process.context();
  const context: StoryContext = { ...base, tell: (id, step) => tasks.note(id, step) };
  const tasks: Tasks = createTasks({ context, board, signal: stop.signal, onChange: () => (changes += 1) });
  const start = async (id: string) => {
    const candidate = [...context.world().candidates.values()].find((each) => each.id === id);
    const ready = candidate === undefined ? null : await judgeAction(candidate, context);
    if (ready?.kind !== 'ready') throw new Error('it may not run');
    tasks.start(ready);
  };
  return { bench, process, board, stop, context, tasks, start, changes: () => changes };
}

describe('tasks', () => {
  it('hold slot and group while the run lives, the group alone while its result is on its way', async () => {
    const { bench, process, tasks, start, changes } = await setUp();
    process.gate.slow('opsRepo.publish', () => bench.clock.sleep(60_000));
    await start('a');
    await bench.pass(2000);
    expect([tasks.has('a'), tasks.quiet(), [...tasks.holders()]]).toEqual([
      true,
      false,
      [['a', { group: 'g', live: true }]],
    ]);
    await bench.pass(10_000);
    expect([[...tasks.holders()], changes()]).toEqual([[['a', { group: 'g', live: false }]], 1]);
    await bench.drive(tasks.idle());
    expect([tasks.has('a'), changes()]).toEqual([false, 2]);
  });

  it('are not quiet before somebody has seen that one ended', async () => {
    const { bench, tasks, start } = await setUp();
    expect(tasks.quiet()).toBe(true);
    await start('a');
    await bench.drive(tasks.idle());
    expect(tasks.quiet()).toBe(false);
    await tasks.changed(never);
    expect(tasks.quiet()).toBe(true);
  });

  it('wake whoever waits for a change once, and leave no listener behind', async () => {
    const { bench, tasks, start } = await setUp(['a', 'b']);
    const stop = new AbortController();
    await start('a');
    let woken = 0;
    const waiting = [tasks.changed(stop.signal), tasks.changed(stop.signal)].map((each) =>
      each.then(() => (woken += 1)),
    );
    await quiet();
    expect([woken, getEventListeners(stop.signal, 'abort').length]).toEqual([0, 2]);
    await bench.drive(Promise.all(waiting));
    expect([woken, getEventListeners(stop.signal, 'abort').length]).toEqual([2, 0]);
    await bench.drive(tasks.idle());
  });

  it('wake whoever waits when they are told to stop', async () => {
    const { bench, tasks, start } = await setUp();
    const stop = new AbortController();
    await start('a');
    const waiting = tasks.changed(stop.signal);
    stop.abort();
    await waiting;
    expect(tasks.has('a')).toBe(true);
    await bench.drive(tasks.idle());
  });

  it('let go of what can be taken up later when we are stopping', async () => {
    const { bench, stop, tasks, start, board } = await setUp();
    await start('a');
    await bench.pass(2000);
    stop.abort();
    await tasks.idle();
    expect([bench.result('a'), bench.engine.living, tasks.resting('a'), board.lines()]).toEqual([null, 1, null, []]);
  });

  it('let what came to nothing rest, each time longer, until it comes to something (R20)', async () => {
    const { bench, tasks, start, board } = await setUp();
    bench.access.mintsTooMuch = true;
    const rests: number[] = [];
    for (let times = 0; times < 9; times += 1) {
      await start('a');
      await bench.drive(tasks.idle());
      expect(tasks.resting('a')?.code).toBe('ERR_ACCESS_DENIED');
      const from = bench.clock.monotonic();
      while (tasks.resting('a') !== null) bench.clock.advance(10);
      rests.push(bench.clock.monotonic() - from);
    }
    expect(rests[0]).toBeLessThanOrEqual(260);
    expect(rests[4]).toBeGreaterThan(1900);
    expect(rests.every((ms) => ms <= 30_010)).toBe(true);
    expect(board.line('a')).toMatchObject({ state: 'pending', reason: { code: 'ERR_ACCESS_DENIED' } });
    bench.access.mintsTooMuch = false;
    await start('a');
    await bench.drive(tasks.idle());
    expect([tasks.resting('a'), bench.result('a')?.outcome, board.lines()]).toEqual([null, 'succeeded', []]);
  });

  it('try what is never placed a few times an hour, and leave nothing of its attempts with the engine (R6, R20)', async () => {
    const bench = new StoryBench();
    bench.engine.behaviours.set('a', { never: true, queuedMs: 100 });
    bench.addAction('a');
    const { daemon, gate } = bench.process();
    const stop = new AbortController();
    const run = daemon.run(stop.signal);
    await bench.pass(3_600_000);
    const times = (name: string) => gate.calls.filter((call) => call === name).length;
    const dispatches = times('engine.dispatch');
    expect(dispatches).toBeGreaterThan(5);
    expect(dispatches).toBeLessThanOrEqual(15);
    expect(times('engine.forget')).toBe(dispatches - 1);
    expect([bench.engine.known, bench.records.files.size, bench.result('a')]).toEqual([1, 1, null]);
    stop.abort();
    await bench.drive(run);
  });

  it('record a no without a slot', async () => {
    const { bench, tasks, context } = await setUp();
    const candidate = [...context.world().candidates.values()][0];
    if (candidate === undefined) throw new Error('nothing is pending');
    tasks.record({ kind: 'ended', candidate, outcome: 'refused', reason: reason('ERR_EXPIRED', 'too late') });
    expect([...tasks.holders().values()]).toEqual([{ group: null, live: false }]);
    await bench.drive(tasks.idle());
    expect(bench.result('a')).toMatchObject({ outcome: 'refused', reason: { code: 'ERR_EXPIRED' } });
  });

  it('say in the log where another result lies in the way', async () => {
    const { bench, process, tasks, start, board } = await setUp();
    await start('a');
    bench.repo.commitFiles({ 'vault/actions/a.result.json': '{}' });
    await bench.drive(tasks.idle());
    expect(process.log.at(-1)).toMatchObject({ level: 'error', fields: { id: 'a', code: 'ERR_RESULT_CONFLICT' } });
    expect(board.lines()).toEqual([]);
  });
});
