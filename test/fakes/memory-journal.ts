import { isDeepStrictEqual } from 'node:util';
import type { JournalEntry, Tombstone } from '../../src/domain/journal.ts';
import type { ClaimAnswer, ClaimTerms, Journal, JournalView } from '../../src/ports/journal.ts';

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
  #view: JournalView = EMPTY;

  constructor(ref: MemoryJournalRef, own: { readonly dispatcher: string; readonly instance: string }) {
    this.#ref = ref;
    this.#own = own;
  }

  async refresh(): Promise<JournalView> {
    this.#view = this.#ref.state;
    return this.#view;
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

  async adopt(dispatcher: string, instance: string): Promise<readonly JournalEntry[]> {
    const ours = [...this.#ref.state.entries.values()].filter((entry) => entry.dispatcher === dispatcher);
    const adopted = ours.map((entry) => ({ ...entry, instance }));
    if (adopted.length > 0) {
      this.#change((entries) => {
        for (const entry of adopted) entries.set(entry.id, entry);
      });
    }
    return adopted;
  }

  #judge(entry: JournalEntry, terms: ClaimTerms): ClaimAnswer {
    const { entries, ended } = this.#ref.state;
    const { dispatcher, instance } = this.#own;
    const all = [...entries.values()];
    if (all.some((each) => each.dispatcher === dispatcher && each.instance !== instance)) return 'fenced';
    const held = entries.get(entry.id);
    if (held !== undefined && isDeepStrictEqual(held, entry)) return 'won';
    if (ended.has(entry.id)) return 'taken';
    if (held !== undefined && (held.token !== terms.replaces || held.instance !== instance)) return 'taken';
    if (entry.group === null) return 'won';
    const live = all.filter(({ id, group }) => group === entry.group && id !== entry.id).length;
    const late = [...ended.values()].filter(
      ({ group, held_until = '' }) => group === entry.group && new Date(held_until) > terms.now,
    );
    return live + late.length >= terms.groupLimit ? 'group-full' : 'won';
  }

  #change(work: (entries: Map<string, JournalEntry>, ended: Map<string, Tombstone>) => void): void {
    this.#ref.change(work);
    this.#view = this.#ref.state;
  }
}
