import { createHash } from 'node:crypto';
import { blobOid, type Oid, oid } from '../../src/domain/ids.ts';
import { InvalidError } from '../../src/errors.ts';
import type {
  AllowedSigner,
  ApprovalTag,
  CommitInfo,
  EntryKind,
  FirstParentChange,
  OpsRepo,
  Person,
  SignatureVerdict,
  TreeChange,
  TreeEntry,
} from '../../src/ports/ops-repo.ts';

/** A history in memory: real parents, trees and merges; a signature is the name of the key that made it. */

export type MemoryContent = string | null | { readonly kind: EntryKind; readonly content: string };

export interface MemoryCommit {
  readonly author?: Person;
  readonly committer?: Person;
  readonly coAuthors?: readonly Person[];
  /** The key, or `broken`. */
  readonly signedBy?: string;
  /** Default: one minute after the commit before. */
  readonly date?: string;
}

interface MemoryTag {
  readonly tagger?: Person;
  readonly signedBy?: string;
}

interface Stored extends CommitInfo {
  readonly tree: ReadonlyMap<string, TreeEntry>;
  readonly signedBy: string | null;
}

const somebody: Person = { name: 'Some Body', email: 'somebody@example.org' };

export class MemoryOpsRepo implements OpsRepo {
  readonly calls: string[] = [];
  /** What reading throws, if anything. */
  failure: Error | null = null;
  /** Commits that are on no branch and that the clone has not got yet. */
  readonly unfetched = new Set<Oid>();
  readonly #tags = new Map<string, ApprovalTag>();
  readonly #tagSigners = new Map<Oid, string | null>();
  /** A blob that is refused for its size. */
  tooLarge: Oid | null = null;
  readonly #commits = new Map<Oid, Stored>();
  readonly #blobs = new Map<Oid, Buffer>();
  #clock = Date.parse('2026-01-01T00:00:00Z');

  /** A commit on top of `parents[0]` (none: the first one), with these files changed. */
  make(parents: readonly Oid[], files: Readonly<Record<string, MemoryContent>>, options: MemoryCommit = {}): Oid {
    const [first] = parents;
    return this.#store(parents, new Map(first === undefined ? [] : this.#get(first).tree), files, options);
  }

