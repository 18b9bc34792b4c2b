import { isActionPath } from '../../domain/action.ts';
import type { Oid } from '../../domain/ids.ts';
import type { TreeEntry } from '../../ports/ops-repo.ts';
import type { StoryContext } from '../../story/context.ts';
import { isGated } from '../../story/gated-files.ts';

/** What a change does to the files that concern the dispatcher, by git. */
export interface Touched {
  readonly actions: readonly TreeEntry[];
  /** Policy and formulas; `entry` null: deleted. */
  readonly gated: readonly { readonly path: string; readonly entry: TreeEntry | null }[];
  /** Actions and gated files that were not looked at, because there are too many. */
  readonly omitted: number;
}

/** More would make one change cost as much as the whole branch. */
const MOST = 200;

export const NOTHING: Touched = { actions: [], gated: [], omitted: 0 };

export function countOf({ actions, gated }: Touched): number {
  return actions.length + gated.length;
}

type Folders = Pick<StoryContext['settings'], 'actionsDir' | 'formulasDir' | 'projectFiles'>;

/** Whether there is anything to look at: what anybody proposes is not even fetched without. */
export function concernsUs(files: readonly string[], policyFile: string, folders: Folders): boolean {
  const { actions, gated } = pathsOf(files, policyFile, folders);
  return actions.length + gated.length > 0;
}

/** The policy first, so that no number of formulas can hide it. */
function pathsOf(files: readonly string[], policyFile: string, { actionsDir, formulasDir, projectFiles }: Folders) {
  const actions = files.filter((path) => path.startsWith(`${actionsDir}/`) && isActionPath(path));
  const gated = files.filter((path) => isGated(path, { formulasDir, policyFile, projectFiles }));
  return { actions, gated: gated.toSorted((one, other) => rank(one, policyFile) - rank(other, policyFile)) };
}

const rank = (path: string, policyFile: string) => (path === policyFile ? 0 : 1);

/** `commit` holds the change: its head, or what it was merged as. Errors: those of the ops repo. */
export async function touchedIn(
  commit: Oid,
  files: readonly string[],
  policyFile: string,
  { opsRepo, settings }: StoryContext,
): Promise<Touched> {
  const paths = pathsOf(files, policyFile, settings);
  const actions: TreeEntry[] = [];
  for (const path of paths.actions.slice(0, MOST)) {
    const entry = await opsRepo.entryAt(commit, path);
    if (entry !== null) actions.push(entry);
  }
  const gated: { path: string; entry: TreeEntry | null }[] = [];
  for (const path of paths.gated.slice(0, MOST)) gated.push({ path, entry: await opsRepo.entryAt(commit, path) });
  const omitted = Math.max(0, paths.actions.length - MOST) + Math.max(0, paths.gated.length - MOST);
  return { actions, gated, omitted };
}

/** Without what lies on the branch just the same already: it is not this change that brings it. */
export async function newIn(touched: Touched, tip: Oid, { opsRepo }: StoryContext): Promise<Touched> {
  const isNew = async (path: string, entry: TreeEntry | null) => (await opsRepo.entryAt(tip, path))?.oid !== entry?.oid;
  const actions: TreeEntry[] = [];
  for (const entry of touched.actions) if (await isNew(entry.path, entry)) actions.push(entry);
  const gated: Touched['gated'][number][] = [];
  for (const each of touched.gated) if (await isNew(each.path, each.entry)) gated.push(each);
  return { ...touched, actions, gated };
}
