import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { askAgainMs } from '../../../src/domain/ask-again.ts';
import { startsPerMinute } from '../../../src/domain/dispatch-rate.ts';

const limits = fc.record({
  inFlight: fc.integer({ min: 1, max: 10_000 }),
  dispatchesPerMinute: fc.integer({ min: 1, max: 100_000 }),
});

describe('startsPerMinute', () => {
  it('is all that is allowed with no queue, half at half a minute of starts, one from a whole minute on (R20)', () => {
    const of = (queued: number) => startsPerMinute(queued, { inFlight: 5000, dispatchesPerMinute: 600 });
    expect([0, 300, 599, 600, 5000].map(of)).toEqual([600, 300, 1, 1, 1]);
    expect(startsPerMinute(12, { inFlight: 16, dispatchesPerMinute: 600 })).toBe(150);
  });

  it('only falls as the queue grows, and never below one or above what is allowed', () => {
    fc.assert(
      fc.property(limits, fc.nat(20_000), fc.nat(20_000), (allowed, one, other) => {
        const [fewer, more] = [Math.min(one, other), Math.max(one, other)];
        const [fast, slow] = [startsPerMinute(fewer, allowed), startsPerMinute(more, allowed)];
        expect(slow).toBeLessThanOrEqual(fast);
        expect(slow).toBeGreaterThanOrEqual(1);
        expect(fast).toBeLessThanOrEqual(allowed.dispatchesPerMinute);
        expect(Number.isInteger(fast)).toBe(true);
      }),
    );
  });
});

describe('askAgainMs', () => {
  const waited = { age: 0, waiting: 1, asksForge: true, random: 1 };

  it('is ten seconds at first, a minute after an hour, ten minutes at last; without a forge ten seconds', () => {
    const hours = (age: number, more = {}) => askAgainMs({ ...waited, age: age * 3_600_000, ...more });
    expect([0, 0.1, 1, 10, 1000].map((age) => hours(age))).toEqual([10_000, 10_000, 60_000, 600_000, 600_000]);
    expect(hours(1000, { asksForge: false })).toBe(10_000);
  });

  it('grows with their number too, but asks about a new one soon', () => {
    const thousands = { ...waited, waiting: 10_000, asksForge: false };
    expect([20_000, 100_000, 3_600_000].map((age) => askAgainMs({ ...thousands, age }))).toEqual([
      10_000, 50_000, 100_000,
    ]);
  });

  it('stays between ten seconds and ten minutes', () => {
    const any = fc.record({
      age: fc.nat(1e10),
      waiting: fc.nat(1e6),
      asksForge: fc.boolean(),
      random: fc.double({ min: 0, max: 0.999, noNaN: true }),
    });
    fc.assert(
      fc.property(any, (each) => {
        const ms = askAgainMs(each);
        expect(ms >= 10_000 && ms <= 600_000).toBe(true);
      }),
    );
  });
});
