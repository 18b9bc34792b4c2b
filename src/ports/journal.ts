import type { JournalEntry, Tombstone } from '../domain/journal.ts';

/** What is written in the journal at its last known state. */
export interface JournalView {
  readonly entries: ReadonlyMap<string, JournalEntry>;
  readonly ended: ReadonlyMap<string, Tombstone>;
  /** Files that do not fit the schema: path and what is wrong. Reported, never acted on. */
  readonly damaged: readonly { readonly path: string; readonly message: string }[];
}

/**
 * `won`: git says that the ref changed from what we leased to our bytes. `taken`: the id has an entry or a tombstone
 * that is not ours. `group-full`: the tree that the claim replaces already holds the group's limit of entries.
 * `fenced`: an entry of our name carries another instance.
 */
export type ClaimAnswer = 'won' | 'taken' | 'group-full' | 'fenced';

export interface ClaimTerms {
  /** How many entries and held tombstones of `entry.group` there may be, this one included. */
  readonly groupLimit: number;
  /** Token of the entry of the same id that this one takes the place of; null: there must be none. */
  readonly replaces: string | null;
  /** Decides which held tombstones still count. */
  readonly now: Date;
}

/**
 * Live attempts and tombstones, on a ref that is pushed by compare-and-swap. All calls may run at the same time; what
 * arrives while a push is under way goes into the next. Each call answers only when its push has landed or definitely
 * has not; an answer that was lost is settled by reading back. Safe to repeat: all; a claim that landed is `won` again
 * for the same entry. Errors: TransientError, StalledError (ERR_PUSH_FORBIDDEN).
 */
export interface Journal {
  /** Reads the ref; one request when nothing has changed. */
  refresh(signal?: AbortSignal): Promise<JournalView>;
  view(): JournalView;
  claim(entry: JournalEntry, terms: ClaimTerms): Promise<ClaimAnswer>;
  /** Replaces our own entry (same id and token); false when it is not there any more. */
  update(entry: JournalEntry): Promise<boolean>;
  /** Entry → tombstone, in one commit. Nothing to do when the tombstone is there already. */
  end(tombstone: Tombstone): Promise<void>;
  /** Writes `instance` into all entries of `dispatcher` and answers them: the first act of a start. */
  adopt(dispatcher: string, instance: string): Promise<readonly JournalEntry[]>;
}
