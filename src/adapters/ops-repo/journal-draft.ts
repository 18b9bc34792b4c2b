import {
  AWAITS_ADOPTION,
  entryPath,
  isFenced,
  type JournalEntry,
  journalEntrySchema,
  type Tombstone,
  tombstonePath,
  tombstoneSchema,
} from '../../domain/journal.ts';
import { StalledError } from '../../errors.ts';
import type { ClaimAnswer, ClaimTerms, Holder, TakeOver } from '../../ports/journal.ts';
import type { FileWrite } from './commit.ts';

/** What one state of the ref holds. `paths`: all files, those that can't be read too. */
export interface JournalState {
  readonly entries: ReadonlyMap<string, JournalEntry>;
  readonly ended: ReadonlyMap<string, Tombstone>;
  readonly damaged: readonly { readonly path: string; readonly message: string }[];
  readonly paths: ReadonlySet<string>;
}

export const emptyState: JournalState = { entries: new Map(), ended: new Map(), damaged: [], paths: new Set() };

/** What a journal held and holds no more, though nothing that dispatchers do takes it away. */
export interface Losses {
  readonly entries: readonly JournalEntry[];
  readonly tombstones: readonly Tombstone[];
}

/** Whose journal it is. */
export interface Owner {
  readonly dispatcher: string;
  readonly instance: string;
}

/**
 * The next state, made on top of exactly the state that a push will replace. Every precondition is looked at here, and
 * again on a new draft whenever the push lost. Nothing here talks to anything.
 */
export class JournalDraft {
  readonly #entries: Map<string, JournalEntry>;
  readonly #ended: Map<string, Tombstone>;
  readonly #paths: Set<string>;
  readonly #owner: Owner;
  readonly #writes = new Map<string, Uint8Array | null>();

  constructor(state: JournalState, owner: Owner) {
    this.#entries = new Map(state.entries);
    this.#ended = new Map(state.ended);
    this.#paths = new Set(state.paths);
    this.#owner = owner;
  }

