import type { Oid } from '../../domain/ids.ts';
import type { ApprovalSubject } from '../../ports/approval.ts';
import type { OpsRepo, TreeEntry } from '../../ports/ops-repo.ts';
import { createMemory, type Memory } from './remember.ts';

/** The newest first-parent commit that changed a path. */
interface Setter {
  readonly commit: Oid;
  readonly committedAt: string;
}

export interface Setters {
  /** Who set these bytes at this path, as a regular file; null: at the tip there is something else, or nothing. */
  of(subject: Pick<ApprovalSubject, 'path' | 'blob' | 'tip' | 'setBy'>): Promise<Setter | null>;
}

/**
 * Finds setters, and carries them over to later tips: what a branch that moves on costs is one look at what it changed
 * in a folder, however many of its files wait. Bytes that went and came back between two looks have a new setter.
 */
export function createSetters(opsRepo: OpsRepo): Setters {
  const newest = new Map<string, { readonly tip: Oid; readonly setter: Setter | null }>();
  const changed = createMemory<ReadonlySet<string> | null>(100);
  const entries = createMemory<TreeEntry | null>();

  async function newestOf(path: string, tip: Oid): Promise<Setter | null> {
    const known = newest.get(path);
    if (known?.tip === tip) return known.setter;
    const folder = path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : path;
    const since = known === undefined ? null : await changedSince(known.tip, tip, folder);
    const isSame = known !== undefined && since !== null && !since.has(path);
    const setter = isSame ? known.setter : ((await opsRepo.lastChanged(tip, [path])).get(path) ?? null);
    keep(newest, path, { tip, setter });
    return setter;
  }

  /** null: nothing can be carried over. */
  function changedSince(from: Oid, to: Oid, folder: string): Promise<ReadonlySet<string> | null> {
    return changed.recall(`${from} ${to} ${folder}`, async () => {
      if (!(await standsOn(opsRepo, to, from))) return null;
      const commits = await opsRepo.firstParentChanges(from, to, [folder]);
      return new Set(commits.flatMap(({ changes }) => changes.map(({ path }) => path)));
    });
  }

  return {
    async of({ path, blob, tip, setBy }) {
      const setter = setBy ?? (await newestOf(path, tip));
      if (setter === null) return null;
      const entry = await regularFile(opsRepo, setter.commit, path, entries);
      return entry?.oid === blob ? setter : null;
    },
  };
}

/** The entry if it is a regular file: only such a one has bytes that somebody could have approved. */
export async function regularFile(
  opsRepo: OpsRepo,
  commit: Oid,
  path: string,
  memory?: Memory<TreeEntry | null>,
): Promise<TreeEntry | null> {
  const ask = () => opsRepo.entryAt(commit, path);
  const entry = await (memory === undefined ? ask() : memory.recall(`${commit} ${path}`, ask));
  return entry?.kind === 'file' || entry?.kind === 'executable' ? entry : null;
}

/** More commits than this between two looks: asking anew is cheaper. */
const STEPS = 500;
const MOST = 10_000;

function keep<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > MOST && oldest !== undefined) map.delete(oldest);
}

/** Whether `base` is found close by on the first-parent line of `tip`; a merge can put what was the branch on a side. */
async function standsOn(opsRepo: OpsRepo, tip: Oid, base: Oid): Promise<boolean> {
  let commit: Oid | undefined = tip;
  for (let step = 0; step < STEPS && commit !== undefined; step += 1) {
    if (commit === base) return true;
    [commit] = (await opsRepo.commit(commit)).parents;
  }
  return false;
}
