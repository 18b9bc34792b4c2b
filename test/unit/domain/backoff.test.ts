import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backoffMs } from '../../../src/domain/backoff.ts';

describe('backoffMs', () => {
  it('doubles from a quarter of a second and stops at half a minute (R20)', () => {
    expect([0, 1, 2, 3, 6, 7, 8, 1000].map((failures) => backoffMs(failures, 1))).toEqual([
      250, 500, 1000, 2000, 16_000, 30_000, 30_000, 30_000,
    ]);
  });

  it('spreads over the upper half, so that nobody comes back at once (R17)', () => {
    fc.assert(
      fc.property(fc.nat(10_000), fc.double({ min: 0, max: 0.999_999, noNaN: true }), (failures, chance) => {
        const ms = backoffMs(failures, chance);
        const most = backoffMs(failures, 1);
        return ms >= most / 2 && ms < most && ms >= 125 && ms <= 30_000;
      }),
    );
    expect(backoffMs(3, 0)).toBe(1000);
  });
});
