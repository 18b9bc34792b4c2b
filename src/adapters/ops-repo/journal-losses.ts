import { entryPath, tombstonePath } from '../../domain/journal.ts';
import type { JournalState, Losses } from './journal-draft.ts';

interface Signs {
  /** Tombstones that ended before may have been dropped for their age. */
  readonly endedAfter: Date;
  /** The ref stands at a commit that it had left, or says of an attempt what was true before: no dispatcher does that. */
  readonly isOld: boolean;
}

/**
 * What became lost between two states of the ref: it was deleted, edited by hand, or put back from a backup. An entry goes
 * only by its tombstone or by the next attempt, a tombstone only by its age (`endedAfter`: younger ones are missed). null:
 * nothing. Pure. With any loss at all the later state is an old one, so that of an attempt that both hold the earlier
 * state's words count.
 */
export function lossesOf(
  before: JournalState,
  now: JournalState,
  { endedAfter, isOld: isKnownOld }: Signs,
): Losses | null {
  const tombstones = [...before.ended.values()].filter(
    ({ id, ended_at }) => !now.paths.has(tombstonePath(id)) && Date.parse(ended_at) >= endedAfter.getTime(),
  );
  const open = [...before.entries.values()].filter(
    ({ id }) => !now.paths.has(tombstonePath(id)) && (now.entries.has(id) || !now.paths.has(entryPath(id))),
  );
  const attemptNow = (id: string): number => now.entries.get(id)?.attempt ?? 0;
  // A tombstone that is gone and has not left its entry may have been too old for somebody else: no sign of an old state.
  const isOld =
    isKnownOld ||
    open.some(({ id, attempt }) => attemptNow(id) < attempt) ||
    tombstones.some(({ id }) => attemptNow(id) > 0);
  if (!isOld && tombstones.length === 0) return null;
  // Of the same attempt the earlier state's words: whose it is, and what it was given last.
  const entries = isOld ? open.filter(({ id, attempt }) => attemptNow(id) <= attempt) : [];
  return { entries, tombstones };
}
