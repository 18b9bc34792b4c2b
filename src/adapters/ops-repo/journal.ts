import type { Oid } from '../../domain/ids.ts';
import type { JournalEntry, Tombstone } from '../../domain/journal.ts';
import { StalledError, TransientError, toError } from '../../errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { ClaimAnswer, ClaimTerms, Journal, JournalView } from '../../ports/journal.ts';
import { Cache } from './cache.ts';
import { commitTree, type FileWrite, writeTree } from './commit.ts';
import { GitFailure } from './failure.ts';
import { type CloneOptions, Git } from './git.ts';
import { type Flush, GroupCommit } from './group-commit.ts';
import { decodeFile, emptyState, JournalDraft, type JournalState } from './journal-draft.ts';
import { pauseMs } from './publish.ts';
import { push } from './push.ts';
import { RemoteRefs } from './refs.ts';
import { listTree } from './tree.ts';

/** `url` is that of the journal: the ops repo itself, or a repo of its own. */
export interface JournalOptions extends CloneOptions {
  readonly journalRef: string;
  /** Configured name of this dispatcher, and the random name of this start of it. */
  readonly dispatcher: string;
  readonly instance: string;
  /** Tombstones are kept this long. */
  readonly tombstoneDays: number;
  /** Shared with the branch where `url` is the same; default: one of its own. */
  readonly refs?: RemoteRefs;
}

export interface OpenJournal extends Journal {
  /** Rejects what waits and ends what runs. */
  close(): Promise<void>;
}

/** Answers at once: nothing is asked of the server before the first call. */
export function openJournal(options: JournalOptions, clock: Clock): Promise<OpenJournal> {
  return Promise.resolve(new GitJournal(options, clock));
}

/** One change; it looks at the draft and answers an Error if it alone fails. */
type Operation = (draft: JournalDraft) => Error | null;

const SQUASH_AFTER = 500;
const LARGEST_FILE = 64 * 1024;
const DAY_MS = 86_400_000;
const MOST_DOUBTS = 3;

/**
 * Every write is a compare-and-swap: the tree that it replaces is the one that its preconditions were looked at, else the
 * push is refused and all is looked at again. A push whose answer was lost is settled the same way, by reading what is
 * there: an entry with our bytes is ours, because they hold our random instance.
 */
class GitJournal implements OpenJournal {
  readonly #options: JournalOptions;
  readonly #clock: Clock;
  readonly #git: Git;
  readonly #cache: Cache;
  readonly #ownRefs: RemoteRefs | undefined;
  readonly #operations: GroupCommit<Operation, true>;
  readonly #files = new Map<string, { readonly oid: Oid; readonly file: ReturnType<typeof decodeFile> }>();
  #state: JournalState = emptyState;
  #tip: Oid | null = null;
  #loads: Promise<unknown> = Promise.resolve();
  /** False: this server takes no push that is not fast-forward. */
  #canSquash = true;

