import type { Files, GitStore, StoredCommit } from './git-store.ts';

/** What git can tell of commits: ancestry, differences, three-way merges by whole files. */

export function isAncestor(store: GitStore, ancestor: string, of: string): boolean {
  return ancestorsOf(store, of).has(ancestor);
}

/** The newest commit that both have; null: unrelated. */
export function mergeBase(store: GitStore, one: string, other: string): string | null {
  const common = ancestorsOf(store, one);
  const shared = [...ancestorsOf(store, other)].filter((oid) => common.has(oid));
  // Whatever one has, its parents have too: older than another shared one is who is a parent of a shared one.
  const older = new Set(shared.flatMap((oid) => store.commit(oid)?.parents ?? []));
  return shared.find((oid) => !older.has(oid)) ?? null;
}

/** Commits that `head` has and `base` has not, newest first. */
export function commitsBetween(store: GitStore, base: string | null, head: string): readonly StoredCommit[] {
  const known = base === null ? new Set<string>() : ancestorsOf(store, base);
  const ordered: StoredCommit[] = [];
  const visit = (oid: string): void => {
    if (known.has(oid)) return;
    known.add(oid);
    const commit = store.commit(oid);
    if (commit === null) return;
    for (const parent of commit.parents) visit(parent);
    ordered.unshift(commit);
  };
  visit(head);
  return ordered;
}

export interface FileChange {
  readonly path: string;
  readonly kind: 'added' | 'changed' | 'deleted';
  readonly additions: number;
  readonly deletions: number;
  /** Blob; null: not there. */
  readonly before: string | null;
  readonly after: string | null;
}

/** Files that differ between two commits, by path. Renames are a deletion and an addition. */
export function fileChanges(store: GitStore, from: string, to: string): readonly FileChange[] {
  const [old, now] = [store.files(from), store.files(to)];
  const paths = [...new Set([...old.keys(), ...now.keys()])].toSorted();
  return paths.flatMap((path) => {
    const [before, after] = [old.get(path)?.oid ?? null, now.get(path)?.oid ?? null];
    if (before === after && old.get(path)?.mode === now.get(path)?.mode) return [];
    const kind = before === null ? 'added' : after === null ? 'deleted' : 'changed';
    return [{ path, kind, ...countLines(store, before, after), before, after } as const];
  });
}

function countLines(store: GitStore, before: string | null, after: string | null) {
  const lines = (oid: string | null) => {
    const text = oid === null ? '' : (store.blob(oid)?.toString('utf8') ?? '');
    return text === '' ? [] : text.replace(/\n$/, '').split('\n');
  };
  const [old, now] = [lines(before), lines(after)];
  const kept = now.filter((line) => old.includes(line)).length;
  return { additions: now.length - kept, deletions: Math.max(0, old.length - kept) };
}

/** The files of `ours` with what `theirs` changed since `base`; null: both changed the same file. */
export function mergeFiles(base: Files, ours: Files, theirs: Files): Files | null {
  const merged = new Map(ours);
  for (const path of new Set([...base.keys(), ...theirs.keys()])) {
    const [was, is, will] = [base.get(path)?.oid, ours.get(path)?.oid, theirs.get(path)?.oid];
    if (will === was || will === is) continue;
    if (is !== was) return null;
    const entry = theirs.get(path);
    if (entry === undefined) merged.delete(path);
    else merged.set(path, entry);
  }
  return merged;
}

function ancestorsOf(store: GitStore, of: string): Set<string> {
  const seen = new Set<string>();
  const queue = [of];
  for (let oid = queue.pop(); oid !== undefined; oid = queue.pop()) {
    const commit = seen.has(oid) ? null : store.commit(oid);
    if (commit === null) continue;
    seen.add(oid);
    queue.push(...commit.parents);
  }
  return seen;
}
