import { type Action, parseAction } from '../domain/action.ts';
import { isOid, type Oid } from '../domain/ids.ts';
import type { LastRun } from '../domain/plan.ts';
import type { Result } from '../domain/result.ts';
import { EdgeError } from '../errors.ts';
import type { OpsRepo, Tips, TreeEntry } from '../ports/ops-repo.ts';
import type { StoryContext } from './context.ts';
import type { ReadAction } from './read-action.ts';
import { type RecentResult, recentResults } from './recent-results.ts';
import { readResult } from './record-result.ts';

/** How far back is looked. */
const RESULTS = 200;

/** null: among the newest results there is none of this formula. */
export async function lastRunOf(read: ReadAction, context: StoryContext): Promise<LastRun | null> {
  const recent = recentOf(context);
  for (const { id, entry } of await recent.results) {
    const result = id === read.candidate.id ? null : await recent.read(entry.oid);
    if (result?.formula?.name !== read.formula.name || result.attempt === null) continue;
    if (!(await isOwn(entry, context))) continue;
    const { outcome, timestamp } = result;
    return { id, outcome, timestamp, changed: await changesSince(result, read, context) };
  }
  return null;
}

/** Whoever may push could show approvers a run that never was. */
async function isOwn(entry: TreeEntry, { ownResults, world }: StoryContext): Promise<boolean> {
  return (await ownResults.judge(world().tips.tip, [entry])).get(entry.path)?.kind === 'own';
}

interface Recent {
  readonly results: Promise<readonly RecentResult[]>;
  read(blob: Oid): Promise<Result | null>;
}

/** Read once for all actions that are planned at the same tip. */
const known = new WeakMap<Tips, Recent>();

function recentOf(context: StoryContext): Recent {
  const { tips } = context.world();
  const there = known.get(tips);
  if (there !== undefined) return there;
  const read = new Map<Oid, Promise<Result | null>>();
  const results = recentResults(context, RESULTS);
  const recent: Recent = {
    results,
    read(blob) {
      const answer = read.get(blob) ?? readResult(blob, context.opsRepo);
      read.set(blob, answer);
      answer.catch(() => known.delete(tips));
      return answer;
    },
  };
  // An outage is no answer.
  results.catch(() => known.delete(tips));
  known.set(tips, recent);
  return recent;
}

async function changesSince(last: Result, read: ReadAction, context: StoryContext): Promise<LastRun['changed']> {
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

async function actionOf({ action }: Result, opsRepo: OpsRepo): Promise<Action | null> {
  if (action.blob === null || !isOid(action.blob)) return null;
  try {
    const parsed = parseAction(await opsRepo.read(action.blob), action.path);
    return parsed.ok ? parsed.value : null;
  } catch (error) {
    if (error instanceof EdgeError) return null;
    throw error;
  }
}
