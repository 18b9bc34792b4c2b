import type { JournalState, Losses } from './journal-draft.ts';

/**
 * What became lost between two states of the ref: it was deleted, edited by hand, or put back from a backup. An entry goes
 * only by its tombstone or by the next attempt, a tombstone only by its age (`endedAfter`: younger ones are missed). null:
 * nothing. Pure. With any loss at all the later state is an old one, so that of an attempt that both hold the earlier
 * state's words count.
 */
export function lossesOf(before: JournalState, now: JournalState, endedAfter: Date): Losses | null {
  const tombstones = [...before.ended.values()].filter(
    ({ id, ended_at }) => !now.ended.has(id) && Date.parse(ended_at) >= endedAfter.getTime(),
  );
  const open = [...before.entries.values()].filter(({ id }) => !now.ended.has(id));
  const isLost = tombstones.length > 0 || open.some(({ id }) => !now.entries.has(id));
  if (!isLost) return null;
  const entries = open.filter((entry) => (now.entries.get(entry.id)?.attempt ?? 0) <= entry.attempt);
  return { entries, tombstones };
}
