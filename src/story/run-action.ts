import { type AttemptRecord, isOver, isResting } from '../domain/attempt-record.ts';
import { isSidecarId } from '../domain/ids.ts';
import type { RunEnd } from '../domain/run.ts';
import { type Approval, type Asked, approveAction } from './approve-action.ts';
import { claimAttempt, dropNote } from './claim-attempt.ts';
import { checkConditions, checkHistory } from './conditions.ts';
import type { Ending, StoryContext } from './context.ts';
import { dispatchRun, mayHaveRun, proveUnstarted } from './dispatch-run.ts';
import { endBetween, endRun, endWithoutRun, lasting, revokeAccess, settleRun, type Way } from './end-attempt.ts';
import { type Followed, followRun } from './follow-run.ts';
import { approvalNote, earlierOf, grantAccess } from './grant-access.ts';
import { whileOurs } from './holding.ts';
import { type Ended, noOrNotYet } from './no-or-not-yet.ts';
import { outcomeOf } from './outcome.ts';
import { type ReadAction, readAction } from './read-action.ts';
import { reason } from './reasons.ts';
import { judgeRetry, mayComeAgain } from './retry.ts';
import { claimedNotes } from './retry-notes.ts';
import { claimedAction, pendingAction, stopWish } from './stop-wish.ts';
import { isWaiting, type Waiting, waiting } from './waiting.ts';
import type { Candidate } from './world.ts';

/*
 * The way of an action (design.md), in three parts that are told in this order:
 *
 *   judgeAction    1 read-action  2 approve-action, and whatever else has to hold: may it run now?
 *   startAttempt   3 grant-access 4 claim-attempt, the verdict taken again: am I the one who runs it?
 *   finishAttempt  5 dispatch-run 6 follow-run 7 revoke-access 8 collect-output 9 record-result
 *
 * Between the first two the daemon gives out slots. A restart begins with finishAttempt for what was claimed and with
 * judgeAction for everything else: every step finds before it makes.
 */

/** May run as soon as there is a slot. */
export interface Ready {
  readonly kind: 'ready';
  readonly read: ReadAction;
  readonly approval: Approval;
  /** Takes the verdict again, at the newest world; what people could have changed meanwhile is asked anew. */
  again(): Promise<Ready | Waiting | Ended>;
}

/** Steps 1 and 2. Answers an ending only as `waiting`; a definite no is `ended` and still has to be recorded. */
export async function judgeAction(
  candidate: Candidate,
  context: StoryContext,
  asked: Asked = {},
): Promise<Ready | Waiting | Ended> {
  try {
    // Before the wish to cancel: there is no result while somebody's run of it may live.
    const past = await pastOf(candidate, context);
    if (past !== null) return past;
    const stop = await stopWish(pendingAction(candidate, context), context, asked.signal);
    if (stop !== null) {
      return { kind: 'ended', candidate, outcome: 'cancelled', reason: reason('ERR_CANCELLED', stop.message, stop.by) };
    }
    return await judgeRetry(await judgeBytes(candidate, context, asked), candidate, context);
  } catch (error) {
    return noOrNotYet(error, candidate);
  }
}

async function judgeBytes(candidate: Candidate, context: StoryContext, asked: Asked): Promise<Ready | Waiting> {
  const world = context.world();
  const read = await readAction(candidate, world, context.opsRepo);
  if (isWaiting(read)) return read;
  const tools = { ...context, now: context.clock.now() };
  const held = await checkConditions(read.action, world, tools);
  const approval = await approveAction(read, world, context, asked);
  if (isWaiting(approval)) return approval;
  return held ?? { kind: 'ready', read, approval, again: () => judgeNow(candidate, context) };
}

async function judgeNow({ id, file }: Candidate, context: StoryContext): Promise<Ready | Waiting | Ended> {
  const now = context.world().candidates.get(id);
  if (now?.file.entry.oid === file.entry.oid && now.file.path === file.path) {
    return judgeAction(now, context, { fresh: true });
  }
  return waiting('ERR_NEEDS_APPROVAL', 'its bytes at the tip changed while it was being started');
}

/** An id that ended once is told apart before its bytes are even read: whatever they are, nothing runs. */
async function pastOf(candidate: Candidate, context: StoryContext): Promise<Waiting | null> {
  const world = context.world();
  const past = checkHistory(candidate, world);
  if (past !== null) return past;
  const entry = world.journal.entries.get(candidate.id);
  if (entry === undefined) return null;
  if (entry.dispatcher !== context.settings.dispatcher) {
    return waiting('ERR_CLAIMED_ELSEWHERE', `${entry.dispatcher} has claimed it`);
  }
  const record = await context.records.load(entry.token);
  // An end that is kept is that of these bytes; of others nothing runs under its id.
  const isNext =
    record !== null && (isResting(record) ? mayComeAgain(record, world, context.engine.kind) : isOver(record));
  return isNext ? null : waiting('ERR_CLAIMED_ELSEWHERE', `attempt ${entry.attempt} of it is under way`);
}

/**
 * Steps 3 and 4. Answers the claimed record; or why the action goes back to waiting; or the no that came up. When it
 * throws after the grant, the note on this host is found again by the next try.
 */
