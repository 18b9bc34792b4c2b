import { pauseReason } from '../daemon/loop.ts';
import type { Check } from '../domain/check.ts';
import type { StoryContext } from '../story/context.ts';
import type { ReadAction } from '../story/read-action.ts';
import { judgeAction } from '../story/run-action.ts';
import { conditionOf } from './observed-action.ts';
import type { Planned } from './plan-file.ts';

interface TurnTools {
  /** What was said already. */
  readonly checks: readonly Check[];
  readonly read: ReadAction | null;
  readonly signal: AbortSignal;
}

/** What the daemon's own judgement adds: time, dependencies, history, pause. Said once. */
export async function turnChecks(
  planned: Planned,
  context: StoryContext,
  { checks, read, signal }: TurnTools,
): Promise<readonly Check[]> {
  const { candidate, id, path } = planned;
  const world = context.world();
  if (candidate === null || id === null) return [];
  const no = (code: Check['code'], message: string, fix: string): Check => ({
    name: 'turn',
    ok: false,
    code,
    message,
    fix,
  });
  const others = world.catalogue.files(id).filter((other) => other.path !== path);
  if (others.length > 0)
    return [no('ERR_ACTION_DUPLICATE', `${others[0]?.path ?? ''} has the same id`, 'Give it another id.')];
  if (world.catalogue.result(id) !== null) {
    return [
      no(
        'ERR_ALREADY_RECORDED',
        `${id} has its result; it never runs again`,
        'Use `rerun` to make a new action of it.',
      ),
    ];
  }
  const verdict = await judgeAction(candidate, context, signal);
  const held = verdict.kind === 'ready' ? await pauseReason(world, context) : verdict.reason;
  if (held === null)
    return [{ name: 'turn', ok: true, code: null, message: 'it runs as soon as a slot is free', fix: null }];
  // An approval that is missing hides what else it waits for.
  const more = read === null ? null : await conditionOf(read, context);
  const reasons = more === null || more.code === held.code ? [held] : [held, more];
  const fresh = reasons.filter(({ code }) => !checks.some((check) => !check.ok && check.code === code));
  return fresh.map(({ code, message, hint }) => no(code, message, hint ?? ''));
}
