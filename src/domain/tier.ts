/** How much can go wrong; decides which approval an action needs. */
export const TIERS = ['low', 'medium', 'high'] as const;
export type Tier = (typeof TIERS)[number];

/** The highest of the tiers given. With none given: `high`, because what nobody has judged is judged strictly. */
export function highestTier(...tiers: readonly (Tier | undefined)[]): Tier {
  const known = tiers.filter((tier) => tier !== undefined);
  if (known.length === 0) return 'high';
  return known.reduce((a, b) => (TIERS.indexOf(a) >= TIERS.indexOf(b) ? a : b));
}
