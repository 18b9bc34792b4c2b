import type { Oid } from '../../domain/ids.ts';
import type { JournalEntry, Tombstone } from '../../domain/journal.ts';
import { StalledError, TransientError, toError } from '../../errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { ClaimAnswer, ClaimTerms, Holder, Journal, JournalView, TakeOver } from '../../ports/journal.ts';
import type { Log } from '../../ports/log.ts';
import { type Flush, GroupCommit } from './group-commit.ts';
import { type CommitsOptions, gitJournalCommits, type JournalCommits } from './journal-commits.ts';
import { decodeFile, emptyState, JournalDraft, type JournalState, type Losses } from './journal-draft.ts';
import { lossesOf } from './journal-losses.ts';
import { pauseMs } from './publish.ts';

export interface JournalTerms {
  /** Configured name of this dispatcher, and the random name of this start of it. */
  readonly dispatcher: string;
  readonly instance: string;
  /** Tombstones are kept this long. */
  readonly tombstoneDays: number;
  /** Nothing is ever written. */
  readonly looksOnly?: boolean;
  readonly log?: Log;
  /** Time between two landed pushes while more arrive, in milliseconds. */
  readonly pushSpacingMs: number;
}

/** `url` is that of the journal: the ops repo itself, or a repo of its own. */
export interface JournalOptions extends CommitsOptions, JournalTerms {}

export interface OpenJournal extends Journal {
  /** Rejects what waits and ends what runs. */
  close(): Promise<void>;
}

/** Answers at once: nothing is asked of the server before the first call. */
export function openJournal(options: JournalOptions, clock: Clock): Promise<OpenJournal> {
  return Promise.resolve(journalOver(gitJournalCommits(options, clock), options, clock));
}

/** The journal over whatever keeps its commits. */
export function journalOver(commits: JournalCommits, terms: JournalTerms, clock: Clock): OpenJournal {
  return new CommittedJournal(commits, terms, clock);
}

interface Moment {
  readonly monotonic: number;
  readonly wall: number;
}

/** One change; it looks at the draft and answers an Error if it alone fails. */
type Operation = (draft: JournalDraft) => Error | null;

const SQUASH_AFTER = 500;
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const MOST_NAMED = 20;
const MOST_TIPS = 2_000;
const MOST_DOUBTS = 3;

/**
 * Every write is a compare-and-swap: the tree that it replaces is the one that its preconditions were looked at, else the
 * push is refused and all is looked at again. A push whose answer was lost is settled the same way, by reading what is
 * there: an entry with our bytes is ours, because they hold our random instance.
 */
class CommittedJournal implements OpenJournal {
  readonly #commits: JournalCommits;
  readonly #terms: JournalTerms;
  readonly #clock: Clock;
  readonly #operations: GroupCommit<Operation, true>;
  /** The last state that nothing was missing from. */
  #whole: JournalState = emptyState;
  #losses: Losses | null = null;
  /** Instances that a newer process of their name has taken the place of. */
  readonly #replaced = new Set<string>();
  /** Where the ref stood, oldest first. */
  readonly #tips = new Set<Oid>();
  readonly #files = new Map<string, { readonly oid: Oid; readonly file: ReturnType<typeof decodeFile> }>();
  #state: JournalState = emptyState;
  #tip: Oid | null = null;
  #loads: Promise<unknown> = Promise.resolve();
  /** When the remote was asked for what the state shows. */
  #asked: Moment | null = null;
  /** False: this server takes no push that is not fast-forward. */
  #canSquash = true;

