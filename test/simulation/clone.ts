import type { FileWrite } from '../../src/adapters/ops-repo/commit.ts';
import { GroupCommit } from '../../src/adapters/ops-repo/group-commit.ts';
import type { JournalCommits, JournalFile, Written } from '../../src/adapters/ops-repo/journal-commits.ts';
import { Publisher } from '../../src/adapters/ops-repo/publish.ts';
import { type BranchCommits, branchMissing } from '../../src/adapters/ops-repo/publish-commits.ts';
import type { PushAnswer } from '../../src/adapters/ops-repo/push.ts';
import type { Oid } from '../../src/domain/ids.ts';
import { TransientError } from '../../src/errors.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type { NewFile, OpsRepo, PublishAnswer, Tips, TreeChange, TreeEntry } from '../../src/ports/ops-repo.ts';
import { difference } from '../fakes/memory-ops-repo-simple.ts';
import { type Files, isUnder, JOURNAL, MAIN, type SimGit } from './git.ts';
import type { Link } from './network.ts';

/** What outlives the process of a clone: files beside it. */
export interface CloneDisk {
  acceptedTip: Oid | null;
}

export interface CloneTools {
  readonly git: SimGit;
  readonly link: Link;
  readonly clock: Clock;
  readonly disk: CloneDisk;
  /** Who its commits are by. */
  readonly author: string;
}

/** A clone of one ref: reads cost a moment each, and the first one after damage a new clone. */
class Cached {
  isDamaged = false;
  tip: Oid | null = null;
  readonly #tools: CloneTools;
  readonly #ref: string;

  constructor(tools: CloneTools, ref: string) {
    this.#tools = tools;
    this.#ref = ref;
  }

  async local<T>(work: () => T): Promise<T> {
    const { git, link } = this.#tools;
    if (this.isDamaged) {
      this.tip = await link.call(`clone ${this.#ref} anew`, () => git.refs.get(this.#ref) ?? null);
      this.isDamaged = false;
    }
    if (!link.process.pass()) await new Promise(() => undefined);
    return work();
  }

  async refresh(): Promise<Oid | null> {
    const { git, link } = this.#tools;
    this.tip = await link.call(`fetch ${this.#ref}`, () => git.refs.get(this.#ref) ?? null);
    this.isDamaged = false;
    return this.tip;
  }

  /** What git says of a push; nobody knows what became of one without an answer. */
  async push(commit: Oid, lease?: Oid | null): Promise<PushAnswer> {
    const { git, link, author } = this.#tools;
    try {
      const push = () => git.push(this.#ref, commit, author, lease);
      const answer = await link.call(`push ${commit.slice(0, 7)} to ${this.#ref}`, push);
      if (answer === 'moved') return { kind: 'refused', why: 'moved' };
      this.tip = commit;
      return { kind: 'landed' };
    } catch (error) {
      if (error instanceof TransientError) return { kind: 'unknown' };
      throw error;
    }
  }
}

const asFiles = (writes: readonly { readonly path: string; readonly content: Uint8Array | null }[]): Files =>
  Object.fromEntries(writes.map(({ path, content }) => [path, content]));

/** The branch, as the ops repo's port wants it; what it publishes goes the way of the real publisher. */
export class SimClone implements OpsRepo {
  readonly #tools: CloneTools;
  readonly #cached: Cached;
  readonly #publications: GroupCommit<{ file: NewFile; message: string }, PublishAnswer>;
  readonly #closing = new AbortController();

  constructor(tools: CloneTools) {
    this.#tools = tools;
    this.#cached = new Cached(tools, MAIN);
    const publisher = new Publisher(this.#commits(), tools.clock);
    this.#publications = new GroupCommit({
      flush: (group) => publisher.publish(group),
      spacingMs: 2000,
      clock: tools.clock,
      signal: this.#closing.signal,
    });
  }

  damage(): void {
    this.#cached.isDamaged = true;
  }

  async refresh(): Promise<Tips> {
    const { git, disk } = this.#tools;
    const tip = await this.#cached.refresh();
    if (tip === null) throw branchMissing('simulated', 'main');
    return this.#cached.local(() => {
      const descends = disk.acceptedTip === null || git.isAncestor(disk.acceptedTip, tip);
      if (descends) disk.acceptedTip = tip;
      return { tip, root: git.root(tip), descends };
    });
  }

  async acceptHistory(): Promise<void> {
    this.#tools.disk.acceptedTip = await this.#cached.refresh();
  }

  list(commit: Oid, under: readonly string[]): Promise<readonly TreeEntry[]> {
    return this.#read((git) => [...git.get(commit).tree.values()].filter(({ path }) => isUnder(path, under)));
  }

  changes(from: Oid, to: Oid, under: readonly string[]): Promise<readonly TreeChange[]> {
    return this.#read((git) => difference(git.get(from).tree, git.get(to).tree, under));
  }

  entryAt(commit: Oid, path: string): Promise<TreeEntry | null> {
    return this.#read((git) => git.get(commit).tree.get(path) ?? null);
  }

  read(blob: Oid): Promise<Uint8Array> {
    return this.#read((git) => {
      const bytes = git.blob(blob);
      if (bytes === undefined) throw new Error('no such blob');
      return bytes;
    });
  }

