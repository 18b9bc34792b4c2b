import { describe, expect, it } from 'vitest';
import { Breaker, type Call, LeftAlone } from '../../../src/daemon/breaker.ts';
import { StalledError, TransientError } from '../../../src/errors.ts';
import type { LogFields } from '../../../src/ports/log.ts';
import { ManualClock } from '../../fakes/manual-clock.ts';

function setUp() {
  const clock = new ManualClock();
  const lines: { message: string; fields: LogFields }[] = [];
  const note = (message: string, fields: LogFields = {}) => void lines.push({ message, fields });
  const log = { debug: note, info: note, warn: note, error: note };
  const of = { service: 'engine', name: 'the engine', code: 'ERR_ENGINE_UNAVAILABLE' } as const;
  const breaker = new Breaker(of, { clock, log });
  let knocks = 0;
  const call = async (subject: string, error: Error | null, more: Partial<Call> = {}): Promise<unknown> => {
    const work = async () => {
      knocks += 1;
      if (error !== null) throw error;
      return 'done';
    };
    return breaker.call({ subject, isUrgent: false, ...more }, work).catch((thrown: unknown) => thrown);
  };
  return { clock, lines, breaker, call, knocks: () => knocks };
}

const away = (retryAfterMs?: number) =>
  new TransientError(
    'ERR_ENGINE_UNAVAILABLE',
    'it does not answer',
    retryAfterMs === undefined ? {} : { retryAfterMs },
  );

async function shut(bench: ReturnType<typeof setUp>): Promise<void> {
  for (const subject of ['a', 'b', 'c']) await bench.call(subject, away());
}

function pending(): { answer: (text: string) => void; work: Promise<string> } {
  let answer: (text: string) => void = () => undefined;
  const work = new Promise<string>((resolve) => {
    answer = resolve;
  });
  return { answer: (text) => answer(text), work };
}

describe('a breaker', () => {
  it('refuses calls after three failures in a row of more than one subject, and names the cause (R20)', async () => {
    const bench = setUp();
    await shut(bench);
    const refused = await bench.call('d', null);
    expect(refused).toBeInstanceOf(LeftAlone);
    expect(refused).toMatchObject({
      code: 'ERR_ENGINE_UNAVAILABLE',
      message: 'the engine is left alone for now, because: it does not answer',
    });
    expect([bench.knocks(), bench.breaker.away()?.failed]).toEqual([3, 4]);
  });

  it('lets calls through while only one subject fails, and tells of it (one bad file stops nobody)', async () => {
    const bench = setUp();
    for (let times = 0; times < 10; times += 1) await bench.call('bad', away());
    expect([bench.knocks(), bench.breaker.away()?.nextTry]).toEqual([10, null]);
    expect(await bench.call('good', null)).toBe('done');
    expect(bench.breaker.away()).toBeNull();
  });

  it('counts no failures that an answer lies between, and no other errors', async () => {
    const bench = setUp();
    const denied = new StalledError('ERR_ENGINE_DENIED', 'no');
    for (const subject of ['a', 'b', 'c']) {
      await bench.call(subject, away());
      await bench.call(subject, away());
      await bench.call(subject, denied);
    }
    for (const subject of ['a', 'b', 'c']) await bench.call(subject, new TransientError('ERR_CACHE_DAMAGED', 'torn'));
    await bench.call('d', new Error('a mistake of ours'));
    expect([bench.breaker.away(), bench.knocks()]).toEqual([null, 13]);
  });

  it('leaves it alone for as long as it asks, at the first failure, and a little longer (R20)', async () => {
    const bench = setUp();
    await bench.call('a', away(60_000));
    bench.clock.advance(59_999);
    expect(await bench.call('a', null)).toBeInstanceOf(LeftAlone);
    bench.clock.advance(6_001);
    expect(await bench.call('a', null)).toBe('done');
  });

  it('lets one call through when the time is over, and refuses the others until it is answered', async () => {
    const bench = setUp();
    await shut(bench);
    bench.clock.advance(1000);
    const { answer, work } = pending();
    const probe = bench.breaker.call({ subject: 'p', isUrgent: false }, () => work);
    expect(await bench.call('b', null)).toBeInstanceOf(LeftAlone);
    answer('there');
    expect([await probe, await bench.call('b', null), bench.breaker.away()]).toEqual(['there', 'done', null]);
  });

  it('waits twice as long after each probe that fails, 30 s at most, however many fail beside it', async () => {
    const bench = setUp();
    await shut(bench);
    const pauses: number[] = [];
    for (let times = 0; times < 8; times += 1) {
      const pause = (bench.breaker.away()?.nextTry?.getTime() ?? 0) - bench.clock.now().getTime();
      pauses.push(pause);
      // A date knows whole milliseconds only.
      bench.clock.advance(pause + 1);
      await bench.call('a', away());
      for (let others = 0; others < 5; others += 1) await bench.call('b', away(), { isUrgent: true });
    }
    const full = [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000];
    expect(pauses.filter((pause, index) => pause > (full[index] ?? 0) || pause < (full[index] ?? 0) / 2 - 1)).toEqual(
      [],
    );
  });

  it('never refuses what can not wait, and takes its answer (R9)', async () => {
    const bench = setUp();
    await shut(bench);
    expect(await bench.call('cancel', null, { isUrgent: true })).toBe('done');
    expect(bench.breaker.away()).toBeNull();
  });

  it('takes no answer to what was asked before it went away', async () => {
    const bench = setUp();
    const { answer, work } = pending();
    const early = bench.breaker.call({ subject: 'early', isUrgent: false }, () => work);
    await shut(bench);
    answer('late');
    await early;
    expect(await bench.call('b', null)).toBeInstanceOf(LeftAlone);
  });

  it('is not held up by a probe that was aborted or never ends', async () => {
    const bench = setUp();
    await shut(bench);
    bench.clock.advance(1000);
    await bench.call('p', new DOMException('over', 'AbortError'));
    void bench.breaker.call({ subject: 'p', isUrgent: false }, () => new Promise(() => undefined));
    expect(await bench.call('b', null)).toBeInstanceOf(LeftAlone);
    bench.clock.advance(120_000);
    expect(await bench.call('b', null)).toBe('done');
  });

  it('says one line in half a minute with what failed meanwhile, and one when it is back (R20)', async () => {
    const bench = setUp();
    await shut(bench);
    for (let seconds = 0; seconds < 65; seconds += 1) {
      for (let times = 0; times < 100; times += 1) await bench.call(`${times}`, away());
      bench.clock.advance(1000);
    }
    bench.clock.advance(30_000);
    await bench.call('a', null);
    const said = bench.lines.map(({ message, fields }) => [message, fields['failed']]);
    expect(said).toEqual([
      ['a service does not answer', 3],
      ['a service does not answer', 3001],
      ['a service does not answer', 3000],
      ['a service answers again', 6503],
    ]);
    expect(bench.lines.at(-1)?.fields['away_seconds']).toBe(95);
    expect(bench.knocks()).toBeLessThan(12);
  });

  it('says no more of one that comes and goes (R20)', async () => {
    const bench = setUp();
    for (let times = 0; times < 20; times += 1) {
      await shut(bench);
      await bench.call('cancel', null, { isUrgent: true });
      bench.clock.advance(1000);
    }
    expect(bench.lines.map(({ message }) => message)).toEqual(['a service does not answer', 'a service answers again']);
    expect(bench.breaker.awayMs()).toBe(0);
  });
});
