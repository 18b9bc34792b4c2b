import type { AttemptRecord, RestingRecord } from '../domain/attempt-record.ts';
import { journalDeadline } from '../domain/journal.ts';
import type { Result } from '../domain/result.ts';
import type { Outcome, Reason, Run } from '../domain/run.ts';
import type { Trailer } from '../domain/trailer.ts';
import { CODES, StalledError, TransientError } from '../errors.ts';
import { tokenOf } from './claim-attempt.ts';
import { collectOutput } from './collect-output.ts';
import { type EndedAttempt, resultOfAttempt, resultOfKept, resultWithoutRun } from './compose-result.ts';
import type { Ending, Step, StoryContext } from './context.ts';
import { type Followed, forgetRun } from './follow-run.ts';
import { HandedOver, requireNotElsewhere, standingIn, standingNow, whileOurs } from './holding.ts';
import type { Ended } from './no-or-not-yet.ts';
import { outcomeOf, SECURITY_EVENTS } from './outcome.ts';
import { persist, ShuttingDown } from './persist.ts';
import { reason } from './reasons.ts';
import { publishResult, readResult, recordedBefore } from './record-result.ts';
import { keptNote, mayComeAgain, retryAfter, retryDue } from './retry.ts';
import { claimedAction, stopWish } from './stop-wish.ts';

/** What every step after the claim needs; `signal` is our own shutdown. */
export interface Way {
  readonly context: StoryContext;
  readonly signal: AbortSignal;
  /** Told with every step: it keeps its slot. */
  readonly holdsSlot?: boolean;
}

/** Steps 7 and 8: its access is gone, its output is kept. */
export async function settleRun(run: Run, followed: Followed, way: Way): Promise<EndedAttempt> {
  const { context } = way;
  const { end } = followed;
  const { id } = followed.record.entry;
  const record = await revokeAccess(followed.record, way);
  const collected = await lasting(id, 'collecting', () => collectOutput(run, record, context), way);
  return {
    record,
    run: { ...run, node: followed.node },
    isolated: context.engine.isolated,
    collected,
    end: isSecondCopy(record, collected.trailer)
      ? outcomeOf({ kind: 'unknown', message: SECOND_COPY }, null, null)
      : outcomeOf(end, collected.trailer, followed.stop),
    startedAt: end.kind === 'exited' ? end.startedAt : null,
    finishedAt: end.kind === 'exited' ? end.finishedAt : null,
  };
}

/** Of two copies that we sent ourselves the other one had the wrapper, and the engine keeps nothing of it. */
function isSecondCopy({ dispatched_again: isAgain }: AttemptRecord, trailer: Trailer | null): boolean {
  return isAgain === true && (trailer?.reason === 'ERR_WRAPPER_USED' || trailer?.reason === 'ERR_WRAPPER_EXPIRED');
}

const SECOND_COPY =
  'it was dispatched twice: the first copy used its wrapper, and the engine keeps nothing of that one';

/** Step 7, also for `lost` and `unknown`. */
export async function revokeAccess(record: AttemptRecord, way: Way): Promise<AttemptRecord> {
  if (record.grant.revoked_at !== null) return record;
  const { context } = way;
  const revoke = async () => {
    const at = await context.access.revoke(record.grant.accessor, tokenOf(record));
    const revoked = { ...record, grant: { ...record.grant, revoked_at: at } };
    await context.records.save(revoked);
    return revoked;
  };
  return lasting(record.entry.id, 'revoking', revoke, way);
}

export async function endWithoutRun(claimed: AttemptRecord, end: EndedAttempt['end'], way: Way): Promise<Ending> {
  // Its access may be what the run of another holder is about to use.
  await lasting(claimed.entry.id, 'revoking', () => requireNotElsewhere(claimed, way.context), way);
  const record = await revokeAccess(claimed, way);
  const ended = { record, run: null, isolated: false, collected: null, end, startedAt: null, finishedAt: null };
  return recordAttempt(ended, way);
}

/** Its run is over: another attempt is due, with its end kept on this host first, or that end is recorded. */
export async function endRun(ended: EndedAttempt, way: Way): Promise<Ending> {
  const { context } = way;
  const { record } = ended;
  const keep = async () => {
    const result = resultOfAttempt(ended, context.clock.now());
    const kept = await retryAfter(record, result, context);
    if (kept == null) return null;
    const resting = { ...record, kept };
    await context.records.save(resting);
    return resting;
  };
  // Until that is known its slot is not free: the next attempt keeps it.
  const resting = await lasting(record.entry.id, 'recording', keep, { ...way, holdsSlot: true });
  return resting === null ? recordAttempt(ended, way) : retryDue(resting);
}

/** Between two attempts: the next one is due, or it never comes and what is kept is recorded. Safe to repeat. */
export async function endBetween(record: RestingRecord, way: Way): Promise<Ending> {
  const { context, signal } = way;
  const { id } = record.entry;
  const wish = () => stopWish(claimedAction(record), context, signal);
  const stop = await lasting(id, 'recording', wish, { ...way, holdsSlot: true });
  if (stop !== null) {
    return recordKept(record, { outcome: 'cancelled', reason: reason('ERR_CANCELLED', stop.message, stop.by) }, way);
  }
  if (mayComeAgain(record, context.world(), context.engine.kind)) return retryDue(record);
  const { engine } = record.entry;
  const why =
    engine === context.engine.kind
      ? reason('ERR_NEEDS_APPROVAL', 'its bytes are not at the tip any more')
      : reason('ERR_BACKEND_MISMATCH', `it ran on ${engine}`);
  return recordKept(record, { outcome: record.kept.result.outcome, reason: why }, way);
}

