import { z } from 'zod';

/*
 * What only the daemon knows of itself, for the commands beside it: a small file in its state_dir, of which the last
 * version counts. Nothing is decided by it.
 */

const reasonSchema = z.object({ code: z.string(), message: z.string() });

export const daemonStateSchema = z.object({
  v: z.literal(1),
  /** When it was written, ISO 8601 in UTC. */
  at: z.iso.datetime(),
  pid: z.int().positive(),
  /** Why it is not ready, as /readyz says; empty: it is. */
  unready: z.array(reasonSchema),
  /** Services that are away. */
  away: z.array(
    z.object({
      service: z.string(),
      since: z.iso.datetime(),
      /** Until then it is left alone; null: it is asked as always. */
      next_try: z.iso.datetime().nullable(),
      failed: z.int().nonnegative(),
      reason: reasonSchema,
    }),
  ),
  slots: z.object({ used: z.int().nonnegative(), limit: z.int().nonnegative() }),
  /** Runs that wait in the engine for a place. */
  queued: z.int().nonnegative(),
  starts_per_minute: z.int().nonnegative(),
});

export type DaemonState = z.infer<typeof daemonStateSchema>;

/** Older than this it is not told any more: the daemon writes at least twice in that time. */
const STALE_MS = 90_000;

export function isFresh({ at }: Pick<DaemonState, 'at'>, now: Date): boolean {
  return now.getTime() - Date.parse(at) <= STALE_MS;
}
