import type { Clock } from '../../ports/clock.ts';

/** When evidence that was read before is read again. Times are monotonic, in milliseconds. */

export interface Asked {
  readonly firstSeen: number;
  readonly readAt: number;
  /** When somebody wanted to know it last. */
  wantedAt: number;
}

/** Soonest and latest after which the same is asked again; an hour of waiting is asked about once a minute. */
const SOONEST_MS = 4_000;
const LATEST_MS = 600_000;
const PART_OF_AGE = 60;
/** For each subject that somebody wants to know of: so that many of them cost the forge no more than few. */
const EACH_MS = 1_000;
/** What nobody asked for so long is no longer waited for, and then forgotten. */
const WANTED_MS = 60_000;
const FORGOTTEN_MS = 3_600_000;

/** The later, the longer it is waited for already, and the more there is to ask. */
export function isDue({ firstSeen, readAt }: Asked, wanted: number, now: number): boolean {
  const pause = Math.max(SOONEST_MS, (now - firstSeen) / PART_OF_AGE, wanted * EACH_MS);
  return now - readAt >= Math.min(pause, LATEST_MS);
}

/** Counts now and then how many of the answers kept are waited for, and forgets those that nobody wants any more. */
export function createWanted(clock: Clock): { count(kept: Map<string, Asked>): number } {
  let last = { at: -Infinity, count: 0 };
  return {
    count(kept) {
      const now = clock.monotonic();
      if (now - last.at < SOONEST_MS) return last.count;
      for (const [key, { wantedAt }] of kept) if (now - wantedAt > FORGOTTEN_MS) kept.delete(key);
      last = { at: now, count: [...kept.values()].filter(({ wantedAt }) => now - wantedAt < WANTED_MS).length };
      return last.count;
    },
  };
}
