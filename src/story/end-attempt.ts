import type { AttemptRecord } from '../domain/attempt-record.ts';
import { journalDeadline } from '../domain/journal.ts';
import type { Outcome, Reason, Run } from '../domain/run.ts';
import { StalledError, TransientError } from '../errors.ts';
import { tokenOf } from './claim-attempt.ts';
import { collectOutput } from './collect-output.ts';
import { type EndedAttempt, resultOfAttempt, resultWithoutRun } from './compose-result.ts';
import type { Ending, Step, StoryContext } from './context.ts';
import { type Followed, forgetRun } from './follow-run.ts';
import type { Ended } from './no-or-not-yet.ts';
import { outcomeOf, SECURITY_EVENTS } from './outcome.ts';
import { persist, ShuttingDown } from './persist.ts';
import { publishResult, readResult } from './record-result.ts';

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
    end: outcomeOf(end, collected.trailer, followed.stop),
    startedAt: end.kind === 'exited' ? end.startedAt : null,
    finishedAt: end.kind === 'exited' ? end.finishedAt : null,
  };
}

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
  const record = await revokeAccess(claimed, way);
  const ended = { record, run: null, isolated: false, collected: null, end, startedAt: null, finishedAt: null };
  return recordAttempt(ended, way);
}

/** Step 9: the result, then the tombstone, then what this host kept of it. */
export async function recordAttempt(ended: EndedAttempt, way: Way): Promise<Ending> {
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
  const publish = () => publishResult(result, context);
  const ending = await lasting(entry.id, 'recording', publish, { ...way, holdsSlot: held });
  await buryAttempt(ended.record, held, way);
  return ending;
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

/** Records a definite no. */
export async function recordEnded(ended: Ended, context: StoryContext, signal: AbortSignal): Promise<Ending> {
  const result = resultWithoutRun(ended.candidate, ended, context.clock.now());
  const record = async () => {
    const ending = await publishResult(result, context);
    await context.control.clearStop(ended.candidate.id);
    return ending;
  };
  return lasting(ended.candidate.id, 'recording', record, { context, signal });
}
