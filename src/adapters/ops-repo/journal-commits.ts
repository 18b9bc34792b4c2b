import type { Oid } from '../../domain/ids.ts';
import type { Clock } from '../../ports/clock.ts';
import type { TreeEntry } from '../../ports/ops-repo.ts';
import { Cache } from './cache.ts';
import { commitTree, type FileWrite, writeTree } from './commit.ts';
import { GitFailure } from './failure.ts';
import { type CloneOptions, Git } from './git.ts';
import { type PushAnswer, push } from './push.ts';
import { RemoteRefs } from './refs.ts';
import { listTree } from './tree.ts';

export interface CommitsOptions extends CloneOptions {
  readonly journalRef: string;
  /** Shared with the branch where `url` is the same; default: one of its own. */
  readonly refs?: RemoteRefs;
}

/**
 * The journal's ref as git keeps it: which files each of its commits holds, and a push by compare-and-swap. Nothing here
 * knows what the files mean. Errors of the port.
 */
export interface JournalCommits {
  /** For messages: whose ref it is, without credentials. */
  readonly place: string;
  /** Aborted by `close`. */
  readonly closing: AbortSignal;
  /** Where the local copy stands; null: the remote had no such ref. */
  readonly tip: Oid | null;
  /** Asks the remote, and fetches what is new. `justNow`: what was told of the ref a moment ago is new enough. */
  refresh(options?: { readonly justNow?: boolean; readonly signal?: AbortSignal | undefined }): Promise<Oid | null>;
  /** All files of a commit that was fetched. `known`: blobs by path whose content is not wanted again. */
  read(tip: Oid, known: ReadonlyMap<string, Oid>): Promise<readonly JournalFile[]>;
  /**
   * One commit with these files changed, on top of `tip` or without a parent, pushed over exactly `tip`. Landed, the local
   * copy stands there too.
   */
  write(files: readonly FileWrite[], tip: Oid | null, options: WriteOptions): Promise<Written>;
  /** At least so many commits lead to `tip`. */
  isAsLongAs(tip: Oid, commits: number): Promise<boolean>;
  close(): Promise<void>;
}

export interface JournalFile extends Pick<TreeEntry, 'path' | 'oid'> {
  /** Absent: its blob is known. null: it is no file, or too large. */
  readonly content?: Uint8Array | null;
}

interface WriteOptions {
  readonly message: string;
  readonly isRoot: boolean;
}

export interface Written {
  readonly commit: Oid;
  readonly answer: PushAnswer;
}

export function gitJournalCommits(options: CommitsOptions, clock: Clock): JournalCommits {
  return new GitCommits(options, clock);
}

const LARGEST_FILE = 64 * 1024;

class GitCommits implements JournalCommits {
  readonly #options: CommitsOptions;
  readonly #clock: Clock;
  readonly #git: Git;
  readonly #cache: Cache;
  readonly #ownRefs: RemoteRefs | undefined;

  constructor(options: CommitsOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
    this.#git = new Git(options);
    const refs = options.refs ?? new RemoteRefs(options, clock);
    this.#ownRefs = options.refs === undefined ? refs : undefined;
    this.#cache = new Cache(this.#git, { refs, remoteRef: options.journalRef, clock, log: options.log });
  }

  get place(): string {
    return `${this.#git.shown}, ${this.#options.journalRef}`;
  }

  get closing(): AbortSignal {
    return this.#git.closing;
  }

  get tip(): Oid | null {
    return this.#cache.tip;
  }

  refresh(
    options: { readonly justNow?: boolean; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Oid | null> {
    return this.#cache.refresh(options);
  }

  read(tip: Oid, known: ReadonlyMap<string, Oid>): Promise<readonly JournalFile[]> {
    return this.#cache.whole(async () => {
      const listed = await listTree(this.#git, tip, []);
      return Promise.all(
        listed.map(async ({ path, oid, kind }) => {
          if (known.get(path) === oid) return { path, oid };
          const isFile = kind === 'file' || kind === 'executable';
          return { path, oid, content: isFile ? await this.#content(oid) : null };
        }),
      );
    });
  }

  write(files: readonly FileWrite[], tip: Oid | null, { message, isRoot }: WriteOptions): Promise<Written> {
    return this.#cache.whole(() =>
      this.#cache.exclusively(async () => {
        const tree = await writeTree(this.#git, tip, files);
        const parents = tip === null || isRoot ? [] : [tip];
        const { author, journalRef } = this.#options;
        const commit = await commitTree(this.#git, { tree, parents, message, author, date: this.#clock.now() });
        const answer = await push(this.#git, { commit, ref: journalRef, lease: tip });
        if (answer.kind === 'landed') await this.#cache.landed(commit);
        return { commit, answer };
      }),
    );
  }

  isAsLongAs(tip: Oid, commits: number): Promise<boolean> {
    return this.#cache.whole(async () => {
      const out = await this.#git.ok(['rev-list', '--count', `--max-count=${commits}`, tip]);
      return Number(out.toString('utf8')) >= commits;
    });
  }

  async close(): Promise<void> {
    this.#git.close();
    await this.#cache.close();
    this.#ownRefs?.close();
  }

  async #content(blob: Oid): Promise<Uint8Array | null> {
    const object = await this.#cache.object(blob, LARGEST_FILE);
    if (object === null) throw new GitFailure('damaged', 'git cat-file', 'has no such blob');
    return object.content;
  }
}
