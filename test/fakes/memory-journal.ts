import { isDeepStrictEqual } from 'node:util';
import { AWAITS_ADOPTION, isFenced, type JournalEntry, type Tombstone } from '../../src/domain/journal.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type { ClaimAnswer, ClaimTerms, Holder, Journal, JournalView, TakeOver } from '../../src/ports/journal.ts';

const EMPTY: JournalView = { entries: new Map(), ended: new Map(), damaged: [] };

/** The ref that all dispatchers share. A test may take entries away, or all of it. */
export class MemoryJournalRef {
  state: JournalView = EMPTY;

  change(work: (entries: Map<string, JournalEntry>, ended: Map<string, Tombstone>) => void): void {
    const entries = new Map(this.state.entries);
    const ended = new Map(this.state.ended);
    work(entries, ended);
    this.state = { entries, ended, damaged: [] };
  }

  deleteAll(): void {
    this.state = EMPTY;
  }
}

/** The journal as one process of one dispatcher knows it. */
export class MemoryJournal implements Journal {
  readonly #ref: MemoryJournalRef;
  readonly #own: { readonly dispatcher: string; readonly instance: string };
  readonly #clock: Clock | null;
  #view: JournalView = EMPTY;
  #seen = { monotonic: -Infinity, wall: 0 };

  /** `clock`: how old its view is; without one it is never old. */
  constructor(
    ref: MemoryJournalRef,
    own: { readonly dispatcher: string; readonly instance: string },
    clock: Clock | null = null,
  ) {
    this.#ref = ref;
    this.#own = own;
    this.#clock = clock;
  }

  async refresh(): Promise<JournalView> {
    this.#see();
    return this.#view;
  }

  age(): number {
    if (this.#clock === null) return 0;
    const wall = Math.abs(this.#clock.now().getTime() - this.#seen.wall);
    return Math.max(this.#clock.monotonic() - this.#seen.monotonic, wall);
  }

  view(): JournalView {
    return this.#view;
  }

  async claim(entry: JournalEntry, terms: ClaimTerms): Promise<ClaimAnswer> {
    const answer = this.#judge(entry, terms);
    if (answer === 'won') this.#change((entries) => entries.set(entry.id, entry));
    return answer;
  }

  async update(entry: JournalEntry): Promise<boolean> {
    if (this.#ref.state.entries.get(entry.id)?.token !== entry.token) return false;
    this.#change((entries) => entries.set(entry.id, entry));
    return true;
  }

  async end(tombstone: Tombstone): Promise<void> {
    const held = this.#ref.state.entries.get(tombstone.id);
    if (held !== undefined && held.token !== tombstone.token) return;
    if (held === undefined && this.#ref.state.ended.get(tombstone.id)?.token === tombstone.token) return;
    this.#change((entries, ended) => {
      entries.delete(tombstone.id);
      ended.set(tombstone.id, tombstone);
    });
  }

  async adopt(to: Holder): Promise<readonly JournalEntry[]> {
    return this.#give(this.#entriesOf(to.dispatcher), to);
  }

  async adoptGiven(to: Holder): Promise<readonly JournalEntry[]> {
    if (this.#isFenced()) return [];
    return this.#give(
      this.#entriesOf(to.dispatcher).filter(({ instance }) => instance === AWAITS_ADOPTION || instance === to.instance),
      to,
    );
  }

  async renew(leaseUntil: string): Promise<number> {
    const own = this.#entriesOf(this.#own.dispatcher).filter(({ instance }) => instance === this.#own.instance);
    const [first] = own.toSorted((a, b) => a.id.localeCompare(b.id));
    if (first === undefined) return 0;
    this.#change((entries) => {
      for (const entry of own) {
        if (entry === first || entry.lease_until === undefined) {
          entries.set(entry.id, { ...entry, lease_until: leaseUntil });
        }
      }
    });
    return own.length;
  }

  async takeOver({ from, watched, ids, to }: TakeOver): Promise<readonly JournalEntry[]> {
    const given = watched.filter(({ id }) => ids.has(id)).map((entry) => ({ ...heldBy(entry, to), taken_from: from }));
    const holds = (entry: JournalEntry) => isDeepStrictEqual(this.#ref.state.entries.get(entry.id), entry);
    if (given.every(holds)) return given;
    if (to.instance === this.#own.instance && this.#isFenced()) return [];
    if (this.#entriesOf(from).length !== watched.length || !watched.every(holds)) return [];
    this.#change((entries) => {
      for (const entry of given) entries.set(entry.id, entry);
    });
    return given;
  }

  #give(held: readonly JournalEntry[], to: Holder): readonly JournalEntry[] {
    const given = held.map((entry) => heldBy(entry, to));
    if (given.length > 0) {
      this.#change((entries) => {
        for (const entry of given) entries.set(entry.id, entry);
      });
    }
    return given;
  }

  #entriesOf(dispatcher: string): readonly JournalEntry[] {
    return [...this.#ref.state.entries.values()].filter((entry) => entry.dispatcher === dispatcher);
  }

  #isFenced(): boolean {
    return [...this.#ref.state.entries.values()].some((entry) => isFenced(entry, this.#own));
  }

  #judge(entry: JournalEntry, terms: ClaimTerms): ClaimAnswer {
    const { entries, ended } = this.#ref.state;
    const { instance } = this.#own;
    const all = [...entries.values()];
    if (this.#isFenced()) return 'fenced';
    const held = entries.get(entry.id);
    if (held !== undefined && isDeepStrictEqual(unsigned(held), unsigned(entry))) return 'won';
    if (ended.has(entry.id)) return 'taken';
    if (held !== undefined && (held.token !== terms.replaces || held.instance !== instance)) return 'taken';
    // The place of the attempt before it is its own, whatever the limit is by now.
    if (entry.group === null || held?.group === entry.group) return 'won';
    const live = all.filter(({ id, group }) => group === entry.group && id !== entry.id).length;
    const late = [...ended.values()].filter(
      ({ group, held_until = '' }) => group === entry.group && new Date(held_until) > terms.now,
    );
    return live + late.length >= terms.groupLimit ? 'group-full' : 'won';
  }

  #change(work: (entries: Map<string, JournalEntry>, ended: Map<string, Tombstone>) => void): void {
    this.#ref.change(work);
    this.#see();
  }

  #see(): void {
    this.#view = this.#ref.state;
    if (this.#clock !== null) this.#seen = { monotonic: this.#clock.monotonic(), wall: this.#clock.now().getTime() };
  }
}

const unsigned = ({ lease_until: _sign, ...entry }: JournalEntry) => entry;

function heldBy(entry: JournalEntry, { dispatcher, instance, leaseUntil }: Holder): JournalEntry {
  return {
    ...unsigned(entry),
    dispatcher,
    instance,
    ...(leaseUntil === undefined ? {} : { lease_until: leaseUntil }),
  };
}
