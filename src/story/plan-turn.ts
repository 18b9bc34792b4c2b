import type { Check } from '../domain/check.ts';
import type { Reason } from '../domain/run.ts';
import { EdgeError } from '../errors.ts';
import { checkConditions } from './conditions.ts';
import type { StoryContext } from './context.ts';
import type { Planned } from './planned.ts';
import type { ReadAction } from './read-action.ts';
import { judgeAction } from './run-action.ts';

interface TurnTools {
  /** What was said already. */
  readonly checks: readonly Check[];
  readonly read: ReadAction | null;
  /** Why nothing new is claimed at all. */
  readonly paused: Reason | null;
  readonly signal?: AbortSignal | undefined;
}

/** What the daemon's own judgement adds: time, dependencies, history, pause. Said once. */
export async function turnChecks(
  planned: Planned,
  context: StoryContext,
  { checks, read, paused, signal }: TurnTools,
): Promise<readonly Check[]> {
  const { candidate } = planned;
  if (candidate === null) return [];
  const never = neverRuns(planned, context);
  if (never !== null) return [never];
  const verdict = await judgeAction(candidate, context, { signal });
  const held = verdict.kind === 'ready' ? paused : verdict.reason;
  if (held === null)
    return [{ name: 'turn', ok: true, code: null, message: 'it runs as soon as a slot is free', fix: null }];
  // An approval that is missing hides what else it waits for.
  const more = read === null ? null : await conditionOf(read, context);
  const reasons = more === null || more.code === held.code ? [held] : [held, more];
  const fresh = reasons.filter(({ code }) => !checks.some((check) => !check.ok && check.code === code));
  return fresh.map(({ code, message, hint }) => no(code, message, hint ?? ''));
}

function neverRuns({ id, path }: Planned, context: StoryContext): Check | null {
  if (id === null) return null;
  const { catalogue } = context.world();
  const [other] = catalogue.files(id).filter((each) => each.path !== path);
  if (other !== undefined) return no('ERR_ACTION_DUPLICATE', `${other.path} has the same id`, 'Give it another id.');
  if (catalogue.result(id) === null) return null;
  const fix = 'Use `rerun` to make a new action of it.';
  return no('ERR_ALREADY_RECORDED', `${id} has its result; it never runs again`, fix);
}

function no(code: Check['code'], message: string, fix: string): Check {
  return { name: 'turn', ok: false, code, message, fix };
}

/** What of time and dependencies it waits for; what it is refused for is the verdict's to say. */
export async function conditionOf({ action }: ReadAction, context: StoryContext): Promise<Reason | null> {
  try {
    const tools = { ...context, now: context.clock.now() };
    return (await checkConditions(action, context.world(), tools))?.reason ?? null;
  } catch (error) {
    if (error instanceof EdgeError) return null;
    throw error;
  }
}
