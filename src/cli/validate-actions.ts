import type { Action } from '../domain/action.ts';
import { dependencyCycle } from '../domain/action-check.ts';
import type { ActionId } from '../domain/ids.ts';
import { nearestName, type Place, problem } from '../domain/problems.ts';
import { locate } from '../domain/toml.ts';
import type { Code, Problem } from '../errors.ts';
import { lastOfEachCycle } from '../story/conditions.ts';

/** An action file of the work tree. */
export interface ActionFile {
  readonly path: string;
  /** By its name; null: it is no id. */
  readonly id: ActionId | null;
  /** Null: it is no valid action. */
  readonly action: Action | null;
  readonly text: string;
  /** It has no result yet: today's formulas and the other actions count for it. */
  readonly isPending: boolean;
}

/** Place on the branch of the commit that set the present bytes of these files; absent: not committed yet. */
export type CommitPlaces = (paths: readonly string[]) => Promise<ReadonlyMap<string, number>>;

/** What is wrong between actions. `ended`: ids that have a result. */
export async function crossActionProblems(
  files: readonly ActionFile[],
  ended: ReadonlySet<string>,
  commitPlaces: CommitPlaces,
): Promise<readonly Problem[]> {
  return [
    ...duplicateProblems(files),
    ...missingDependencies(files, ended),
    ...(await cycleProblems(files, commitPlaces)),
  ];
}

function duplicateProblems(files: readonly ActionFile[]): Problem[] {
  const byId = new Map<ActionId, string[]>();
  for (const { id, path } of files) if (id !== null) byId.set(id, [...(byId.get(id) ?? []), path]);
  return files.flatMap(({ id, path, text }) => {
    const others = id === null ? [] : (byId.get(id) ?? []).filter((other) => other !== path);
    if (others.length === 0) return [];
    const message = `another action has the same id: ${others.join(', ')}`;
    return [problem('ERR_ACTION_DUPLICATE', path, message, { place: locate(text, ['id']) })];
  });
}

/** An id that nobody has written yet may still come, so this is no error; mostly it is a slip of the pen. */
function missingDependencies(files: readonly ActionFile[], ended: ReadonlySet<string>): Problem[] {
  const known = new Set<string>([...files.flatMap(({ id }) => id ?? []), ...ended]);
  return files.flatMap(({ path, action, text, isPending }) => {
    const missing = isPending ? (action?.depends_on ?? []).filter((id) => !known.has(id)) : [];
    return missing.map((id) => {
      const near = nearestName(id, [...known]);
      const hint = near === undefined ? 'It waits until there is one that has succeeded.' : `Did you mean ${near}?`;
      const place = locate(text, ['depends_on', action?.depends_on.indexOf(id) ?? 0]);
      return warning('ERR_DEPENDENCY_WAITING', path, `depends_on: there is no action ${id}`, { place, hint });
    });
  });
}

/** Git is asked for the order only where there is a circle at all. */
async function cycleProblems(files: readonly ActionFile[], commitPlaces: CommitPlaces): Promise<Problem[]> {
  const waiting = files.filter(({ action, isPending }) => isPending && (action?.depends_on.length ?? 0) > 0);
  const byId = new Map(waiting.flatMap((file) => (file.id === null ? [] : [[file.id, file] as const])));
  const edges = new Map([...byId].map(([id, { action }]) => [id, action?.depends_on ?? []] as const));
  if (lastOfEachCycle(edges, () => 0).size === 0) return [];
  const places = await commitPlaces([...byId.values()].map(({ path }) => path));
  const last = lastOfEachCycle(edges, (id) => places.get(byId.get(id as ActionId)?.path ?? '') ?? NOT_YET);
  return [...byId].flatMap(([id, { path, text }]) => {
    if (!last.has(id)) return [];
    const others = [...edges.keys()].filter((other) => other !== id);
    const circle = dependencyCycle(edges, [...others, id]).get(id) ?? [id];
    const message = `depends_on leads back to this action: ${[...circle, id].join(' → ')}`;
    return [problem('ERR_DEPENDENCY_CYCLE', path, message, { place: locate(text, ['depends_on']) })];
  });
}

/** Will be committed after all that is. */
const NOT_YET = Number.MAX_SAFE_INTEGER;

export function warning(
  code: Code,
  path: string,
  message: string,
  { place, hint }: { readonly place?: Place | undefined; readonly hint?: string | undefined } = {},
): Problem {
  return problem(code, path, message, { severity: 'warning', place, ...(hint !== undefined && { hint }) });
}
