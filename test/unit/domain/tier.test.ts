import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { highestTier, TIERS } from '../../../src/domain/tier.ts';

describe('highestTier', () => {
  it('is high where nobody has judged', () => {
    expect([highestTier(), highestTier(undefined, undefined)]).toEqual(['high', 'high']);
  });

  it.each([
    [['low', 'low'], 'low'],
    [['low', 'medium', undefined], 'medium'],
    [['high', 'low'], 'high'],
  ] as const)('is that of the strictest: %j is %s', (tiers, highest) => {
    expect(highestTier(...tiers)).toBe(highest);
  });

  it('is never lowered by one more opinion (R3)', () => {
    const tier = fc.constantFrom(...TIERS);
    fc.assert(
      fc.property(fc.array(tier, { minLength: 1 }), tier, (tiers, more) => {
        const rank = (each: (typeof TIERS)[number]) => TIERS.indexOf(each);
        return rank(highestTier(...tiers, more)) >= rank(highestTier(...tiers));
      }),
    );
  });
});
