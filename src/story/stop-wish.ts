import type { AttemptRecord } from '../domain/attempt-record.ts';
import type { StopRequest } from '../domain/run.ts';
import { InvalidError, RefusedError } from '../errors.ts';
import { type Cancellable, cancelRequest } from './cancel-request.ts';
import type { StoryContext } from './context.ts';
import { readAction } from './read-action.ts';
import { isWaiting } from './waiting.ts';
import type { Candidate, World } from './world.ts';

/*
 * The wish to stop an action: the operator's (`cancel`, in state_dir), or one that was committed beside the action. Both
 * do the same; the first one that is seen counts.
 */

/** The wish to stop this action, null if nobody entitled has it. Errors: those of reading the operator's wishes. */
export async function stopWish(
  action: Cancellable,
  context: StoryContext,
  signal?: AbortSignal,
): Promise<StopRequest | null> {
  return (await context.control.stopRequest(action.id)) ?? (await committedWish(action, context, signal));
}

/** The committed wish, as far as it is judged at this moment; null: none, or not yet. For whoever asks again and again. */
export type CommittedWish = (world: World) => StopRequest | null;

/**
 * It is judged beside, so that a forge that hangs holds up neither the operator's wish nor the end of the run. After
 * `signal` nothing is asked any more, and what is still being judged changes nothing.
 */
export function watchCommittedWish(action: Cancellable, context: StoryContext, signal: AbortSignal): CommittedWish {
  let committed: StopRequest | null = null;
  let isJudging = false;
  const judge = async (): Promise<void> => {
    isJudging = true;
    committed = await committedWish(action, context, signal);
    isJudging = false;
  };
  return ({ cancels }) => {
    if (committed === null && !isJudging && cancels.size > 0 && !signal.aborted) void judge();
    return committed;
  };
}

/** A pending action, at the tip. */
export function pendingAction(candidate: Candidate, context: StoryContext): Cancellable {
  const { id, file, commit } = candidate;
  return { id, path: file.path, blob: file.entry.oid, commit, tier: () => tierNow(candidate, context) };
}

/** A claimed action as it was claimed, whatever lies at the tip. */
export function claimedAction({ entry, action, formula }: AttemptRecord): Cancellable {
  const { path, blob, commit } = action;
  return { id: entry.id, path, blob, commit, tier: () => Promise.resolve(formula?.tier ?? 'high') };
}

async function committedWish(
  action: Cancellable,
  context: StoryContext,
  signal: AbortSignal | undefined,
): Promise<StopRequest | null> {
  const verdict = await cancelRequest(action, context, signal);
  return verdict.kind === 'counts' ? verdict.stop : null;
}

/** Where its formula or the policy is not in force, nobody can say that it asks for less than the highest. */
async function tierNow(candidate: Candidate, context: StoryContext) {
  try {
    const read = await readAction(candidate, context.world(), context.opsRepo);
    return isWaiting(read) ? 'high' : read.tier;
  } catch (error) {
    if (error instanceof InvalidError || error instanceof RefusedError) return null;
    throw error;
  }
}
