import { describe, expect, it } from 'vitest';
import { TransientError } from '../../../src/errors.ts';
import type { When } from '../../fakes/faults.ts';
import { StoryBench } from '../../fakes/story-bench.ts';

const never = new AbortController().signal;
const away = () => new TransientError('ERR_ENGINE_UNAVAILABLE', 'away');

/** The engine is away for so long from the first time that `call` gets so far; `also`: calls that fail with it. */
function outage(ms: number, call: string, { when = 'before', also }: { when?: When; also: readonly string[] }) {
  const bench = new StoryBench();
  bench.addAction('a');
  const process = bench.process();
  let end: number | null = null;
  process.gate.plan((each, at) => {
    if (each === call && at === when) end ??= bench.clock.monotonic() + ms;
    const isAway = end !== null && bench.clock.monotonic() < end;
    return isAway && (each === call || also.includes(each)) ? away() : null;
  });
  return { bench, process };
}

describe('an engine that is away from the claim on', () => {
  const MINUTE = 60_000;

  it.each([
    ['half the life of the wrapper', 6 * MINUTE, 1],
    ['nearly the whole life of the wrapper', 11.5 * MINUTE, 2],
    ['longer than the wrapper lives', 13 * MINUTE, 2],
    ['forty minutes', 40 * MINUTE, 2],
  ])('for %s makes no run unknown: exactly one execution in the end (R6, E2)', async (_, ms, attempts) => {
    const { bench, process } = outage(ms, 'engine.find', { also: ['engine.ready', 'engine.dispatch'] });
    const stop = new AbortController();
    const daemon = process.daemon.run(stop.signal);
    await bench.pass(ms + 20 * MINUTE);
    expect(bench.result('a')).toMatchObject({ outcome: 'succeeded', attempt: { number: attempts } });
    expect([bench.engine.executions.length, bench.recorded('a'), bench.access.loose]).toEqual([1, 1, 0]);
    stop.abort();
    await bench.drive(daemon);
  });

  it('is proven to have started nothing, and the next attempt is due (R6)', async () => {
    const { bench, process } = outage(11.5 * MINUTE, 'engine.find', { also: ['engine.dispatch'] });
    const report = await bench.drive(process.daemon.once(never));
    expect(report.waiting).toMatchObject([
      { id: 'a', reason: { code: 'ERR_NOT_PLACED', message: expect.stringContaining('attempt 1 never started') } },
    ]);
    expect([bench.engine.executions, bench.result('a'), bench.access.loose]).toEqual([[], null, 0]);
  });

  it('that asks for an hour of rest makes no run unknown: its wrapper is not slept over (R6, E2)', async () => {
    const bench = new StoryBench();
    bench.addAction('a');
    const process = bench.process();
    const busy = () => new TransientError('ERR_ENGINE_UNAVAILABLE', 'too many requests', { retryAfterMs: 60 * MINUTE });
    process.gate.fail('engine.dispatch', busy);
    const report = await bench.drive(process.daemon.once(never));
    expect(report.waiting).toMatchObject([{ id: 'a', reason: { code: 'ERR_NOT_PLACED' } }]);
    expect([bench.result('a'), bench.engine.executions, bench.access.loose]).toEqual([null, [], 0]);
  });

  it('until its wrapper is over does not keep a cancel from being proven: cancelled without a run (R9, E2)', async () => {
    const { bench, process } = outage(40 * MINUTE, 'engine.find', { also: ['engine.ready', 'engine.dispatch'] });
    const stop = new AbortController();
    const daemon = process.daemon.run(stop.signal);
    await bench.pass(MINUTE);
    await bench.control.requestStop('a', { kind: 'cancel', by: 'Jo', message: 'no' });
    await bench.pass(14 * MINUTE);
    expect(bench.result('a')).toMatchObject({ outcome: 'cancelled', run: null, reason: { by: 'Jo' } });
    expect([bench.engine.executions, bench.access.loose]).toEqual([[], 0]);
    stop.abort();
    await bench.drive(daemon);
  });

  it('after it took the dispatch is waited for, since the run has used its wrapper (R4, R6)', async () => {
    const { bench, process } = outage(40 * MINUTE, 'engine.dispatch', { when: 'after', also: ['engine.find'] });
    const report = await bench.drive(process.daemon.once(never));
    expect(report.results).toEqual([{ id: 'a', outcome: 'succeeded', exit_code: 0 }]);
    expect(bench.result('a')?.attempt).toMatchObject({ number: 1, executions: 1 });
    expect(bench.engine.executions).toHaveLength(1);
  });
});
