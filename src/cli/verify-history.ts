import type { Oid } from '../domain/ids.ts';
import type { OpsRepo } from '../ports/ops-repo.ts';
import { isResultPath } from '../story/own-results.ts';

/** What the first-parent line of the branch says of results and their actions. */
export interface BranchHistory {
  /** The newest commit that changed this result. */
  setterOf(path: string): Oid | null;
  /** Once there were these bytes at this path. */
  held(path: string, blob: string): boolean;
  /** Results that a commit took away and none brought back, by path, each with that commit. */
  readonly removed: ReadonlyMap<string, Oid>;
  /** A path that is no result and that this commit, which sets results, changed too; null: there is none. */
  otherThanResult(commit: Oid): string | null;
}

/** One reading of the whole line, however many results there are. Errors: those of the ops repo. */
export async function readHistory(opsRepo: OpsRepo, tip: Oid): Promise<BranchHistory> {
  const setters = new Map<string, Oid>();
  const removed = new Map<string, Oid>();
  const held = new Set<string>();
  const others = new Map<Oid, string>();
  for (const { commit, changes } of await opsRepo.firstParentChanges(null, tip, [])) {
    for (const { path, after } of changes) {
      if (isResultPath(path)) {
        setters.set(path, commit);
        if (after === null) removed.set(path, commit);
        else removed.delete(path);
      } else if (after !== null) held.add(`${after.oid} ${path}`);
    }
    const other = changes.find(({ path }) => !isResultPath(path));
    if (other !== undefined) others.set(commit, other.path);
  }
  return {
    setterOf: (path) => setters.get(path) ?? null,
    removed,
    held: (path, blob) => held.has(`${blob} ${path}`),
    otherThanResult: (commit) => others.get(commit) ?? null,
  };
}
