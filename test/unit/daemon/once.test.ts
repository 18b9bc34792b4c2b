import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StalledError, TransientError } from '../../../src/errors.ts';
import { ACTION, CancelBench, jane } from '../../fakes/cancel-bench.ts';
import { StoryBench } from '../../fakes/story-bench.ts';

const away = (code: 'ERR_ACCESS_UNAVAILABLE' | 'ERR_GIT_UNAVAILABLE') => () =>
  new TransientError(code, 'it does not answer');
const never = new AbortController().signal;

describe('daemon.once', () => {
  it('takes everything that is pending to its end and says what became of it', async () => {
    const bench = new StoryBench();
    bench.engine.behaviours.set('bad', { exitCode: 3 });
    for (const id of ['good', 'bad']) bench.addAction(id);
    bench.addAction('later', { not_before: '2026-04-01T00:00:00Z' });
    bench.addAction('broken', { secrets: 'all' });
    const { report } = await bench.once();
    expect(report.results.toSorted((a, b) => (a.id < b.id ? -1 : 1))).toEqual([
      { id: 'bad', outcome: 'failed', exit_code: 3 },
      { id: 'broken', outcome: 'invalid', exit_code: 64 },
      { id: 'good', outcome: 'succeeded', exit_code: 0 },
    ]);
    expect(report.waiting.map(({ id, reason }) => [id, reason.code])).toEqual([['later', 'ERR_NOT_BEFORE']]);
    expect(report.unreachable).toEqual([]);
  });

  it('tells each result as it is recorded, and only once', async () => {
    const bench = new StoryBench();
    bench.addAction('a');
    const told: string[] = [];
    await bench.once({ onResult: ({ id }) => told.push(id) });
    expect(told).toEqual(['a']);
    const again = await bench.once();
    expect(again.report).toEqual({ results: [], waiting: [], unreachable: [] });
  });

  it('takes only the ids it is given', async () => {
    const bench = new StoryBench();
    for (const id of ['a', 'b']) bench.addAction(id);
    const report = await bench.drive(bench.process().daemon.once(never, new Set(['b'])));
    expect(report.results.map(({ id }) => id)).toEqual(['b']);
    expect(bench.result('a')).toBeNull();
  });

  it('ends with what could not be reached when the ops repo is away, and claims nothing', async () => {
    const bench = new StoryBench();
    bench.addAction('a');
    const { daemon, gate } = bench.process();
    gate.fail('opsRepo.refresh', away('ERR_GIT_UNAVAILABLE'), { times: 100 });
    const report = await bench.drive(daemon.once(never));
    expect(report.unreachable).toMatchObject([{ code: 'ERR_GIT_UNAVAILABLE' }]);
    expect(bench.journal.state.entries.size).toBe(0);
  });

  it('ends with what could not be reached when the secret store is away, after one try (R20)', async () => {
    const bench = new StoryBench();
    bench.addAction('a');
    const { daemon, gate } = bench.process();
    gate.fail('access.states', away('ERR_ACCESS_UNAVAILABLE'), { times: 1000 });
    const report = await bench.drive(daemon.once(never));
    expect(report.waiting).toMatchObject([{ id: 'a', reason: { code: 'ERR_ACCESS_UNAVAILABLE' } }]);
    expect(report.unreachable).toMatchObject([{ code: 'ERR_ACCESS_UNAVAILABLE' }]);
    expect(gate.calls.filter((call) => call === 'access.states')).toHaveLength(1);
  });

  it('ends with a stated reason where the engine has no place (R6)', async () => {
    const bench = new StoryBench();
    bench.engine.behaviours.set('a', { queuedMs: 600_000, never: true });
    bench.addAction('a');
    const { report } = await bench.once();
    expect(report.waiting).toMatchObject([{ id: 'a', reason: { code: 'ERR_NOT_PLACED' } }]);
    expect(report.waiting[0]?.reason.message).toContain('no node has the volume ssh');
    expect(bench.engine.executions).toEqual([]);
  });

  it('ends though the engine denies us for a while: that is waited for, because the attempt is claimed', async () => {
    const bench = new StoryBench();
    bench.addAction('a');
    const { daemon, gate } = bench.process();
    gate.fail('engine.dispatch', () => new StalledError('ERR_ENGINE_DENIED', 'no'), { times: 7 });
    expect((await bench.drive(daemon.once(never))).results).toMatchObject([{ id: 'a', outcome: 'succeeded' }]);
  });

  it('lets go when it is stopped, and the next start goes on', async () => {
    const bench = new StoryBench();
    bench.engine.behaviours.set('a', { runMs: 60_000 });
    bench.addAction('a');
    const stop = new AbortController();
    const first = bench.process().daemon.once(stop.signal);
    await bench.pass(5000);
    stop.abort();
    expect((await bench.drive(first)).results).toEqual([]);
    const { report } = await bench.once();
    expect(report.results).toMatchObject([{ id: 'a', outcome: 'succeeded' }]);
    expect(bench.engine.executions).toHaveLength(1);
  });

  it('looks at every poll while a run goes on, so that a cancel file stops it (R9)', async () => {
    const bench = new CancelBench(ACTION);
    bench.engine.behaviours.set('a', { runMs: 36_000_000 });
    bench.pushedBy(jane);
    bench.addAction('a');
    const over = bench.start().daemon.once(never);
    await bench.pass(3000);
    bench.cancel();
    await bench.pass(10_000);
    expect(bench.engine.cancels).toHaveLength(1);
    expect((await bench.drive(over)).results).toMatchObject([{ id: 'a', outcome: 'cancelled' }]);
  });

  it('ends with the last run, not with the next poll, and starts nothing that came meanwhile', async () => {
    const bench = new StoryBench();
    bench.engine.behaviours.set('a', { runMs: 32_000 });
    bench.addAction('a');
    const recorded: number[] = [];
    const process = bench.process({ onResult: () => recorded.push(bench.clock.monotonic()) });
    const over = process.daemon.once(never);
    await bench.pass(3000);
    bench.addAction('b');
    const report = await bench.drive(over);
    expect(report.results).toMatchObject([{ id: 'a' }]);
    expect([recorded, bench.clock.sleeping]).toEqual([[bench.clock.monotonic()], 0]);
  });

  it('does not end on what it saw before the last run ended', async () => {
    const bench = new StoryBench();
    bench.engine.behaviours.set('a', { runMs: 5000 });
    bench.addAction('a');
    bench.addAction('b', { depends_on: ['a'] });
    const { daemon, gate } = bench.process();
    gate.slow('opsRepo.publish', () => bench.clock.sleep(500));
    // The last thing that a cycle asks for, long after it has seen that b has to wait for a.
    gate.slow('control.paused', () => bench.clock.sleep(1000));
    const report = await bench.drive(daemon.once(never));
    expect([report.results.length, report.waiting]).toEqual([2, []]);
  });

  it('leaves nothing waiting for what has ended, however long each run takes', async () => {
    const plans = fc.array(fc.record({ ms: fc.nat(3), after: fc.option(fc.nat(5), { nil: null }) }), {
      minLength: 1,
      maxLength: 6,
    });
    await fc.assert(
      fc.asyncProperty(plans, async (plan) => {
        const bench = new StoryBench();
        plan.forEach(({ ms, after }, index) => {
          const depends = after !== null && after < index ? [`a${after}`] : [];
          bench.engine.behaviours.set(`a${index}`, { queuedMs: ms, runMs: ms * 100 });
          bench.addAction(`a${index}`, { depends_on: depends });
        });
        const { report } = await bench.once();
        expect(report).toMatchObject({ waiting: [], unreachable: [] });
        expect(report.results).toHaveLength(plan.length);
      }),
      { numRuns: 60 },
    );
  });
});