  commit(commit: Oid) {
    return this.#read((git) => git.info(commit));
  }

  lastChanged(tip: Oid, paths: readonly string[]) {
    return this.#read((git) => {
      const found = new Map<string, { readonly commit: Oid; readonly committedAt: string }>();
      const wanted = new Set(paths);
      for (const { oid: commit, committedAt, changes } of git.line(tip)) {
        for (const { path } of changes) if (wanted.delete(path)) found.set(path, { commit, committedAt });
        if (wanted.size === 0) break;
      }
      return found;
    });
  }

  firstParentChanges(from: Oid | null, to: Oid, under: readonly string[]) {
    return this.#read((git) => git.changes(from, to, under));
  }

  async introducers(): Promise<readonly Oid[]> {
    return [];
  }

  everAdded(from: Oid | null, to: Oid, under: readonly string[], suffix: string): Promise<readonly string[]> {
    return this.#read((git) => {
      const changes = git.changes(from, to, under).flatMap((each) => each.changes);
      return changes.filter(({ before, path }) => before === null && path.endsWith(suffix)).map(({ path }) => path);
    });
  }

  isAncestor(ancestor: Oid, descendant: Oid): Promise<boolean> {
    return this.#read((git) => git.isAncestor(ancestor, descendant));
  }

  mergeBases(one: Oid, other: Oid): Promise<readonly Oid[]> {
    return this.#read((git) => [git.isAncestor(one, other) ? one : other]);
  }

  root(commit: Oid): Promise<Oid> {
    return this.#read((git) => git.root(commit));
  }

  async verifySignature() {
    return { kind: 'unsigned' } as const;
  }

  async obtain(commits: readonly Oid[]): Promise<ReadonlySet<Oid>> {
    return new Set(commits);
  }

  async approvalTags() {
    return [];
  }

  publish(file: NewFile, message: string): Promise<PublishAnswer> {
    return this.#publications.submit({ file, message });
  }

  async close(): Promise<void> {
    this.#closing.abort();
  }

  #read<T>(work: (git: SimGit) => T): Promise<T> {
    return this.#cached.local(() => work(this.#tools.git));
  }

  #commits(): BranchCommits {
    const { git, clock, author } = this.#tools;
    const cached = this.#cached;
    return {
      place: 'simulated, branch main',
      closing: this.#closing.signal,
      refresh: () => cached.refresh(),
      missing: () => branchMissing('simulated', 'main'),
      isIn: (tip, commit) => this.isAncestor(commit, tip),
      entriesAt: (tip, paths) =>
        this.#read(() => {
          const { tree } = git.get(tip);
          return new Map(paths.flatMap((path) => [tree.get(path) ?? []].flat().map((entry) => [path, entry] as const)));
        }),
      write: async (files, tip, message) => {
        const terms = { subject: message.trim(), at: clock.now(), author };
        const commit = await cached.local(() => git.commit(tip, asFiles(files), terms));
        return { commit, answer: await cached.push(commit) };
      },
    };
  }
}

/** The journal's ref, beneath the real journal. */
export class SimJournalCommits implements JournalCommits {
  readonly place = 'simulated, journal';
  readonly #tools: CloneTools;
  readonly #cached: Cached;
  readonly #closing = new AbortController();

  constructor(tools: CloneTools) {
    this.#tools = tools;
    this.#cached = new Cached(tools, JOURNAL);
  }

  damage(): void {
    this.#cached.isDamaged = true;
  }

  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  get tip(): Oid | null {
    return this.#cached.tip;
  }

  refresh(): Promise<Oid | null> {
    return this.#cached.refresh();
  }

  read(tip: Oid, known: ReadonlyMap<string, Oid>): Promise<readonly JournalFile[]> {
    const { git } = this.#tools;
    return this.#cached.local(() =>
      [...git.get(tip).tree.values()].map(({ path, oid }) =>
        known.get(path) === oid ? { path, oid } : { path, oid, content: git.blob(oid) ?? null },
      ),
    );
  }

  async write(
    files: readonly FileWrite[],
    tip: Oid | null,
    { message, isRoot }: { readonly message: string; readonly isRoot: boolean },
  ): Promise<Written> {
    const { git, clock, author } = this.#tools;
    const terms = { subject: message.trim(), at: clock.now(), author };
    const whole =
      tip === null
        ? {}
        : Object.fromEntries([...git.get(tip).tree].map(([path, { oid }]) => [path, git.blob(oid) ?? null]));
    const commit = await this.#cached.local(() =>
      isRoot ? git.commit(null, { ...whole, ...asFiles(files) }, terms) : git.commit(tip, asFiles(files), terms),
    );
    return { commit, answer: await this.#cached.push(commit, tip) };
  }

  async isAsLongAs(tip: Oid, commits: number): Promise<boolean> {
    return this.#cached.local(() => [...this.#tools.git.line(tip)].length >= commits);
  }

  async close(): Promise<void> {
    this.#closing.abort();
  }
}
