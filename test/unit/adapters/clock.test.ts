import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/adapters/clock.ts';

describe('the clock of this machine', () => {
  it('sleeps as long as it is told', async () => {
    const start = systemClock.monotonic();
    await systemClock.sleep(30);
    expect(systemClock.monotonic() - start).toBeGreaterThanOrEqual(29);
  });

  it('wakes up when the signal is aborted, and throws nothing', async () => {
    const controller = new AbortController();
    const start = systemClock.monotonic();
    const sleep = systemClock.sleep(60_000, controller.signal);
    controller.abort();
    await sleep;
    expect(systemClock.monotonic() - start).toBeLessThan(5_000);
  });

  it('does not fall asleep when the signal was aborted before', async () => {
    const start = systemClock.monotonic();
    await systemClock.sleep(60_000, AbortSignal.abort());
    expect(systemClock.monotonic() - start).toBeLessThan(5_000);
  });

  it('sleeps on for longer than a timer of Node can', async () => {
    const controller = new AbortController();
    let isAwake = false;
    const sleep = systemClock.sleep(2 ** 31 + 1_000, controller.signal).then(() => {
      isAwake = true;
    });
    await systemClock.sleep(30);
    expect(isAwake).toBe(false);
    controller.abort();
    await sleep;
  });

  it('gives chance between 0 and 1', () => {
    const draws = Array.from({ length: 100 }, () => systemClock.random());
    expect(draws.every((draw) => draw >= 0 && draw < 1)).toBe(true);
    expect(new Set(draws).size).toBeGreaterThan(50);
  });
});
