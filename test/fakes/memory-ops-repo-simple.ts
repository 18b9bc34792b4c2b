import { blobOid, type Oid, oid, sha256 } from '../../src/domain/ids.ts';
import { InvalidError } from '../../src/errors.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type {
  ApprovalTag,
  CommitInfo,
  EntryKind,
  FirstParentChange,
  NewFile,
  OpsRepo,
  PublishAnswer,
  SignatureVerdict,
  Tips,
  TreeChange,
  TreeEntry,
} from '../../src/ports/ops-repo.ts';

/** Text of a file; null: it is deleted; or something that is no regular file. */
export type Content = string | Uint8Array | null | { readonly kind: EntryKind };

interface Commit {
  readonly oid: Oid;
  readonly committedAt: string;
  readonly subject: string;
  readonly tree: ReadonlyMap<string, TreeEntry>;
}

/** A branch in memory: one line of commits without merges. */
export class SimpleOpsRepo implements OpsRepo {
  readonly #clock: Clock;
  readonly #commits: Commit[] = [];
  readonly #blobs = new Map<string, Uint8Array>();
  /** Set false: the branch was rewritten. */
  descends = true;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.commitFiles({}, 'root');
  }

  get tip(): Oid {
    return this.#newest().oid;
  }

  get subjects(): readonly string[] {
    return this.#commits.map(({ subject }) => subject);
  }

  /** Another writer's commit. `at`: its claimed time. */
  commitFiles(files: Readonly<Record<string, Content>>, subject = 'change', at?: string): Oid {
    const tree = new Map(this.#commits.at(-1)?.tree);
    for (const [path, content] of Object.entries(files)) {
      if (content === null) tree.delete(path);
      else tree.set(path, this.#entry(path, content));
    }
    const id = oid(sha256(`commit ${this.#commits.length} ${subject}`).slice(0, 40));
    this.#commits.push({ oid: id, committedAt: at ?? this.#clock.now().toISOString(), subject, tree });
    return id;
  }

  /** Text at the tip; null if there is none. */
  textAt(path: string): string | null {
    const entry = this.#newest().tree.get(path);
    return entry === undefined ? null : Buffer.from(this.#blobs.get(entry.oid) ?? []).toString('utf8');
  }

  async refresh(): Promise<Tips> {
    return { tip: this.tip, root: oid(this.#commits[0]?.oid ?? ''), descends: this.descends };
  }

  async acceptHistory(): Promise<void> {
    this.descends = true;
  }

  async list(commit: Oid, under: readonly string[]): Promise<readonly TreeEntry[]> {
    return [...this.#at(commit).tree.values()].filter(({ path }) => isUnder(path, under)).toSorted(byPath);
  }

  async changes(from: Oid, to: Oid, under: readonly string[]): Promise<readonly TreeChange[]> {
    return difference(this.#at(from).tree, this.#at(to).tree, under);
  }

  async entryAt(commit: Oid, path: string): Promise<TreeEntry | null> {
    return this.#at(commit).tree.get(path) ?? null;
  }

  async read(blob: Oid): Promise<Uint8Array> {
    const bytes = this.#blobs.get(blob);
    if (bytes === undefined) throw new Error('no such blob');
    if (bytes.length > 1 << 20) throw new InvalidError('ERR_FILE_SIZE', 'too large');
    return bytes;
  }

  async commit(commit: Oid): Promise<CommitInfo> {
    const at = this.#commits.findIndex((each) => each.oid === commit);
    const { committedAt, subject } = this.#at(commit);
    const parent = this.#commits[at - 1];
    const person = { name: 'Somebody', email: 'somebody@example.org' };
    const parents = parent === undefined ? [] : [parent.oid];
    return { oid: commit, parents, author: person, committer: person, coAuthors: [], committedAt, subject };
  }

  async lastChanged(tip: Oid, paths: readonly string[]) {
    const found = new Map<string, { readonly commit: Oid; readonly committedAt: string }>();
    for (const { commit, committedAt, changes } of await this.firstParentChanges(null, tip, paths)) {
      for (const { path } of changes) found.set(path, { commit, committedAt });
    }
    return found;
  }

  async firstParentChanges(from: Oid | null, to: Oid, under: readonly string[]): Promise<readonly FirstParentChange[]> {
    const start = from === null ? 0 : this.#commits.findIndex((each) => each.oid === from) + 1;
    const end = this.#commits.findIndex((each) => each.oid === to) + 1;
    return this.#commits.slice(start, end).flatMap(({ oid: commit, committedAt, tree }, index) => {
      const changes = difference(this.#commits[start + index - 1]?.tree ?? new Map(), tree, under);
      return changes.length === 0 ? [] : [{ commit, committedAt, changes }];
    });
  }

  async introducers(): Promise<readonly Oid[]> {
    return [];
  }

  async everAdded(from: Oid | null, to: Oid, under: readonly string[], suffix: string): Promise<readonly string[]> {
    const changes = (await this.firstParentChanges(from, to, under)).flatMap((each) => each.changes);
    return changes.filter(({ before, path }) => before === null && path.endsWith(suffix)).map(({ path }) => path);
  }

  async isAncestor(ancestor: Oid, descendant: Oid): Promise<boolean> {
    const at = (commit: Oid) => this.#commits.findIndex((each) => each.oid === commit);
    return at(ancestor) >= 0 && at(ancestor) <= at(descendant);
  }

  async mergeBases(one: Oid, other: Oid): Promise<readonly Oid[]> {
    return [(await this.isAncestor(one, other)) ? one : other];
  }

  async verifySignature(): Promise<SignatureVerdict> {
    return { kind: 'unsigned' };
  }

  async obtain(commits: readonly Oid[]): Promise<ReadonlySet<Oid>> {
    return new Set(commits.filter((commit) => this.#commits.some((each) => each.oid === commit)));
  }

  async approvalTags(): Promise<readonly ApprovalTag[]> {
    return [];
  }

  async root(): Promise<Oid> {
    return oid(this.#commits[0]?.oid ?? '');
  }

  async publish(file: NewFile, message: string): Promise<PublishAnswer> {
    const there = this.#newest().tree.get(file.path);
    if (there?.oid === blobOid(file.content)) return { kind: 'landed', commit: this.tip };
    if (there !== undefined) return { kind: 'conflict', blob: there.oid };
    return { kind: 'landed', commit: this.commitFiles({ [file.path]: file.content }, message) };
  }

  async close(): Promise<void> {}

  #entry(path: string, content: Exclude<Content, null>): TreeEntry {
    if (typeof content === 'object' && 'kind' in content)
      return { path, kind: content.kind, oid: blobOid(Buffer.from(path)) };
    const bytes = Buffer.from(content);
    this.#blobs.set(blobOid(bytes), bytes);
    return { path, kind: 'file', oid: blobOid(bytes) };
  }

  #newest(): Commit {
    return this.#at(this.#commits.at(-1)?.oid ?? '');
  }

  #at(commit: string): Commit {
    const found = this.#commits.find((each) => each.oid === commit);
    if (found === undefined) throw new Error('no such commit');
    return found;
  }
}

type Tree = ReadonlyMap<string, TreeEntry>;
const byPath = (a: { path: string }, b: { path: string }) => (a.path < b.path ? -1 : 1);
const isUnder = (path: string, under: readonly string[]) =>
  under.some((each) => path === each || path.startsWith(`${each}/`));

/** What changed between two trees, as git tells it: in the order of the paths, no renames. */
export function difference(from: Tree, to: Tree, under: readonly string[]): readonly TreeChange[] {
  const paths = [...new Set([...from.keys(), ...to.keys()])].filter((path) => isUnder(path, under)).toSorted();
  return paths.flatMap((path) => {
    const before = from.get(path) ?? null;
    const after = to.get(path) ?? null;
    return before?.oid === after?.oid && before?.kind === after?.kind ? [] : [{ path, before, after }];
  });
}