export async function startAttempt(ready: Ready, context: StoryContext): Promise<AttemptRecord | Waiting | Ended> {
  const { candidate, sidecar } = ready.read;
  try {
    context.tell(candidate.id, { state: 'granting', reason: null });
    const earlier = await earlierOf(candidate.id, context);
    const lost = earlier.replaces === null ? await lostAttempt(ready.read, context) : null;
    const record = lost ?? (await grantAccess(ready.read, ready.approval, earlier, context));
    const again = record.claimed ? null : await judgeAgain(ready, record);
    if (again !== null && again.kind !== 'ready') {
      await dropNote(record, context);
      return again;
    }
    context.tell(candidate.id, { state: 'claiming', reason: null });
    const limits = { groupLimit: ready.read.group.limit, replaces: earlier.replaces };
    // Whose approval counts now, not when it was judged.
    const claimed = again === null ? record : { ...record, approval: approvalNote(again.approval) };
    return await claimAttempt(claimed, limits, context);
  } catch (error) {
    const ended = noOrNotYet(error, candidate);
    // No file asked for it: what is not allowed now may be later, and there is nobody to tell that it never will.
    return sidecar === null || ended.kind === 'waiting' ? ended : { kind: 'waiting', reason: ended.reason };
  }
}

/** A later attempt that the journal has lost: the first one, which ran, is not made again. */
async function lostAttempt({ action, candidate }: ReadAction, context: StoryContext): Promise<AttemptRecord | null> {
  if (action.retry === null) return null;
  const { dispatcher, instance } = context.settings;
  const record = claimedNotes(await context.records.of(candidate.id)).get(candidate.id);
  if (record === undefined || record.entry.dispatcher !== dispatcher || record.entry.attempt === 1) return null;
  return { ...record, claimed: true, entry: { ...record.entry, instance } };
}

/** The verdict of step 2 is taken again when the claim is made. */
async function judgeAgain(ready: Ready, record: AttemptRecord): Promise<Ready | Waiting | Ended> {
  const { read } = ready;
  const again = await ready.again();
  if (again.kind !== 'ready') return again;
  // The note may be of an earlier try, with the formula of then in its payload.
  const blobs = [read.formula.blob, record.entry.formula_blob];
  if (!blobs.every((blob) => blob === again.read.formula.blob)) {
    return waiting('ERR_FORMULA_CHANGED', 'its formula changed while it was being started');
  }
  if (record.sidecar?.digest === again.read.sidecar?.digest) return again;
  return waiting('ERR_ISSUE_CHANGED', 'its issue changed while it was being started');
}

/**
 * Steps 5 to 9 for an attempt that is claimed, from wherever it stopped, for as long as it is ours. Whatever is away is
 * waited for. Throws ShuttingDown when we are stopping; run from the top again, it goes on.
 */
export function finishAttempt(claimed: AttemptRecord, context: StoryContext, signal: AbortSignal): Promise<Ending> {
  return whileOurs(claimed, context, () => toItsEnd(claimed, { context, signal }));
}

async function toItsEnd(claimed: AttemptRecord, way: Way): Promise<Ending> {
  const { context, signal } = way;
  const { id } = claimed.entry;
  if (isResting(claimed)) return endBetween(claimed, way);
  const dispatched = await lasting(id, 'dispatching', () => dispatchOrStop(claimed, way), way);
  if (dispatched.kind === 'unstarted') return endUnstarted(claimed, dispatched.message, way);
  if (dispatched.kind === 'cancelled') return endWithoutRun(claimed, dispatched.end, way);
  if (dispatched.kind === 'unknown') return endWithoutRun(claimed, outcomeOf(dispatched, null, null), way);
  const followed = await followRun(dispatched.run, dispatched.record, context, signal);
  if (followed.end.kind === 'not-started') return endUnplaced(followed, followed.end, way);
  const ended = await settleRun(dispatched.run, followed, way);
  return endRun(ended, way);
}

/** The engine gave up on it. Only its wrapper, consumed by ourselves, proves that no copy can start any more. */
async function endUnplaced(
  { record, stop }: Followed,
  end: Extract<RunEnd, { readonly message: string }>,
  way: Way,
): Promise<Ending> {
  const { context } = way;
  const proven = await lasting(record.entry.id, 'running', () => proveUnstarted(record, end.message, context), way);
  if (proven.kind === 'unknown') {
    return endWithoutRun(record, outcomeOf({ kind: 'unknown', message: proven.message }, null, null), way);
  }
  if (stop === null && context.settings.placement === 'wait') return endUnstarted(record, end.message, way);
  return endWithoutRun({ ...record, request: null, unstarted: true }, outcomeOf(end, null, stop), way);
}

/** A sidecar has one attempt: if its issue is still work to do, that is another run, after a rest. */
async function endUnstarted(record: AttemptRecord, why: string, way: Way): Promise<Ending> {
  const { id } = record.entry;
  const isGone = !way.context.world().candidates.has(id);
  if (!isSidecarId(id) && !isGone) return nextAttempt(record, why, way);
  const message = isGone && !isSidecarId(id) ? `${why}; its file is not at the tip any more` : why;
  const end = outcomeOf({ kind: 'not-started', message }, null, null);
  return endWithoutRun({ ...record, request: null, unstarted: true }, end, way);
}

/** A cancel that came before the dispatch: proven not to have started, it is cancelled without a run. */
async function dispatchOrStop(record: AttemptRecord, { context, signal }: Way) {
  const stop = await stopWish(claimedAction(record), context, signal);
  if (stop === null || (await mayHaveRun(record, context))) return dispatchRun(record, context);
  const proven = await proveUnstarted(record, 'it was cancelled before', context);
  if (proven.kind !== 'unstarted') return proven;
  return { kind: 'cancelled' as const, end: outcomeOf({ kind: 'not-started', message: 'cancelled' }, null, stop) };
}

/** Proven not to have started: the action goes back to waiting, and its next attempt replaces this one's entry. */
async function nextAttempt(record: AttemptRecord, why: string, way: Way): Promise<Waiting> {
  // What came out of the wrapper was revoked as well as could be; this makes it certain.
  await revokeAccess({ ...record, request: null, unstarted: true }, way);
  return waiting('ERR_NOT_PLACED', `attempt ${record.entry.attempt} never started, the next one is due: ${why}`);
}
