import type { AttemptRecord } from '../domain/attempt-record.ts';
import { journalDeadline } from '../domain/journal.ts';
import type { Run } from '../domain/run.ts';
import { tokenOf } from './claim-attempt.ts';
import { collectOutput } from './collect-output.ts';
import { type EndedAttempt, resultOfAttempt, resultWithoutRun } from './compose-result.ts';
import type { Ending, Step, StoryContext } from './context.ts';
import { type Followed, forgetRun } from './follow-run.ts';
import { outcomeOf } from './outcome.ts';
import { persist } from './persist.ts';
import { publishResult } from './record-result.ts';
import type { Ended } from './no-or-not-yet.ts';

/** What every step after the claim needs; `signal` is our own shutdown. */
export interface Way {
  readonly context: StoryContext;
  readonly signal: AbortSignal;
}

/** Steps 7 and 8: its access is gone, its output is kept. */
export async function settleRun(
  run: Run,
  followed: Followed,
  way: Way,
): Promise<EndedAttempt> {
  const { context } = way;
  const { end } = followed;
  const { id } = followed.record.entry;
  const record = await revokeAccess(followed.record, way);
  const collected = await lasting(id, 'collecting', () => collectOutput(run, record, context), way);
  return {
    record,
    run,
    isolated: context.engine.isolated,
    collected,
    end: outcomeOf(end, collected.trailer, followed.stop),
    startedAt: end.kind === 'exited' ? end.startedAt : null,
    finishedAt: end.kind === 'exited' ? end.finishedAt : null,
  };
}

/** Step 7, also for `lost` and `unknown`. */
async function revokeAccess(record: AttemptRecord, way: Way): Promise<AttemptRecord> {
  if (record.grant.revoked_at !== null) return record;
  const { context } = way;
  const revoke = () => context.access.revoke(record.grant.accessor, tokenOf(record));
  const at = await lasting(record.entry.id, 'revoking', revoke, way);
  const revoked = { ...record, grant: { ...record.grant, revoked_at: at } };
  await context.records.save(revoked);
  return revoked;
}

export async function endWithoutRun(
  claimed: AttemptRecord,
  end: EndedAttempt['end'],
  way: Way,
): Promise<Ending> {
  const record = await revokeAccess(claimed, way);
  const ended = { record, run: null, isolated: false, collected: null, end, startedAt: null, finishedAt: null };
  return recordAttempt(ended, way);
}

/** Step 9: the result, then the tombstone, then what this host kept of it. */
export async function recordAttempt(ended: EndedAttempt, way: Way): Promise<Ending> {
  const { context } = way;
  const { entry } = ended.record;
  const result = resultOfAttempt(ended, context.clock.now());
  const publish = () => publishResult(result, context);
  const ending = await lasting(entry.id, 'recording', publish, way);
  await buryAttempt(ended.record, ended.end.outcome === 'lost' || ended.end.outcome === 'unknown', way);
  return ending;
}

/** Entry → tombstone, and nothing is left of it on this host. `held`: it keeps its slot until its deadline. */
export async function buryAttempt(
  record: AttemptRecord,
  held: boolean,
  way: Way,
): Promise<void> {
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
  await lasting(entry.id, 'recording', () => context.journal.end(tombstone), way);
  await forgetRun(record, context);
  await context.control.clearStop(entry.id);
}

/** Does a step that has to be done, tells where the action is meanwhile, and waits out whatever is away. */
export async function lasting<T>(
  id: string,
  state: Step['state'],
  work: () => Promise<T>,
  { context, signal }: Way,
): Promise<T> {
  context.tell(id, { state, reason: null });
  return persist(work, (why) => context.tell(id, { state, reason: why }), context, signal);
}

/** Records a definite no. */
export async function recordEnded(ended: Ended, context: StoryContext, signal: AbortSignal): Promise<Ending> {
  const result = resultWithoutRun(ended.candidate, ended, context.clock.now());
  const ending = await lasting(ended.candidate.id, 'recording', () => publishResult(result, context), { context, signal });
  await context.control.clearStop(ended.candidate.id);
  return ending;
}
