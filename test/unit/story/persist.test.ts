import { describe, expect, it } from 'vitest';
import { backoffMs } from '../../../src/domain/backoff.ts';
import type { Reason } from '../../../src/domain/run.ts';
import { InvalidError, StalledError, TransientError } from '../../../src/errors.ts';
import { persist, ShuttingDown } from '../../../src/story/persist.ts';
import { ManualClock } from '../../fakes/manual-clock.ts';
import { StoryBench } from '../../fakes/story-bench.ts';

const never = new AbortController().signal;

async function setUp(errors: readonly Error[]) {
  const bench = new StoryBench();
  const context = await bench.process().context();
  const told: (Reason | null)[] = [];
  const times: number[] = [];
  const left = [...errors];
  const work = async () => {
    times.push(bench.clock.monotonic());
    const error = left.shift();
    if (error !== undefined) throw error;
    return 'done';
  };
  const run = (signal = never) => persist(work, (reason) => told.push(reason), context, signal);
  return { bench, run, told, times, gaps: () => times.slice(1).map((time, index) => time - (times[index] ?? 0)) };
}

const away = (retryAfterMs?: number) =>
  new TransientError('ERR_ENGINE_UNAVAILABLE', 'away', retryAfterMs === undefined ? {} : { retryAfterMs });

describe('persist', () => {
  it('answers at once and tells nothing when nothing is away', async () => {
    const { run, told, times } = await setUp([]);
    expect([await run(), told, times.length]).toEqual(['done', [], 1]);
  });

  it('waits out an outage with growing pauses, tells why, and that it is over (R20, E2)', async () => {
    const { bench, run, told, gaps } = await setUp(Array.from({ length: 12 }, () => away()));
    expect(await bench.drive(run())).toBe('done');
    expect(told.slice(0, 12).every((reason) => reason?.code === 'ERR_ENGINE_UNAVAILABLE')).toBe(true);
    expect(told.slice(12)).toEqual([null]);
    const clock = new ManualClock();
    gaps().forEach((gap, failures) => expect(gap).toBeCloseTo(backoffMs(failures, clock.random()), 2));
    expect(Math.max(...gaps())).toBeLessThanOrEqual(30_000);
  });

  it('waits as long as it is asked to, if that is longer, and up to a fifth more, so that not all come back at once', async () => {
    const { bench, run, gaps } = await setUp([away(20_000), away(20_000), away(1)]);
    await bench.drive(run());
    const [first = 0, second = 0, third = 0] = gaps();
    expect([first, second].every((gap) => gap >= 20_000 && gap <= 24_000)).toBe(true);
    expect(first).not.toBe(second);
    expect(third).toBeGreaterThan(200);
  });

  it('waits half a minute and a fifth of it at most: the breaker keeps the rest, and a wish to cancel is seen (R9)', async () => {
    const { bench, run, gaps } = await setUp([away(30_001), away(3_600_000)]);
    await bench.drive(run());
    expect(gaps().every((gap) => gap >= 30_000 && gap <= 36_000)).toBe(true);
    expect(gaps()).toHaveLength(2);
  });

  it('waits for a person where it is denied', async () => {
    const { bench, run, told } = await setUp([new StalledError('ERR_ENGINE_DENIED', 'no'), away()]);
    expect(await bench.drive(run())).toBe('done');
    expect(told.map((reason) => reason?.code)).toEqual(['ERR_ENGINE_DENIED', 'ERR_ENGINE_UNAVAILABLE', undefined]);
  });

  it('throws what is no outage, at once', async () => {
    const { run, told } = await setUp([new InvalidError('ERR_PAYLOAD_SIZE', 'too large')]);
    await expect(run()).rejects.toThrow('too large');
    expect(told).toEqual([]);
  });

  it('lets go between two tries when we are stopping, without waiting', async () => {
    const { bench, run, times } = await setUp(Array.from({ length: 100 }, () => away(1_000_000)));
    const stop = new AbortController();
    const before = bench.clock.monotonic();
    const done = run(stop.signal);
    stop.abort();
    await expect(done).rejects.toThrow(ShuttingDown);
    expect([times.length, bench.clock.monotonic()]).toEqual([1, before]);
  });

  it('does nothing at all when we are stopping already', async () => {
    const { run, times } = await setUp([]);
    await expect(run(AbortSignal.abort())).rejects.toThrow('the dispatcher is stopping');
    expect(times).toEqual([]);
  });
});