  constructor(options: JournalOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
    this.#git = new Git(options);
    const refs = options.refs ?? new RemoteRefs(options, clock);
    this.#ownRefs = options.refs === undefined ? refs : undefined;
    this.#cache = new Cache(this.#git, { refs, remoteRef: options.journalRef, clock, log: options.log });
    this.#operations = new GroupCommit({
      flush: (group) => this.#flush(group),
      spacingMs: options.pushSpacingMs,
      clock,
      signal: this.#git.closing,
    });
  }

  async refresh(signal?: AbortSignal): Promise<JournalView> {
    await this.#cache.refresh({ justNow: true, signal });
    // A push of ours may land while this reads: its answer must not be followed by an older view.
    let tip: Oid | null;
    do {
      tip = this.#cache.tip;
      await this.#load(tip);
    } while (tip !== this.#cache.tip);
    return this.view();
  }

  view(): JournalView {
    return this.#state;
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

  adopt(dispatcher: string, instance: string): Promise<readonly JournalEntry[]> {
    return this.#submit((draft) => draft.adopt(dispatcher, instance));
  }

  async close(): Promise<void> {
    this.#git.close();
    await this.#operations.idle();
    await this.#cache.close();
    this.#ownRefs?.close();
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
      this.#git.closing.throwIfAborted();
      const tip = await this.#cache.refresh();
      const draft = new JournalDraft(await this.#load(tip), this.#options);
      const answers = group.map((operation) => operation(draft) ?? (true as const));
      const now = this.#clock.now();
      draft.dropExpired(new Date(now.getTime() - this.#options.tombstoneDays * DAY_MS), now);
      if (draft.writes.length === 0) return { answers, pushed: doubts > 0 };

      const { commit, answer } = await this.#cache.whole(() => this.#commitAndPush(draft.writes, tip));
      if (answer.kind === 'landed') {
        await this.#load(commit);
        return { answers, pushed: true };
      }
      if (answer.kind === 'refused') this.#takeRefusal(answer.why);
      else if ((doubts += 1) > MOST_DOUBTS) throw this.#noAnswer();
      await this.#clock.sleep(pauseMs(round, this.#clock.random()), this.#git.closing);
    }
  }

  #commitAndPush(files: readonly FileWrite[], tip: Oid | null) {
    return this.#cache.exclusively(async () => {
      const tree = await writeTree(this.#git, tip, files);
      const parents = tip === null || (await this.#isTimeToSquash(tip)) ? [] : [tip];
      const { author, journalRef } = this.#options;
      const message = `journal: ${files.length} files\n`;
      const commit = await commitTree(this.#git, { tree, parents, message, author, date: this.#clock.now() });
      const answer = await push(this.#git, { commit, ref: journalRef, lease: tip });
      if (answer.kind === 'landed') await this.#cache.landed(commit);
      return { commit, answer };
    });
  }

  /** So that neither clone nor push grows with the age of the journal. */
  async #isTimeToSquash(tip: Oid): Promise<boolean> {
    if (!this.#canSquash) return false;
    const out = await this.#git.ok(['rev-list', '--count', `--max-count=${SQUASH_AFTER}`, tip]);
    return Number(out.toString('utf8')) >= SQUASH_AFTER;
  }

  #takeRefusal(why: 'moved' | 'no-force' | 'forbidden' | 'trouble'): void {
    const place = `${this.#git.shown}, ${this.#options.journalRef}`;
    if (why === 'trouble')
      throw new TransientError('ERR_GIT_UNAVAILABLE', `${place}: the server could not store the push`);
    if (why === 'forbidden' || (why === 'no-force' && !this.#canSquash)) {
      throw new StalledError('ERR_PUSH_FORBIDDEN', `${place}: the server's rules refuse the push of the journal`);
    }
    if (why === 'no-force') this.#canSquash = false;
  }

  #noAnswer(): TransientError {
    return new TransientError('ERR_GIT_UNAVAILABLE', `${this.#git.shown}: pushes get no answer and do not land`);
  }

  /** The state at this tip; reads only what is new. One after the other. */
  #load(tip: Oid | null): Promise<JournalState> {
    const load = this.#loads.then(async () => {
      if (tip !== this.#tip) {
        this.#state = tip === null ? emptyState : await this.#cache.whole(() => this.#read(tip));
        this.#tip = tip;
      }
      return this.#state;
    });
    this.#loads = load.catch(() => undefined);
    return load;
  }

  async #read(tip: Oid): Promise<JournalState> {
    const listed = await listTree(this.#git, tip, []);
    const paths = new Set(listed.map(({ path }) => path));
    for (const path of this.#files.keys()) if (!paths.has(path)) this.#files.delete(path);
    const fresh = listed.filter(({ path, oid }) => this.#files.get(path)?.oid !== oid);
    await Promise.all(
      fresh.map(async ({ path, oid, kind }) => {
        const isFile = kind === 'file' || kind === 'executable';
        const content = isFile ? await this.#content(oid) : null;
        this.#files.set(path, { oid, file: decodeFile(path, content) });
      }),
    );
    return stateOf(this.#files);
  }

  async #content(blob: Oid): Promise<Uint8Array | null> {
    const object = await this.#cache.object(blob, LARGEST_FILE);
    if (object === null) throw new GitFailure('damaged', 'git cat-file', 'has no such blob');
    return object.content;
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
