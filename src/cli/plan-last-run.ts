import { type Action, parseAction } from '../domain/action.ts';
import { isOid } from '../domain/ids.ts';
import type { Result } from '../domain/result.ts';
import { EdgeError } from '../errors.ts';
import type { ReadAction } from '../story/read-action.ts';
import type { Observed } from './observe.ts';
import { readResult } from './observed-action.ts';
import { recentResults } from './recent-results.ts';

/** The newest run of the same formula, and what this action asks for otherwise. */
export interface LastRun {
  readonly id: string;
  readonly outcome: string;
  readonly timestamp: string;
  /** Fields as JSON texts; `formula file` where its bytes changed. null: the bytes of that action can't be had. */
  readonly changed: readonly { readonly field: string; readonly before: string; readonly after: string }[] | null;
}

/** How far back is looked. */
const RESULTS = 200;

/** null: among the newest results there is none of this formula. */
export async function lastRunOf(read: ReadAction, observed: Observed): Promise<LastRun | null> {
  for (const { id, entry } of await recentResults(observed, RESULTS)) {
    const result = id === read.candidate.id ? null : await readResult(entry, observed);
    if (result?.formula?.name !== read.formula.name || result.attempt === null) continue;
    const { outcome, timestamp } = result;
    return { id, outcome, timestamp, changed: await changesSince(result, read, observed) };
  }
  return null;
}

async function changesSince(last: Result, read: ReadAction, { context }: Observed): Promise<LastRun['changed']> {
  const before = await actionOf(last, context.opsRepo);
  if (before === null) return null;
  const after = read.action;
  const fields = (Object.keys(after) as (keyof Action)[]).filter((field) => field !== 'id');
  const changed = fields.flatMap((field) => {
    const [was, is] = [JSON.stringify(before[field]), JSON.stringify(after[field])];
    return was === is ? [] : [{ field, before: was, after: is }];
  });
  const was = last.formula?.blob ?? 'unknown';
  if (was === read.formula.blob) return changed;
  return [...changed, { field: 'formula file', before: was.slice(0, 12), after: read.formula.blob.slice(0, 12) }];
}

async function actionOf({ action }: Result, opsRepo: Observed['context']['opsRepo']): Promise<Action | null> {
  if (action.blob === null || !isOid(action.blob)) return null;
  try {
    const parsed = parseAction(await opsRepo.read(action.blob), action.path);
    return parsed.ok ? parsed.value : null;
  } catch (error) {
    if (error instanceof EdgeError) return null;
    throw error;
  }
}
