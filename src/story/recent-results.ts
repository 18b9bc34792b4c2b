import type { Oid } from '../domain/ids.ts';
import type { OpsRepo, TreeEntry } from '../ports/ops-repo.ts';
import { recordedId } from './catalogue.ts';
import type { StoryContext } from './context.ts';

export interface RecentResult {
  readonly id: string;
  readonly entry: TreeEntry;
  readonly recordedAt: string;
}

/**
 * The results that were recorded last, newest first, at most `limit`: by the newest commits of the branch, so that the
 * cost does not grow with the results there are.
 */
export async function recentResults(
  { world, settings, opsRepo }: Pick<StoryContext, 'world' | 'settings' | 'opsRepo'>,
  limit: number,
): Promise<readonly RecentResult[]> {
  const { tips, catalogue } = world();
  for (let depth = FIRST_DEPTH, from: Oid | null = tips.tip; ; depth *= 4) {
    from = await ancestor(tips.tip, depth, opsRepo);
    const found = new Map<string, RecentResult>();
    const commits = await opsRepo.firstParentChanges(from, tips.tip, [settings.actionsDir, settings.sidecarsDir]);
    for (const { committedAt, changes } of commits.toReversed()) {
      for (const { path } of changes) {
        const id = recordedId(path, settings.sidecarsDir);
        const entry = path.endsWith('.result.json') ? catalogue.result(id) : null;
        if (entry?.path === path && !found.has(id)) found.set(id, { id, entry, recordedAt: committedAt });
      }
    }
    if (from === null || found.size >= limit) return [...found.values()].slice(0, limit);
  }
}

const FIRST_DEPTH = 32;

/** The first parent so many commits back; null: the line is not that long. */
async function ancestor(tip: Oid, depth: number, opsRepo: OpsRepo): Promise<Oid | null> {
  let at: Oid = tip;
  for (let steps = 0; steps < depth; steps += 1) {
    const parent: Oid | undefined = (await opsRepo.commit(at)).parents[0];
    if (parent === undefined) return null;
    at = parent;
  }
  return at;
}
