import { describe, expect, it } from 'vitest';
import { spaced } from '../../../../src/daemon/http/hook-hints.ts';
import { ManualClock } from '../../../fakes/manual-clock.ts';

const settle = () => new Promise((resolve) => setImmediate(resolve));

function stage() {
  const clock = new ManualClock();
  const over = new AbortController();
  const given: number[] = [];
  const start = clock.monotonic();
  const hint = spaced(() => given.push(clock.monotonic() - start), 1000, clock, over.signal);
  return { clock, over, given, hint };
}

describe('hints of webhooks', () => {
  it('of a hundred in a second are two (R17)', async () => {
    const { clock, given, hint } = stage();
    for (let each = 0; each < 100; each += 1) {
      hint();
      clock.advance(10);
      await settle();
    }
    expect(given).toEqual([0, 1000]);
    clock.advance(10_000);
    await settle();
    expect(given).toEqual([0, 1000]);
  });

  it('are given at once after a rest', async () => {
    const { clock, given, hint } = stage();
    hint();
    clock.advance(1000);
    hint();
    expect(given).toEqual([0, 1000]);
  });

  it('end with the server, the one that is due too', async () => {
    const { clock, over, given, hint } = stage();
    hint();
    hint();
    expect(clock.sleeping).toBe(1);
    over.abort();
    await settle();
    hint();
    clock.advance(5000);
    await settle();
    expect([given, clock.sleeping]).toEqual([[0], 0]);
  });
});
