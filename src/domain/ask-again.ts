/** What a verdict on a waiting action costs decides how soon it is taken again. All times in milliseconds. */
export interface Waited {
  /** How long its verdict could not change but by what people say elsewhere. */
  readonly age: number;
  /** How many wait like this. */
  readonly waiting: number;
  /** What people say is asked of a forge. */
  readonly asksForge: boolean;
  /** 0 ≤ x < 1, so that what was pushed together is not asked about together for ever. */
  readonly random: number;
}

const SOONEST_MS = 10_000;
const LATEST_MS = 600_000;
/** An hour of waiting is asked about once a minute. */
const PART_OF_AGE = 60;
/** Of thousands so many wait that about a hundred are judged in a second. */
const EACH_MS = 10;

/**
 * After so many milliseconds a waiting action is judged again though nothing of it has changed: 10 s at first, later the
 * longer it waits where a forge is asked, and the more there are (each of them at latest when it has waited half as long
 * again), at most 10 minutes.
 */
export function askAgainMs({ age, waiting, asksForge, random }: Waited): number {
  const byAge = asksForge ? age / PART_OF_AGE : 0;
  const byNumber = Math.min(waiting * EACH_MS, age / 2);
  const later = Math.min(Math.max(byAge, byNumber), LATEST_MS);
  return Math.max(SOONEST_MS, later * (0.75 + 0.25 * random));
}
