import type { Oid } from '../domain/ids.ts';
import type { FirstParentChange, OpsRepo, TreeChange } from '../ports/ops-repo.ts';

/*
 * Which of several files came first. The date of a commit is whatever its committer claims, so only the place on the
 * first-parent line tells; and what was there all the time while we looked is older than what came meanwhile, however
 * the line runs after a merge.
 */

interface FileOfId {
  readonly id: string;
  readonly path: string;
}

export interface Arrivals {
  /** Nothing is known any more of what is there. */
  clear(): void;
  /** What differs since the tip before, and the commits in between that touched it, oldest first. */
  follow(changes: readonly TreeChange[], line: readonly FirstParentChange[]): void;
  /**
   * Of each id its files, all of which lie at `tip`, in the order in which they came. Git is asked only where several of
   * one id are there whose order is not known yet, and once for all of them. Errors: those of the ops repo.
   */
  inOrder<T extends FileOfId>(files: readonly T[], tip: Oid): Promise<readonly (readonly T[])[]>;
}

export function createArrivals(opsRepo: OpsRepo): Arrivals {
  /** Path → its turn: of what came while we looked from 1 on, of what was there before that below. */
  const turns = new Map<string, number>();
  let last = 0;

  const turnOf = (path: string) => turns.get(path) ?? 0;
  const byTurn = (a: FileOfId, b: FileOfId) => turnOf(a.path) - turnOf(b.path) || byPath(a.path, b.path);

  async function ask(paths: readonly string[], tip: Oid): Promise<void> {
    if (paths.length === 0) return;
    const added = additions(await historyOf(paths, tip, opsRepo));
    for (const path of paths) turns.set(path, (added.get(path) ?? added.size) - added.size);
  }

  return {
    clear() {
      turns.clear();
    },
    follow(changes, line) {
      const added = additions(line);
      const placeOf = ({ path }: TreeChange) => added.get(path) ?? added.size;
      const inOrder = changes.toSorted((a, b) => placeOf(a) - placeOf(b) || byPath(a.path, b.path));
      for (const { path, before, after } of inOrder) {
        if (after === null) turns.delete(path);
        else if (before === null) turns.set(path, (last += 1));
      }
    },
    async inOrder(files, tip) {
      const byId = new Map<string, (typeof files)[number][]>();
      for (const file of files) {
        const some = byId.get(file.id);
        if (some === undefined) byId.set(file.id, [file]);
        else some.push(file);
      }
      await ask(unknown([...byId.values()]), tip);
      const there = new Set(files.map(({ path }) => path));
      for (const path of turns.keys()) if (!there.has(path)) turns.delete(path);
      return [...byId.values()].map((some) => some.toSorted(byTurn));
    },
  };

  /** A single one whose turn is not known was there before all others of its id. */
  function unknown(groups: readonly (readonly FileOfId[])[]): readonly string[] {
    return groups.flatMap((some) => {
      const paths = some.length < 2 ? [] : some.map(({ path }) => path).filter((path) => !turns.has(path));
      return paths.length < 2 ? [] : paths;
    });
  }
}

const byPath = (a: string, b: string) => (a < b ? -1 : 1);

/** Path → its place among all that were added, by the newest time that it was; those of one commit by their paths. */
function additions(line: readonly FirstParentChange[]): ReadonlyMap<string, number> {
  const added = new Set<string>();
  for (const { changes } of line) {
    const came = changes.filter(({ before, after }) => before === null && after !== null).map(({ path }) => path);
    for (const path of came.toSorted(byPath)) {
      added.delete(path);
      added.add(path);
    }
  }
  return new Map([...added].map((path, place) => [path, place]));
}

/** More paths than this are more than a command line should hold. */
const MOST_PATHS = 100;

/** The commits of the first-parent line of `tip` that touched these paths (and maybe others), oldest first. */
export function historyOf(paths: readonly string[], tip: Oid, opsRepo: OpsRepo): Promise<readonly FirstParentChange[]> {
  return opsRepo.firstParentChanges(null, tip, paths.length > MOST_PATHS ? [commonFolder(paths)] : paths);
}

/** The folder that all of them lie in: never the root, since all of ours lie in the folder of the actions. */
function commonFolder([first = '', ...others]: readonly string[]): string {
  const folders = first.split('/').slice(0, -1);
  const isShared = (depth: number) => others.every((path) => path.startsWith(`${folders.slice(0, depth).join('/')}/`));
  let depth = folders.length;
  while (depth > 1 && !isShared(depth)) depth -= 1;
  return folders.slice(0, depth).join('/');
}
