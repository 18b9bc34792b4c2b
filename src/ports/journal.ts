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

/** Who holds entries; `leaseUntil`: the first sign of life, of a holder that gives any. */
export interface Holder {
  readonly dispatcher: string;
  readonly instance: string;
  readonly leaseUntil?: string | undefined;
}

export interface TakeOver {
  readonly from: string;
  /** All entries of `from` as they were seen; where one of them differs by now, or there is another one, nothing is taken. */
  readonly watched: readonly JournalEntry[];
  /** Ids of those that are taken. */
  readonly ids: ReadonlySet<string>;
  readonly to: Holder;
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
  /**
   * Milliseconds since what `view` shows was true, by the monotonic or the wall clock, whichever says more: one of them
   * may have stood still. Infinity: nothing was read yet.
   */
  age(): number;
  claim(entry: JournalEntry, terms: ClaimTerms): Promise<ClaimAnswer>;
  /** Replaces our own entry (same id and token); false when it is not there any more. */
  update(entry: JournalEntry): Promise<boolean>;
  /** Entry → tombstone, in one commit. Nothing to do when the tombstone is there already. */
  end(tombstone: Tombstone): Promise<void>;
  /** Writes `instance` and lease into all entries of `dispatcher` and answers them: the first act of a start. */
  adopt(to: Holder): Promise<readonly JournalEntry[]>;
  /** The same for those that await adoption alone; none where another process of our name holds entries. */
  adoptGiven(to: Holder): Promise<readonly JournalEntry[]>;
  /** One sign of life for all entries that we hold, in one small commit; none without entries. Answers how many we hold. */
  renew(leaseUntil: string): Promise<number>;
  /** Gives the named entries to another holder, who is in `to`; answers those that are his now. */
  takeOver(terms: TakeOver): Promise<readonly JournalEntry[]>;
}