  constructor(commits: JournalCommits, terms: JournalTerms, clock: Clock) {
    this.#commits = commits;
    this.#terms = terms;
    this.#clock = clock;
    this.#operations = new GroupCommit({
      flush: (group) => this.#flush(group),
      spacingMs: terms.pushSpacingMs,
      clock,
      signal: commits.closing,
    });
  }

  async refresh(signal?: AbortSignal): Promise<JournalView> {
    const asked = this.#moment();
    await this.#commits.refresh({ justNow: true, signal });
    // A push of ours may land while this reads: its answer must not be followed by an older view.
    let tip: Oid | null;
    do {
      ({ tip } = this.#commits);
      await this.#load(tip);
    } while (tip !== this.#commits.tip);
    this.#asked = asked;
    if (this.#losses !== null) await this.#putBack(this.#losses);
    return this.view();
  }

  /** An old state is none that anybody should act on, until what it lost is put back. */
  view(): JournalView {
    return this.#losses === null ? this.#state : this.#whole;
  }

  age(): number {
    if (this.#asked === null) return Infinity;
    const { monotonic, wall } = this.#moment();
    return Math.max(monotonic - this.#asked.monotonic, Math.abs(wall - this.#asked.wall));
  }

  claim(entry: JournalEntry, terms: ClaimTerms): Promise<ClaimAnswer> {
    return this.#submit((draft) => draft.claim(entry, terms));
  }

  update(entry: JournalEntry): Promise<boolean> {
    return this.#submit((draft) => draft.update(entry));
  }

  end(tombstone: Tombstone): Promise<void> {
    return this.#submit((draft) => draft.end(tombstone));
  }

  adopt(to: Holder): Promise<readonly JournalEntry[]> {
    return this.#submit((draft) => draft.adopt(to));
  }

  adoptGiven(to: Holder): Promise<readonly JournalEntry[]> {
    return this.#submit((draft) => draft.adoptGiven(to));
  }

  renew(leaseUntil: string): Promise<number> {
    return this.#submit((draft) => draft.renew(leaseUntil));
  }

  takeOver(terms: TakeOver): Promise<readonly JournalEntry[]> {
    return this.#submit((draft) => draft.takeOver(terms));
  }

  async close(): Promise<void> {
    const closed = this.#commits.close();
    await this.#operations.idle();
    await closed;
  }

  async #submit<T>(apply: (draft: JournalDraft) => T): Promise<T> {
    let answer: { readonly value: T } | undefined;
    await this.#operations.submit((draft) => {
      try {
        answer = { value: apply(draft) };
        return null;
      } catch (error) {
        return toError(error);
      }
    });
    if (answer === undefined) throw new Error('a change of the journal was not answered');
    return answer.value;
  }

  async #flush(group: readonly Operation[]): Promise<Flush<true>> {
    for (let round = 0, doubts = 0; ; round += 1) {
      this.#commits.closing.throwIfAborted();
      const asked = this.#moment();
      const tip = await this.#commits.refresh();
      const draft = new JournalDraft(await this.#load(tip), this.#terms);
      this.#asked = asked;
      // Before anything is looked at: what was lost stands against a claim all the same.
      if (this.#losses !== null) draft.restore(this.#losses);
      const answers = group.map((operation) => operation(draft) ?? (true as const));
      const now = this.#clock.now();
      draft.dropExpired(new Date(now.getTime() - this.#terms.tombstoneDays * DAY_MS), now);
      const { writes } = draft;
      if (writes.length === 0) return { answers, pushed: doubts > 0 };

      const options = { message: `journal: ${writes.length} files\n`, isRoot: await this.#isTimeToSquash(tip) };
      const { commit, answer } = await this.#commits.write(writes, tip, options);
      if (answer.kind === 'landed') {
        await this.#load(commit);
        return { answers, pushed: true };
      }
      if (answer.kind === 'refused') this.#takeRefusal(answer.why);
      else if ((doubts += 1) > MOST_DOUBTS) throw this.#noAnswer();
      await this.#clock.sleep(pauseMs(round, this.#clock.random()), this.#commits.closing);
    }
  }

  #moment(): Moment {
    return { monotonic: this.#clock.monotonic(), wall: this.#clock.now().getTime() };
  }

  /** So that neither clone nor push grows with the age of the journal. */
  async #isTimeToSquash(tip: Oid | null): Promise<boolean> {
    return tip !== null && this.#canSquash && this.#commits.isAsLongAs(tip, SQUASH_AFTER);
  }

  #takeRefusal(why: 'moved' | 'no-force' | 'forbidden' | 'trouble'): void {
    const { place } = this.#commits;
    if (why === 'trouble')
      throw new TransientError('ERR_GIT_UNAVAILABLE', `${place}: the server could not store the push`);
    if (why === 'forbidden' || (why === 'no-force' && !this.#canSquash)) {
      throw new StalledError('ERR_PUSH_FORBIDDEN', `${place}: the server's rules refuse the push of the journal`);
    }
    if (why === 'no-force') this.#canSquash = false;
  }

  #noAnswer(): TransientError {
    return new TransientError('ERR_GIT_UNAVAILABLE', `${this.#commits.place}: pushes get no answer and do not land`);
  }

  /** The state at this tip; reads only what is new. One after the other. */
  #load(tip: Oid | null): Promise<JournalState> {
    const load = this.#loads.then(async () => {
      if (tip !== this.#tip) {
        this.#state = tip === null ? emptyState : await this.#read(tip);
        this.#tip = tip;
        this.#compare(this.#state, this.#hasLeft(tip));
      }
      return this.#state;
    });
    this.#loads = load.catch(() => undefined);
    return load;
  }

  /** Whether it stood there before. */
  #hasLeft(tip: Oid | null): boolean {
    if (tip === null) return false;
    const isOld = this.#tips.delete(tip);
    this.#tips.add(tip);
    for (const oldest of this.#tips) if (this.#tips.size > MOST_TIPS) this.#tips.delete(oldest);
    return isOld;
  }

  /** An older process of a name holds again what a newer one had adopted: somebody wrote down what he remembered of before. */
  #isHeldAsBefore({ entries }: JournalState): boolean {
    return this.#changedHands(entries).some(({ now }) => this.#replaced.has(now));
  }

  #changedHands(entries: JournalState['entries']): readonly { readonly before: string; readonly now: string }[] {
    return [...entries.values()].flatMap(({ id, token, dispatcher, instance: now }) => {
      const held = this.#whole.entries.get(id);
      if (held?.token !== token || held.dispatcher !== dispatcher || held.instance === now) return [];
      return [{ before: held.instance, now }];
    });
  }

  #compare(state: JournalState, isOldTip: boolean): void {
    const { tombstoneDays, looksOnly } = this.#terms;
    // Another clock than ours may have found a tombstone too old.
    const endedAfter = new Date(this.#clock.now().getTime() - tombstoneDays * DAY_MS + HOUR_MS);
    const isForgotten = looksOnly === true || this.age() > DAY_MS;
    this.#losses = isForgotten
      ? null
      : lossesOf(this.#whole, state, { endedAfter, isOld: isOldTip || this.#isHeldAsBefore(state) });
    if (this.#losses !== null) return;
    for (const { before } of this.#changedHands(state.entries)) this.#replaced.add(before);
    this.#whole = state;
  }

  async #putBack({ entries, tombstones }: Losses): Promise<void> {
    this.#terms.log?.warn('the journal was deleted or put back to an older state; what it had lost is written again', {
      journal: this.#commits.place,
      ids: [...entries, ...tombstones].map(({ id }) => id).slice(0, MOST_NAMED),
    });
    await this.#submit(() => true);
  }

  async #read(tip: Oid): Promise<JournalState> {
    const known = new Map([...this.#files].map(([path, { oid }]) => [path, oid]));
    const listed = await this.#commits.read(tip, known);
    const paths = new Set(listed.map(({ path }) => path));
    for (const path of this.#files.keys()) if (!paths.has(path)) this.#files.delete(path);
    for (const { path, oid, content } of listed) {
      if (this.#files.get(path)?.oid !== oid) this.#files.set(path, { oid, file: decodeFile(path, content ?? null) });
    }
    return stateOf(this.#files);
  }
}

function stateOf(files: ReadonlyMap<string, { readonly file: ReturnType<typeof decodeFile> }>): JournalState {
  const entries = new Map<string, JournalEntry>();
  const ended = new Map<string, Tombstone>();
  const damaged: { path: string; message: string }[] = [];
  for (const [path, { file }] of files) {
    if ('entry' in file) entries.set(file.entry.id, file.entry);
    else if ('tombstone' in file) ended.set(file.tombstone.id, file.tombstone);
    else damaged.push({ path, message: file.damage });
  }
  return { entries, ended, damaged, paths: new Set(files.keys()) };
}