/** The end of the last attempt that ran, once no other one comes. */
async function recordKept(
  record: RestingRecord,
  why: { readonly outcome: Outcome; readonly reason: Reason },
  way: Way,
): Promise<Ending> {
  const { context } = way;
  await revokeAccess(record, way);
  const result = resultOfKept(record, why, context.clock.now());
  const ending = await lasting(record.entry.id, 'recording', () => publishOurs(record, result, context), way);
  await buryAttempt(record, false, way);
  return ending;
}

/** Step 9: the result, then the tombstone, then what this host kept of it. */
async function recordAttempt(ended: EndedAttempt, way: Way): Promise<Ending> {
  const { context } = way;
  const { entry } = ended.record;
  const result = resultOfAttempt(ended, context.clock.now());
  const code = ended.end.reason?.code;
  if (code !== undefined && SECURITY_EVENTS.has(code)) {
    const { id, attempt } = entry;
    context.log.error('security event: somebody else had the wrapper, or changed what was approved', {
      id,
      attempt,
      code,
    });
  }
  const held = mayLive(ended.end.outcome);
  const publish = () => publishOurs(ended.record, result, context);
  const ending = await lasting(entry.id, 'recording', publish, { ...way, holdsSlot: held });
  await buryAttempt(ended.record, held, way);
  return ending;
}

/** Over what another holder of it may find, nothing is written. */
async function publishOurs(record: AttemptRecord, result: Result, context: StoryContext): Promise<Ending> {
  const standing = await standingNow(record, context);
  if (standing.kind === 'ours') return publishResult(result, context);
  // Before we broke off, it was we who ended it.
  const before = standing.kind === 'ended' ? await recordedBefore(result, context) : null;
  if (before !== null) return { kind: 'recorded', result: before };
  // A tombstone is a claim: where the branch never held a result, ours is missing. Create-only, whoever is right.
  if (standing.kind === 'ended' && !context.world().everRecorded(result.id)) return publishResult(result, context);
  throw new HandedOver(standing);
}

/** Nobody knows whether something of it still runs. */
const mayLive = (outcome: Outcome) => outcome === 'lost' || outcome === 'unknown';

/** Its result lies in the repo already, or did once: only the tombstone is missing. */
export async function buryRecorded(record: AttemptRecord, way: Way): Promise<void> {
  const { context } = way;
  const { id } = record.entry;
  const entry = context.world().catalogue.result(id);
  const read = async () => (entry === null ? null : readResult(entry.oid, context.opsRepo));
  const result = await lasting(id, 'recording', read, { ...way, holdsSlot: true });
  const outcome = result?.outcome ?? 'unknown';
  await buryAttempt(record, mayLive(outcome) && !record.unstarted, way);
}

/** Entry → tombstone, and nothing is left of it on this host. `held`: it keeps its slot until its deadline. */
async function buryAttempt(record: AttemptRecord, held: boolean, way: Way): Promise<void> {
  const { entry } = record;
  const { context } = way;
  const until = journalDeadline(entry, context.settings.placementSeconds).toISOString();
  const tombstone = {
    id: entry.id,
    token: entry.token,
    ended_at: context.clock.now().toISOString(),
    group: entry.group,
    ...(held ? { held_until: until } : {}),
  };
  const bury = async () => {
    const { kind } = standingIn(context.journal.view(), entry, context.settings);
    // Whoever has it now finds its result and buries it; the note here goes when that is seen.
    if (kind === 'taken' || kind === 'fenced') return;
    await context.journal.end(tombstone);
    await forgetRun(record, context);
  };
  await lasting(entry.id, 'recording', bury, { ...way, holdsSlot: held });
}

/** Does a step that has to be done, tells where the action is meanwhile, and waits out whatever is away. */
export async function lasting<T>(
  id: string,
  state: Step['state'],
  work: () => Promise<T>,
  { context, signal, holdsSlot = false }: Way,
): Promise<T> {
  const tell = (reason: Reason | null) => context.tell(id, { state, reason, holdsSlot });
  tell(null);
  if (signal.aborted && LAST_STEPS.has(state)) return onceMore(work);
  return persist(work, tell, context, signal);
}

/** What is over is written down even while we are stopping, if that works at once; else the next start does it. */
const LAST_STEPS: ReadonlySet<Step['state']> = new Set(['revoking', 'collecting', 'recording']);

async function onceMore<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof TransientError || error instanceof StalledError) throw new ShuttingDown();
    throw error;
  }
}

/** Records a definite no; of what ran before and was to be tried again, its kept end. */
export async function recordEnded(ended: Ended, context: StoryContext, signal: AbortSignal): Promise<Ending> {
  const way = { context, signal };
  const note = () => keptNote(ended.candidate.id, context);
  const resting = await lasting(ended.candidate.id, 'recording', note, way);
  if (resting !== null) return whileOurs(resting, context, () => recordKept(resting, ended, way));
  // What needs a person is a no to another attempt only.
  if (CODES[ended.reason.code].class === 'waiting') return { kind: 'waiting', reason: ended.reason };
  const result = resultWithoutRun(ended.candidate, ended, context.clock.now());
  const record = async () => {
    const ending = await publishResult(result, context);
    await context.control.clearStop(ended.candidate.id);
    return ending;
  };
  return lasting(ended.candidate.id, 'recording', record, way);
}
