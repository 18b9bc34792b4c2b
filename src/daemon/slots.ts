import type { Code } from '../errors.ts';
import type { JournalView } from '../ports/journal.ts';

/** An action that may run as soon as there is a slot. */
export interface Wanting {
  readonly id: string;
  readonly group: string | null;
  readonly groupLimit: number;
  /** 1..100, higher first. */
  readonly priority: number;
  readonly committedAt: string;
}

/** Who holds a slot at this moment; derived anew each time from the journal and the live runs, never counted apart. */
export interface Holder {
  readonly id: string;
  readonly group: string | null;
  /** False: its run has ended and only its result is still on its way; it holds its group but no slot. */
  readonly live: boolean;
}

export interface SlotLimits {
  readonly inFlight: number;
  /** Starts that are still allowed in this minute. */
  readonly startsLeft: number;
}

export interface Choice {
  readonly start: readonly string[];
  readonly held: ReadonlyMap<string, { readonly code: Code; readonly message: string }>;
}

/** Highest priority first, then first in, first out. Pure. */
export function chooseStarts(wanting: readonly Wanting[], holders: readonly Holder[], limits: SlotLimits): Choice {
  let free = limits.inFlight - holders.filter((holder) => holder.live).length;
  let starts = limits.startsLeft;
  const groups = new Map<string, number>();
  for (const { group } of holders) if (group !== null) groups.set(group, (groups.get(group) ?? 0) + 1);
  const start: string[] = [];
  const held = new Map<string, { code: Code; message: string }>();
  const holding = new Map(holders.map((holder) => [holder.id, holder]));
  for (const next of wanting.toSorted(byTurn)) {
    // The next attempt of an action takes the place of the one before it.
    const before = holding.get(next.id);
    const place = before?.live === true ? 1 : 0;
    const inGroup = next.group === null ? 0 : (groups.get(next.group) ?? 0) - (before?.group === next.group ? 1 : 0);
    if (next.group !== null && inGroup >= next.groupLimit) {
      held.set(next.id, { code: 'ERR_GROUP', message: `group ${next.group} has ${inGroup} of ${next.groupLimit} running` });
    } else if (free + place <= 0) {
      held.set(next.id, { code: 'ERR_SLOT', message: `all ${limits.inFlight} slots are taken` });
    } else if (starts <= 0) {
      held.set(next.id, { code: 'ERR_SLOT', message: 'dispatches_per_minute is used up for this minute' });
    } else {
      start.push(next.id);
      free -= 1 - place;
      starts -= 1;
      if (next.group !== null) groups.set(next.group, inGroup + 1);
    }
  }
  return { start, held };
}

function byTurn(a: Wanting, b: Wanting): number {
  return b.priority - a.priority || a.committedAt.localeCompare(b.committedAt) || a.id.localeCompare(b.id);
}

/**
 * Holders by the journal: every entry, and tombstones of `lost` and `unknown` until their deadline. `active`: what this
 * process is doing, which is newer than the journal it last read.
 */
export function holdersOf(
  journal: JournalView,
  active: ReadonlyMap<string, { readonly group: string | null; readonly live: boolean }>,
  own: { readonly dispatcher: string; readonly now: Date },
): readonly Holder[] {
  const holders = new Map<string, Holder>();
  for (const entry of journal.entries.values()) {
    holders.set(entry.id, { id: entry.id, group: entry.group, live: entry.dispatcher === own.dispatcher });
  }
  for (const tombstone of journal.ended.values()) {
    const held = tombstone.held_until !== undefined && new Date(tombstone.held_until) > own.now;
    if (held) holders.set(tombstone.id, { id: tombstone.id, group: tombstone.group ?? null, live: true });
    else holders.delete(tombstone.id);
  }
  for (const [id, { group, live }] of active) holders.set(id, { id, group, live });
  return [...holders.values()];
}