  get writes(): readonly FileWrite[] {
    return [...this.#writes].map(([path, content]) => ({ path, content }));
  }

  /**
   * An identical entry is ours and has landed before, with whatever signs of life since. Another one of ours makes room only when it is named in
   * `replaces`; everything else that lies at the id's places, readable or not, means taken.
   */
  claim(entry: JournalEntry, terms: ClaimTerms): ClaimAnswer {
    if (this.#isFenced()) return 'fenced';
    const held = this.#entries.get(entry.id);
    if (held !== undefined && encodeClaim(held) === encodeClaim(entry)) return 'won';
    if (this.#paths.has(tombstonePath(entry.id))) return 'taken';
    const makesRoom = held?.token === terms.replaces && held.instance === this.#owner.instance;
    if (this.#paths.has(entryPath(entry.id)) && !makesRoom) return 'taken';
    if (this.#isFull(entry, held, terms)) return 'group-full';
    this.#put(entry);
    return 'won';
  }

  /** Throws StalledError (ERR_FENCED) when another process took our name and adopted the entry. */
  update(entry: JournalEntry): boolean {
    const held = this.#entries.get(entry.id);
    if (held === undefined || held.token !== entry.token) return false;
    if (held.dispatcher === this.#owner.dispatcher && held.instance !== this.#owner.instance) {
      throw new StalledError('ERR_FENCED', `another process runs as ${held.dispatcher} and holds ${held.id}`);
    }
    if (!this.#holds(entry)) this.#put(entry);
    return true;
  }

  /** Also where the entry is gone: then the tombstone alone keeps the id from being claimed again. */
  end(tombstone: Tombstone): void {
    const held = this.#entries.get(tombstone.id);
    if (held !== undefined && held.token !== tombstone.token) return;
    if (held !== undefined) this.#remove(entryPath(tombstone.id));
    this.#entries.delete(tombstone.id);
    if (this.#ended.get(tombstone.id)?.token === tombstone.token) return;
    this.#ended.set(tombstone.id, tombstone);
    this.#write(tombstonePath(tombstone.id), encode(tombstone));
  }

  adopt(to: Holder): readonly JournalEntry[] {
    return this.#give(this.#entriesOf(to.dispatcher), to);
  }

  adoptGiven(to: Holder): readonly JournalEntry[] {
    if (this.#isFenced()) return [];
    const given = this.#entriesOf(to.dispatcher).filter(
      ({ instance }) => instance === AWAITS_ADOPTION || instance === to.instance,
    );
    return this.#give(given, to);
  }

  /** One entry carries the sign for all of them, so that a sign costs the same however many there are. */
  renew(leaseUntil: string): number {
    const own = this.#entriesOf(this.#owner.dispatcher).filter(({ instance }) => instance === this.#owner.instance);
    const [first] = own.toSorted((a, b) => (a.id < b.id ? -1 : 1));
    for (const entry of own) {
      if (entry === first || entry.lease_until === undefined) this.#put({ ...entry, lease_until: leaseUntil });
    }
    return own.length;
  }

  takeOver({ from, watched, ids, to }: TakeOver): readonly JournalEntry[] {
    const wanted = watched.filter(({ id }) => ids.has(id));
    const given = wanted.map((entry) => ({ ...heldBy(entry, to), taken_from: from }));
    if (given.every((entry) => this.#holds(entry))) return given;
    if (to.instance === this.#owner.instance && this.#isFenced()) return [];
    const isSame = this.#entriesOf(from).length === watched.length && watched.every((entry) => this.#holds(entry));
    if (!isSame) return [];
    for (const entry of given) this.#put(entry);
    return given;
  }

  /** Puts back what was lost; what has come since stays. */
  restore({ entries, tombstones }: Losses): void {
    for (const tombstone of tombstones) {
      // Whatever attempt of it is back: it has ended.
      if (this.#entries.delete(tombstone.id)) this.#remove(entryPath(tombstone.id));
      this.end(tombstone);
    }
    for (const entry of entries) {
      const held = this.#entries.get(entry.id);
      const isNewer = held !== undefined && held.attempt > entry.attempt;
      if (!isNewer && !this.#ended.has(entry.id) && !this.#holds(entry)) this.#put(entry);
    }
  }

  /** Removes tombstones that ended before `endedBefore` and hold no slot; only when something else is written anyway. */
  dropExpired(endedBefore: Date, now: Date): void {
    if (this.#writes.size === 0) return;
    for (const tombstone of this.#ended.values()) {
      if (this.#writes.has(tombstonePath(tombstone.id))) continue;
      if (isHeld(tombstone, now) || Date.parse(tombstone.ended_at) >= endedBefore.getTime()) continue;
      this.#ended.delete(tombstone.id);
      this.#remove(tombstonePath(tombstone.id));
    }
  }

  #isFenced(): boolean {
    return [...this.#entries.values()].some((entry) => isFenced(entry, this.#owner));
  }

  #entriesOf(dispatcher: string): readonly JournalEntry[] {
    return [...this.#entries.values()].filter((entry) => entry.dispatcher === dispatcher);
  }

  #holds(entry: JournalEntry): boolean {
    const held = this.#entries.get(entry.id);
    // Adopting thousands compares them all, and most differ in this.
    return held?.instance === entry.instance && encode(held) === encode(entry);
  }

  #give(entries: readonly JournalEntry[], to: Holder): readonly JournalEntry[] {
    const given = entries.map((entry) => heldBy(entry, to));
    for (const entry of given) if (!this.#holds(entry)) this.#put(entry);
    return given;
  }

  /** `before`: the attempt whose place it takes; in the same group the place is its own, whatever the limit is by now. */
  #isFull(entry: JournalEntry, before: JournalEntry | undefined, { groupLimit, now }: ClaimTerms): boolean {
    return before?.group !== entry.group && this.#inGroup(entry, now) >= groupLimit;
  }

  #inGroup(entry: JournalEntry, now: Date): number {
    if (entry.group === null) return Number.NEGATIVE_INFINITY;
    const live = [...this.#entries.values()].filter(({ id, group }) => group === entry.group && id !== entry.id);
    const held = [...this.#ended.values()].filter((ended) => ended.group === entry.group && isHeld(ended, now));
    return live.length + held.length;
  }

  #put(entry: JournalEntry): void {
    this.#entries.set(entry.id, entry);
    this.#write(entryPath(entry.id), encode(entry));
  }

  #write(path: string, text: string): void {
    this.#paths.add(path);
    this.#writes.set(path, Buffer.from(text));
  }

  #remove(path: string): void {
    this.#paths.delete(path);
    this.#writes.set(path, null);
  }
}

function isHeld(tombstone: Tombstone, now: Date): boolean {
  return tombstone.held_until !== undefined && Date.parse(tombstone.held_until) > now.getTime();
}

/** A holder that gives no signs of life must not look like one that has stopped giving them. */
function heldBy(
  { lease_until: _old, ...entry }: JournalEntry,
  { dispatcher, instance, leaseUntil }: Holder,
): JournalEntry {
  return { ...entry, dispatcher, instance, ...(leaseUntil === undefined ? {} : { lease_until: leaseUntil }) };
}

function encodeClaim({ lease_until: _sign, ...entry }: JournalEntry): string {
  return encode(entry);
}

/** The bytes of the file: keys in the order of the schema, so that equal is equal. */
function encode(value: JournalEntry | Tombstone): string {
  const ordered = 'ended_at' in value ? tombstoneSchema.parse(value) : journalEntrySchema.parse(value);
  return `${JSON.stringify(ordered, null, 2)}\n`;
}

/** What a file of the ref says, or what is wrong with it. */
export function decodeFile(
  path: string,
  content: Uint8Array | null,
): { readonly entry: JournalEntry } | { readonly tombstone: Tombstone } | { readonly damage: string } {
  const isTombstone = path.startsWith('ended/');
  const schema = isTombstone ? tombstoneSchema : journalEntrySchema;
  const json = parseJson(content);
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return {
      damage:
        json === undefined ? 'no JSON of a sensible size' : `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`,
    };
  }
  const value = parsed.data;
  const expected = isTombstone ? tombstonePath(value.id) : entryPath(value.id);
  if (expected !== path) return { damage: `belongs at ${expected}` };
  return 'ended_at' in value ? { tombstone: value } : { entry: value };
}

function parseJson(content: Uint8Array | null): unknown {
  if (content === null) return undefined;
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content));
  } catch {
    return undefined;
  }
}
