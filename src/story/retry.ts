import {
  type AttemptRecord,
  historyOf,
  isResting,
  mostAttempts,
  type RestingRecord,
} from '../domain/attempt-record.ts';
import { backoffMs } from '../domain/backoff.ts';
import type { Result } from '../domain/result.ts';
import { CODES, type Code, InvalidError, RefusedError, TransientError } from '../errors.ts';
import type { StoryContext } from './context.ts';
import type { Ended } from './no-or-not-yet.ts';
import { SECURITY_EVENTS } from './outcome.ts';
import { type ReadAction, readAction } from './read-action.ts';
import { claimedNotes } from './retry-notes.ts';
import { isWaiting, type Waiting, waiting } from './waiting.ts';
import type { Candidate, World } from './world.ts';

/*
 * Another attempt of what failed (`retry` of the action, for idempotent formulas).
 *
 *   an attempt ends ──▶ its end is kept in this host's note, its journal entry stays ──▶ waiting, for a rest and for
 *   whatever every action waits for ──▶ the next attempt takes the entry's place, with its history
 *
 * Nothing is recorded meanwhile. Whatever speaks against the next attempt for good, or until a person decides, makes the
 * kept end the result. `lost` and `unknown` are never tried again: nobody can say that nothing of them lives.
 */

/**
 * What is kept of an attempt that ended so, because another one is due; null: this end is the action's. Errors:
 * TransientError, StalledError of the ops repo.
 */
export async function retryAfter(
  record: AttemptRecord,
  result: Result,
  context: StoryContext,
): Promise<AttemptRecord['kept'] | null> {
  // Without this host's note nobody can say how many there were.
  if (result.outcome !== 'failed' || record.formula === null || isSecurityEvent(result)) return null;
  const candidate = stillAt(record, context.world());
  const read = candidate === null ? null : await readOrNull(candidate, context);
  const retry = read?.action.retry ?? null;
  if (retry === null || !retry.on.includes(result.outcome)) return null;
  const made = 1 + record.attempts.filter(({ run }) => run !== null).length;
  if (made >= retry.attempts) return null;
  const { clock } = context;
  const rest = PATIENCE * backoffMs(made - 1, clock.random());
  return { result, retry_at: new Date(clock.now().getTime() + rest).toISOString(), attempts: retry.attempts };
}

/** Rests begin with a quarter to half a minute and double, up to an hour: what failed at once would fail at once again. */
const PATIENCE = 120;
const LONGEST_REST_MS = 3_600_000;

/** Somebody else had the wrapper, so his copy may live; or other bytes came than were approved. */
function isSecurityEvent({ reason }: Result): boolean {
  const codes: ReadonlySet<string> = SECURITY_EVENTS;
  return codes.has(reason?.code ?? '');
}

async function readOrNull(candidate: Candidate, context: StoryContext): Promise<ReadAction | null> {
  try {
    const read = await readAction(candidate, context.world(), context.opsRepo);
    if (!isWaiting(read)) return read;
    // Nobody knows now which formula is in force: that is no no to another attempt.
    const { code, message } = read.reason;
    if (CODES[code].class === 'transient') throw new TransientError(code, message);
    return null;
  } catch (error) {
    if (error instanceof InvalidError || error instanceof RefusedError) return null;
    throw error;
  }
}

/** The bytes that were claimed, where they still lie at the tip and are no sidecar's. */
function stillAt({ entry }: AttemptRecord, world: World): Candidate | null {
  const candidate = world.candidates.get(entry.id);
  return candidate?.file.entry.oid === entry.blob ? candidate : null;
}

/** Its next attempt can come: the bytes are there, and this engine is the one that had the last. */
export function mayComeAgain(record: RestingRecord, world: World, engine: string): boolean {
  return stillAt(record, world) !== null && record.entry.engine === engine;
}

/** The note of an action of ours that stands between two attempts, by the newest journal. Errors: TransientError. */
export async function restingNote(id: string, { journal, records }: StoryContext): Promise<RestingRecord | null> {
  const entry = journal.view().entries.get(id);
  const record = entry === undefined ? null : await records.load(entry.token);
  return record !== null && isResting(record) ? record : null;
}

/** As `restingNote`, and by the notes alone where the journal has lost its entry: what ran is never told as not begun. */
export async function keptNote(id: string, context: StoryContext): Promise<RestingRecord | null> {
  const { journal, records, settings } = context;
  if (journal.view().entries.has(id)) return restingNote(id, context);
  const record = claimedNotes(await records.of(id)).get(id);
  const isOurs = record?.entry.dispatcher === settings.dispatcher;
  return record !== undefined && isOurs && isResting(record) ? record : null;
}

/**
 * What the verdict on an action means where an end of it is kept: before its rest is over it waits; a wait that needs a
 * person is a no, because what ran has to end in a result. Of all other actions the verdict is answered as it is.
 */
export async function judgeRetry<T extends { readonly kind: 'ready' }>(
  verdict: T | Waiting | Ended,
  candidate: Candidate,
  context: StoryContext,
): Promise<T | Waiting | Ended> {
  if (verdict.kind === 'ended') return verdict;
  const record = await restingNote(candidate.id, context);
  if (record === null) return verdict;
  if (verdict.kind === 'waiting') {
    const { reason } = verdict;
    return NEEDS_PERSON.has(reason.code) ? { kind: 'ended', candidate, outcome: 'refused', reason } : verdict;
  }
  const rest = Date.parse(record.kept.retry_at) - context.clock.now().getTime();
  // A longer one was noted by a clock that was wrong.
  return rest > 0 && rest <= LONGEST_REST_MS ? retryDue(record) : verdict;
}

/** Somebody has to approve, or to mend what is approved: that may take for ever, or never come. */
const NEEDS_PERSON: ReadonlySet<Code> = new Set([
  'ERR_NEEDS_APPROVAL',
  'ERR_APPROVED_OTHER_BYTES',
  'ERR_CHANGES_REQUESTED',
  'ERR_NO_RULE',
  'ERR_FORMULA_UNAPPROVED',
  'ERR_FORMULA_CHANGED',
  'ERR_FORMULA_INVALID',
  'ERR_POLICY_MISSING',
  'ERR_POLICY_INVALID',
  'ERR_FOREIGN_RESULT',
]);

export function retryDue(record: RestingRecord): Waiting {
  const last = historyOf(record).findLast(({ run }) => run !== null);
  const end = last === undefined ? '' : `attempt ${last.number} ${last.outcome} with exit code ${last.exit_code}, `;
  const at = `${record.kept.retry_at.slice(0, 19)}Z`;
  return waiting('ERR_RETRY_DUE', `${end}${nextOf(record)} is due at ${at}`);
}

/** `attempt 2 of 3`. */
export function nextOf(record: RestingRecord): string {
  return `attempt ${record.entry.attempt + 1} of ${mostAttempts(record) ?? record.kept.attempts}`;
}