  /** Merges `theirs` into `ours`; `files` settles conflicts, or is the evil of the merge. */
  merge(ours: Oid, theirs: Oid, files: Readonly<Record<string, MemoryContent>> = {}, options: MemoryCommit = {}): Oid {
    const before = this.#ancestors(ours);
    const base = [...this.#ancestors(theirs)].find((commit) => before.has(commit));
    const tree = new Map(this.#get(ours).tree);
    const old = base === undefined ? new Map<string, TreeEntry>() : this.#get(base).tree;
    for (const { path, after } of differences(old, this.#get(theirs).tree)) {
      if (after === null) tree.delete(path);
      else tree.set(path, after);
    }
    return this.#store([ours, theirs], tree, files, options);
  }

  /** An annotated tag `approve/<name>`; made again under the same name it moves. */
  tag(name: string, commit: Oid, message: string, options: MemoryTag = {}): ApprovalTag {
    this.#clock += 60_000;
    const { tagger = somebody, signedBy = null } = options;
    const ref = `refs/tags/approve/${name}`;
    const id = idOf([ref, commit, message, options, this.#clock]);
    const tag = { oid: id, ref, commit, message, tagger, taggedAt: new Date(this.#clock).toISOString() };
    this.#tags.set(ref, tag);
    this.#tagSigners.set(id, signedBy);
    return tag;
  }

  deleteTag(name: string): void {
    this.#tags.delete(`refs/tags/approve/${name}`);
  }

  blobAt(commit: Oid, path: string): Oid {
    const entry = this.#get(commit).tree.get(path);
    if (entry === undefined) throw new Error(`nothing lies at ${path}`);
    return entry.oid;
  }

  async list(commit: Oid, under: readonly string[]) {
    this.#called('list');
    return [...this.#get(commit).tree.values()].filter(({ path }) => isUnder(path, under));
  }

  async entryAt(commit: Oid, path: string) {
    this.#called('entryAt');
    return this.#get(commit).tree.get(path) ?? null;
  }

  async read(blob: Oid) {
    this.#called('read');
    if (blob === this.tooLarge) throw new InvalidError('ERR_FILE_SIZE', 'too large');
    const bytes = this.#blobs.get(blob);
    if (bytes === undefined) throw new Error('no such blob');
    return new Uint8Array(bytes);
  }

  async commit(commit: Oid): Promise<CommitInfo> {
    this.#called('commit');
    return this.#get(commit);
  }

  async lastChanged(tip: Oid, paths: readonly string[]) {
    this.#called('lastChanged');
    const line = this.#firstParents(tip);
    return new Map(
      paths.flatMap((path) => {
        const at = line.find((commit) => this.#changes(commit).some((change) => change.path === path));
        return at === undefined ? [] : [[path, { commit: at.oid, committedAt: at.committedAt }] as const];
      }),
    );
  }

  async firstParentChanges(from: Oid | null, to: Oid, under: readonly string[]): Promise<readonly FirstParentChange[]> {
    this.#called('firstParentChanges');
    const known = from === null ? new Set<Oid>() : this.#ancestors(from);
    return this.#firstParents(to)
      .filter((commit) => !known.has(commit.oid))
      .map((commit) => ({
        commit: commit.oid,
        committedAt: commit.committedAt,
        changes: this.#changes(commit).filter(({ path }) => isUnder(path, under)),
      }))
      .filter(({ changes }) => changes.length > 0)
      .toReversed();
  }

  async introducers(merge: Oid, path: string, blob: Oid) {
    this.#called('introducers');
    const [first, ...sides] = this.#get(merge).parents;
    if (first === undefined) return [];
    const before = this.#ancestors(first);
    const holds = (commit: Oid) => this.#get(commit).tree.get(path)?.oid === blob;
    const found = new Set<Oid>();
    const follow = (commit: Oid): void => {
      if (before.has(commit) || !holds(commit)) return;
      const holding = this.#get(commit).parents.filter(holds);
      if (holding.length === 0) found.add(commit);
      for (const parent of holding) follow(parent);
    };
    if (holds(merge)) for (const side of sides) follow(side);
    return [...found];
  }

  async isAncestor(ancestor: Oid, descendant: Oid) {
    this.#called('isAncestor');
    return this.#ancestors(descendant).has(ancestor);
  }

  async mergeBases(one: Oid, other: Oid): Promise<readonly Oid[]> {
    this.#called('mergeBases');
    const before = this.#ancestors(one);
    const common = [...this.#ancestors(other)].filter((commit) => before.has(commit));
    return common.filter((commit) => !common.some((each) => each !== commit && this.#ancestors(each).has(commit)));
  }

  async root(commit: Oid): Promise<Oid> {
    this.#called('root');
    return this.#firstParents(commit).at(-1)?.oid ?? commit;
  }

  async obtain(commits: readonly Oid[]): Promise<ReadonlySet<Oid>> {
    this.#called('obtain');
    const there = commits.filter((commit) => this.#commits.has(commit));
    for (const commit of there) this.unfetched.delete(commit);
    return new Set(there);
  }

  async approvalTags(): Promise<readonly ApprovalTag[]> {
    this.#called('approvalTags');
    return [...this.#tags.values()].toSorted((a, b) => (a.ref < b.ref ? -1 : 1));
  }

  async verifySignature(object: Oid, keys: readonly AllowedSigner[]): Promise<SignatureVerdict> {
    this.#called('verifySignature');
    const ofTag = this.#tagSigners.get(object);
    const signedBy = ofTag === undefined ? this.#get(object).signedBy : ofTag;
    if (signedBy === null) return { kind: 'unsigned' };
    if (signedBy === 'broken') return { kind: 'bad' };
    const signer = keys.find(({ key }) => key === signedBy);
    return signer === undefined
      ? { kind: 'unknown-key', fingerprint: `SHA256:${signedBy}` }
      : { kind: 'good', principal: signer.principal, fingerprint: `SHA256:${signedBy}` };
  }

  refresh = unused;
  acceptHistory = unused;
  changes = unused;
  everAdded = unused;
  publish = unused;

  async close(): Promise<void> {
    this.#commits.clear();
  }

  #called(name: string): void {
    this.calls.push(name);
    if (this.failure !== null) throw this.failure;
  }

  #get(commit: Oid): Stored {
    const found = this.#commits.get(commit);
    if (found === undefined || this.unfetched.has(commit)) throw new Error(`no commit ${commit}`);
    return found;
  }

  #store(
    parents: readonly Oid[],
    tree: Map<string, TreeEntry>,
    files: Readonly<Record<string, MemoryContent>>,
    options: MemoryCommit,
  ): Oid {
    for (const [path, content] of Object.entries(files)) {
      if (content === null) tree.delete(path);
      else tree.set(path, this.#entry(path, content));
    }
    this.#clock += 60_000;
    const author = options.author ?? somebody;
    const committedAt = options.date ?? new Date(this.#clock).toISOString();
    const id = idOf([parents, [...tree], options, this.#clock]);
    const { committer = author, coAuthors = [], signedBy = null } = options;
    this.#commits.set(id, {
      oid: id,
      parents,
      author,
      committer,
      coAuthors,
      committedAt,
      subject: 'change',
      tree,
      signedBy,
    });
    return id;
  }

  #entry(path: string, content: NonNullable<MemoryContent>): TreeEntry {
    const { kind, content: text } = typeof content === 'string' ? { kind: 'file' as const, content } : content;
    const bytes = Buffer.from(text);
    const id = blobOid(bytes);
    this.#blobs.set(id, bytes);
    return { path, kind, oid: id };
  }

  /** Nearest first. */
  #ancestors(tip: Oid): ReadonlySet<Oid> {
    const found = new Set([tip]);
    for (const commit of found) for (const parent of this.#get(commit).parents) found.add(parent);
    return found;
  }

  #firstParents(tip: Oid): readonly Stored[] {
    const line: Stored[] = [];
    for (let at: Oid | undefined = tip; at !== undefined; at = line.at(-1)?.parents[0]) line.push(this.#get(at));
    return line;
  }

  #changes({ parents: [first], tree }: Stored): readonly TreeChange[] {
    return differences(first === undefined ? new Map() : this.#get(first).tree, tree);
  }
}

function differences(
  before: ReadonlyMap<string, TreeEntry>,
  after: ReadonlyMap<string, TreeEntry>,
): readonly TreeChange[] {
  const paths = [...new Set([...before.keys(), ...after.keys()])];
  return paths
    .map((path) => ({ path, before: before.get(path) ?? null, after: after.get(path) ?? null }))
    .filter((change) => change.before?.oid !== change.after?.oid || change.before?.kind !== change.after?.kind);
}

function isUnder(path: string, under: readonly string[]): boolean {
  return under.some((folder) => path === folder || path.startsWith(`${folder}/`));
}

function idOf(value: unknown): Oid {
  return oid(createHash('sha1').update(JSON.stringify(value)).digest('hex'));
}

function unused(): never {
  throw new Error('not part of this history in memory');
}
