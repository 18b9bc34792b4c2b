import type { AttemptRecord } from '../domain/attempt-record.ts';

/**
 * Of each id the last attempt that this host knows to have been claimed, whatever the journal says. A note is removed only
 * when the next attempt has its place, so one of attempt n with none before it was claimed too. Pure.
 */
export function claimedNotes(records: readonly AttemptRecord[]): ReadonlyMap<string, AttemptRecord> {
  const first = new Map<string, number>();
  for (const { entry } of records) first.set(entry.id, Math.min(entry.attempt, first.get(entry.id) ?? Infinity));
  const claimed = new Map<string, AttemptRecord>();
  for (const record of records) {
    const { id, attempt } = record.entry;
    const isClaimed = record.claimed || (attempt > 1 && first.get(id) === attempt);
    if (isClaimed && attempt > (claimed.get(id)?.entry.attempt ?? 0)) claimed.set(id, record);
  }
  return claimed;
}
