import type { AttemptRecord } from '../domain/attempt-record.ts';
import { decodePayload } from '../domain/payload.ts';
import type { Run } from '../domain/run.ts';
import { StalledError, TransientError } from '../errors.ts';
import type { DispatchRequest } from '../ports/engine.ts';
import { attemptRef, tokenOf } from './claim-attempt.ts';
import type { StoryContext } from './context.ts';
import { HandedOver, requireOursIfKnown, standingNow } from './holding.ts';

/**
 * A run of this attempt; or the proof that none started and none can (`unstarted`: the wrapper was consumed by
 * ourselves, so another attempt is due); or nobody can say (`unknown`).
 */
export type Dispatched =
  | { readonly kind: 'run'; readonly run: Run; readonly record: AttemptRecord }
  | { readonly kind: 'unstarted'; readonly message: string }
  | { readonly kind: 'unknown'; readonly message: string };

/**
 * Step 5: is there a run for this attempt already? Found, else dispatched with the very bytes that were claimed. Safe to
 * repeat: a second copy finds its wrapper used and starts nothing.
 */
export async function dispatchRun(record: AttemptRecord, context: StoryContext): Promise<Dispatched> {
  try {
    return await findOrDispatch(record, context);
  } catch (error) {
    if (error instanceof TransientError && isNearlyOver(record, context)) {
      const proven = await proveUnstarted(record, 'the engine was away until its wrapper was nearly over', context);
      if (proven.kind === 'unstarted') return proven;
    }
    if (!isForeign(error)) throw error;
    const { id, attempt } = record.entry;
    context.log.error('security event: a run that is not ours stands under the token of this attempt', {
      id,
      attempt,
      code: error.code,
      reason: error.message,
    });
    // Where the journal was lost, another dispatcher may have begun this very attempt: ours proves nothing about theirs.
    return { kind: 'unknown', message: error.message };
  }
}

/** Whether the engine has a run under its token; of a foreign one nobody knows what it is. */
async function hasRun(record: AttemptRecord, context: StoryContext): Promise<boolean> {
  try {
    return (await context.engine.find(attemptRef(record))) !== null;
  } catch (error) {
    if (isForeign(error)) return true;
    throw error;
  }
}

/** The same; while the engine is away, the wrapper answers it at its last chance: consumed by ourselves, there is none. */
export async function mayHaveRun(record: AttemptRecord, context: StoryContext): Promise<boolean> {
  try {
    return await hasRun(record, context);
  } catch (error) {
    if (!(error instanceof TransientError) || !isNearlyOver(record, context)) throw error;
    const proven = await proveUnstarted(record, 'the engine was away until its wrapper was nearly over', context);
    if (proven.kind !== 'unstarted') throw error;
    return false;
  }
}

function isForeign(error: unknown): error is StalledError {
  return error instanceof StalledError && error.code === 'ERR_FOREIGN_RUN';
}

async function findOrDispatch(record: AttemptRecord, context: StoryContext): Promise<Dispatched> {
  const found = await context.engine.find(attemptRef(record));
  if (found !== null) return { kind: 'run', run: found, record: sent.get(record) ?? record };
  if (record.unstarted) return { kind: 'unstarted', message: 'it was proven before' };
  const { taken_from } = record.entry;
  // Its former holder may wake up and send the same request at any time; the wrapper, consumed by ourselves, ends that.
  if (taken_from !== undefined) return proveUnstarted(record, `${taken_from} claimed it and fell silent`, context);
  const request = requestOf(record);
  if (request === null) {
    return {
      kind: 'unknown',
      message: 'the engine knows no run of this attempt, and its request was already answered',
    };
  }
  if (context.clock.now() >= new Date(record.grant.expires_at)) {
    return proveUnstarted(record, 'its time to be placed was over', context);
  }
  const dispatched = sentNow(record, context);
  await context.records.save(dispatched);
  const standing = await standingNow(record, context);
  if (standing.kind === 'ended') return { kind: 'unknown', message: 'its end is recorded already' };
  if (standing.kind !== 'ours') throw new HandedOver(standing);
  const run = await context.engine.dispatch(request);
  return { kind: 'run', run, record: dispatched };
}

function sentNow(record: AttemptRecord, { clock }: StoryContext): AttemptRecord {
  const isAgain = record.dispatched_at !== null || sent.has(record);
  const at = record.dispatched_at ?? clock.now().toISOString();
  const noted = { ...record, dispatched_at: at, ...(isAgain ? { dispatched_again: true } : {}) };
  sent.set(record, noted);
  return noted;
}

/** What was sent by this process, whatever became of it, and what its note says since. */
const sent = new WeakMap<AttemptRecord, AttemptRecord>();

/** Exactly one redemption of a wrapper ever succeeds: when it is ours, no run has started and none can. */
export async function proveUnstarted(record: AttemptRecord, why: string, context: StoryContext): Promise<Dispatched> {
  if (record.unstarted) return { kind: 'unstarted', message: why };
  if (record.request === null) {
    return { kind: 'unknown', message: 'its single-use wrapper is not at hand any more' };
  }
  await requireOursIfKnown(record, context);
  const payload = decodePayload(Buffer.from(record.request.payload, 'base64'));
  // The proof is there once: a disk that takes nothing now must not be what it is lost to.
  await context.records.save(record);
  const consumption = proofs.has(record) ? 'consumed' : await context.access.consume(payload.access);
  if (consumption === 'consumed') {
    proofs.add(record);
    await context.records.save({ ...record, request: null, unstarted: true });
    return { kind: 'unstarted', message: why };
  }
  return { kind: 'unknown', message: `its single-use wrapper is ${consumption}: somebody may have started with it` };
}

/** A proof can't be had twice: where the disk did not take it, the next try has it from here. */
const proofs = new WeakSet<AttemptRecord>();

/** As long as the wrapper lives we can still prove with it that nothing has started; after that nobody can. */
const LAST_CHANCE_MS = 60_000;

function isNearlyOver({ request, grant }: AttemptRecord, { clock }: StoryContext): boolean {
  return request !== null && clock.now().getTime() >= Date.parse(grant.expires_at) - LAST_CHANCE_MS;
}

function requestOf(record: AttemptRecord): DispatchRequest | null {
  if (record.request === null) return null;
  const { job, meta, payload } = record.request;
  return {
    token: tokenOf(record),
    job,
    meta: {
      action_id: meta['action_id'] ?? '',
      attempt: meta['attempt'] ?? '',
      formula: meta['formula'] ?? '',
      mounts: meta['mounts'] ?? '',
      secrets_csv: meta['secrets_csv'] ?? '',
      ...(meta['issue_number'] === undefined ? {} : { issue_number: meta['issue_number'] }),
      ...(meta['project_toml'] === undefined ? {} : { project_toml: meta['project_toml'] }),
    },
    payload: Buffer.from(payload, 'base64'),
    timeoutSeconds: record.entry.timeout_seconds,
  };
}
