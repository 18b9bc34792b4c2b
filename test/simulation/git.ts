import { blobOid, type Oid, oid, sha256 } from '../../src/domain/ids.ts';
import type { CommitInfo, FirstParentChange, TreeChange, TreeEntry } from '../../src/ports/ops-repo.ts';

export type Files = Readonly<Record<string, string | Uint8Array | null>>;

export interface SimCommit {
  readonly oid: Oid;
  readonly parent: Oid | null;
  readonly tree: ReadonlyMap<string, TreeEntry>;
  readonly changes: readonly TreeChange[];
  readonly committedAt: string;
  readonly subject: string;
  readonly author: string;
}

export interface CommitTerms {
  readonly subject: string;
  readonly at: Date;
  readonly author: string;
}

export const MAIN = 'refs/heads/main';
export const JOURNAL = 'refs/dispatcher/journal';

/** A git server: objects by their ids, refs that are moved by compare-and-swap, one line of commits each. */
export class SimGit {
  readonly refs = new Map<string, Oid>();
  /** Told of every ref that moves, with what it stood at before. */
  onMove: (ref: string, before: Oid | undefined, after: Oid | undefined, by: string) => void = () => undefined;
  readonly #commits = new Map<Oid, SimCommit>();
  readonly #blobs = new Map<Oid, Uint8Array>();

  /** Stores a commit; no ref moves. */
  commit(parent: Oid | null, files: Files, { subject, at, author }: CommitTerms): Oid {
    const before: ReadonlyMap<string, TreeEntry> = parent === null ? new Map() : this.get(parent).tree;
    const tree = new Map(before);
    const changes: TreeChange[] = [];
    for (const path of Object.keys(files).toSorted()) {
      const after = this.#entry(path, files[path] ?? null);
      if (after === null) tree.delete(path);
      else tree.set(path, after);
      const was = before.get(path) ?? null;
      if (was?.oid !== after?.oid) changes.push({ path, before: was, after });
    }
    const said = JSON.stringify([parent, changes.map(({ path, after }) => [path, after?.oid]), subject, at, author]);
    const id = oid(sha256(said).slice(0, 40));
    if (!this.#commits.has(id)) {
      this.#commits.set(id, { oid: id, parent, tree, changes, committedAt: at.toISOString(), subject, author });
    }
    return id;
  }

  /** `lease`: what the ref has to stand at, null: it must not be there; absent: a plain fast-forward. */
  push(ref: string, commit: Oid, by: string, lease?: Oid | null): 'landed' | 'moved' {
    const now = this.refs.get(ref);
    if (lease === undefined ? now !== undefined && !this.isAncestor(now, commit) : (now ?? null) !== lease)
      return 'moved';
    this.move(ref, commit, by);
    return 'landed';
  }

  /** By force. */
  move(ref: string, commit: Oid | undefined, by: string): void {
    const before = this.refs.get(ref);
    if (before === commit) return;
    if (commit === undefined) this.refs.delete(ref);
    else this.refs.set(ref, commit);
    this.onMove(ref, before, commit, by);
  }

  /** Somebody else's commit on top of the branch. */
  add(files: Files, terms: CommitTerms): Oid {
    const commit = this.commit(this.refs.get(MAIN) ?? null, files, terms);
    this.move(MAIN, commit, terms.author);
    return commit;
  }

  get tip(): Oid {
    const tip = this.refs.get(MAIN);
    if (tip === undefined) throw new Error('the branch has no commit');
    return tip;
  }

  get(commit: Oid): SimCommit {
    const found = this.#commits.get(commit);
    if (found === undefined) throw new Error(`no commit ${commit}`);
    return found;
  }

  blob(id: Oid): Uint8Array | undefined {
    return this.#blobs.get(id);
  }

  /** Text at the tip of the branch; null: nothing lies there. */
  text(path: string): string | null {
    const entry = this.get(this.tip).tree.get(path);
    return entry === undefined ? null : Buffer.from(this.#blobs.get(entry.oid) ?? []).toString('utf8');
  }

  /** Newest first. */
  *line(tip: Oid): Generator<SimCommit> {
    for (let at: Oid | null = tip; at !== null; ) {
      const commit: SimCommit = this.get(at);
      yield commit;
      at = commit.parent;
    }
  }

  isAncestor(ancestor: Oid, descendant: Oid): boolean {
    for (const commit of this.line(descendant)) if (commit.oid === ancestor) return true;
    return false;
  }

  root(tip: Oid): Oid {
    let last = tip;
    for (const commit of this.line(tip)) last = commit.oid;
    return last;
  }

  /** Commits of `to` that `from` does not have, oldest first. */
  since(from: Oid | null, to: Oid): readonly SimCommit[] {
    const known = from === null ? new Set<Oid>() : new Set([...this.line(from)].map((commit) => commit.oid));
    const found: SimCommit[] = [];
    for (const commit of this.line(to)) {
      if (known.has(commit.oid)) break;
      found.push(commit);
    }
    return found.toReversed();
  }

  changes(from: Oid | null, to: Oid, under: readonly string[]): readonly FirstParentChange[] {
    return this.since(from, to).flatMap(({ oid: commit, committedAt, changes }) => {
      const inside = changes.filter(({ path }) => isUnder(path, under));
      return inside.length === 0 ? [] : [{ commit, committedAt, changes: inside }];
    });
  }

  info(commit: Oid): CommitInfo {
    const { parent, author, committedAt, subject } = this.get(commit);
    const person = { name: author, email: `${author}@example.org` };
    const parents = parent === null ? [] : [parent];
    return { oid: commit, parents, author: person, committer: person, coAuthors: [], committedAt, subject };
  }

  #entry(path: string, content: string | Uint8Array | null): TreeEntry | null {
    if (content === null) return null;
    const bytes = Buffer.from(content);
    const id = blobOid(bytes);
    this.#blobs.set(id, bytes);
    return { path, kind: 'file', oid: id };
  }
}

export const isUnder = (path: string, under: readonly string[]) =>
  under.some((each) => path === each || path.startsWith(`${each}/`));
