import type { Code } from '../errors.ts';
import type { JournalView } from '../ports/journal.ts';
import { Turns, type Wanting } from './turns.ts';

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
  /** Why there are no more, where they are used up. */
  readonly whyNoMore?: string;
}

export interface Choice {
  readonly start: readonly string[];
  readonly held: ReadonlyMap<string, Held>;
}

/** Who is behind the holders, by id; of whom nothing is known, nobody. */
export interface AuthorFacts {
  readonly authorOf: ReadonlyMap<string, string>;
  /** The number of the turn that each author had last. */
  readonly last: ReadonlyMap<string, number>;
}

/**
 * Slots go to the authors in turn: to whom the fewest belong, those included that are taken already; among these to who
 * had the last turn the longest ago. Of one author, and among those who had none yet, the highest priority goes first,
 * then first in, first out. What its group holds back takes no turn. Pure.
 */
export function chooseStarts(
  wanting: readonly Wanting[],
  holders: readonly Holder[],
  limits: SlotLimits,
  { authorOf, last }: AuthorFacts = { authorOf: new Map(), last: new Map() },
): Choice {
  const holding = new Map(holders.map((holder) => [holder.id, holder]));
  const room: Room = {
    limits,
    live: holders.filter((holder) => holder.live).length,
    starts: 0,
    groups: new Map(),
  };
  for (const { group } of holders) if (group !== null) room.groups.set(group, inGroup(room, group) + 1);
  const start: string[] = [];
  const held = new Map<string, Held>();
  const turns = new Turns(wanting, { held: countByAuthor(holders, authorOf), last });
  for (let next = turns.next(); next !== null; next = turns.next()) {
    // The next attempt of an action takes the place of the one before it.
    const before = holding.get(next.id);
    if (before !== undefined) leave(room, before);
    const why = whyHeld(room, next, before);
    if (why !== null) held.set(next.id, why);
    else start.push(next.id);
    if (why === null) enter(room, { ...next, live: true });
    else if (before !== undefined) enter(room, before);
    if (why === null) room.starts += 1;
    turns.took(why === null && before?.live !== true);
  }
  return { start, held };
}

function countByAuthor(holders: readonly Holder[], authorOf: ReadonlyMap<string, string>): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { id, live } of holders) {
    const author = authorOf.get(id);
    if (live && author !== undefined) counts.set(author, (counts.get(author) ?? 0) + 1);
  }
  return counts;
}

interface Held {
  readonly code: Code;
  readonly message: string;
}

/** What is taken so far. */
interface Room {
  readonly limits: SlotLimits;
  live: number;
  starts: number;
  readonly groups: Map<string, number>;
}

function whyHeld(room: Room, next: Wanting, before: Holder | undefined): Held | null {
  const { inFlight, startsLeft, whyNoMore = USED_UP } = room.limits;
  const running = next.group === null ? 0 : inGroup(room, next.group);
  if (next.group !== null && before?.group !== next.group && running >= next.groupLimit) {
    return { code: 'ERR_GROUP', message: `group ${next.group} has ${running} of ${next.groupLimit} running` };
  }
  if (before?.live !== true && room.live >= inFlight)
    return { code: 'ERR_SLOT', message: `all ${inFlight} slots are taken` };
  if (room.starts < startsLeft) return null;
  return { code: 'ERR_SLOT', message: whyNoMore };
}

const inGroup = (room: Room, group: string) => room.groups.get(group) ?? 0;

function enter(room: Room, { group, live }: Pick<Holder, 'group' | 'live'>): void {
  if (live) room.live += 1;
  if (group !== null) room.groups.set(group, inGroup(room, group) + 1);
}

function leave(room: Room, { group, live }: Holder): void {
  if (live) room.live -= 1;
  if (group !== null) room.groups.set(group, inGroup(room, group) - 1);
}

const USED_UP = 'dispatches_per_minute is used up for this minute';

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
