import { type AttemptRecord, historyOf, type RestingRecord } from '../domain/attempt-record.ts';
import { sha256 } from '../domain/ids.ts';
import type { Result } from '../domain/result.ts';
import type { Reason, Run } from '../domain/run.ts';
import type { Collected } from './collect-output.ts';
import { EXIT, type OutcomeOf } from './outcome.ts';
import type { Candidate } from './world.ts';

/** Whole seconds, as formats.md shows them. */
const stamp = (date: Date | string) => `${new Date(date).toISOString().slice(0, 19)}Z`;
const stampOrNull = (date: string | null) => (date === null ? null : stamp(date));

/** The result of an action that never came to a run: invalid, refused, or cancelled before its claim. */
export function resultWithoutRun(
  candidate: Candidate,
  end: { readonly outcome: 'invalid' | 'refused' | 'cancelled'; readonly reason: Reason },
  now: Date,
): Result {
  const { file } = candidate;
  return {
    id: candidate.id,
    exit_code: end.outcome === 'cancelled' ? EXIT.cancelled : 64,
    timestamp: stamp(now),
    logs: '',
    schema: 1,
    outcome: end.outcome,
    reason: end.reason,
    action: { path: file.path, blob: file.entry.oid, commit: candidate.commit, sha256: null },
    formula: null,
    approval: null,
    attempt: null,
    attempts: [],
    run: null,
    access: null,
    output: null,
    artifacts: [],
    times: {
      committed: stamp(candidate.committedAt),
      approved: null,
      dispatched: null,
      started: null,
      finished: null,
      recorded: stamp(now),
    },
  };
}

export interface EndedAttempt {
  readonly record: AttemptRecord;
  /** null: nobody knows of any run. */
  readonly run: Run | null;
  readonly isolated: boolean;
  readonly collected: Collected | null;
  readonly end: OutcomeOf;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
}

const NOTHING_COLLECTED: Collected = { trailer: null, output: null, artifacts: [], logs: '' };

/** The result of an attempt that was claimed. */
export function resultOfAttempt(ended: EndedAttempt, now: Date): Result {
  const { record, end } = ended;
  const { action, formula, approval, grant } = record;
  const { logs, output, artifacts, trailer } = ended.collected ?? NOTHING_COLLECTED;
  const finished = trailer?.finished ?? ended.finishedAt;
  return {
    id: record.entry.id,
    exit_code: end.exitCode,
    timestamp: stamp(finished ?? now),
    logs,
    schema: 1,
    outcome: end.outcome,
    reason: end.reason,
    action: { path: action.path, blob: action.blob, commit: action.commit, sha256: action.sha256 },
    formula,
    approval: approval === null ? null : { required: approval.required, evidence: approval.evidence },
    attempt: {
      number: record.entry.attempt,
      token: record.entry.token,
      dispatcher: record.entry.dispatcher,
      executions: ended.run === null ? 0 : 1,
    },
    attempts: record.attempts,
    run: runPart(ended),
    access: {
      policies: grant.policies,
      accessor_sha256: sha256(grant.accessor),
      issued_at: stamp(grant.issued_at),
      revoked_at: stampOrNull(grant.revoked_at),
    },
    output,
    artifacts,
    times: {
      committed: stamp(action.committed_at),
      approved: stampOrNull(approval?.approved_at ?? null),
      dispatched: stampOrNull(record.dispatched_at),
      started: stampOrNull(trailer?.started ?? ended.startedAt),
      finished: stampOrNull(finished),
      recorded: stamp(now),
    },
    ...(record.sidecar === undefined ? {} : { sidecar: record.sidecar }),
  };
}

/**
 * The result of an action whose next attempt is not made: the end of the last one that ran. Cancelled while it waited, it
 * is `cancelled`, and what had run stands in its history.
 */
export function resultOfKept(
  record: RestingRecord,
  why: { readonly outcome: string; readonly reason: Reason },
  now: Date,
): Result {
  const kept = record.kept.result;
  const times = { ...kept.times, recorded: stamp(now) };
  const result = { ...kept, timestamp: kept.times.finished ?? times.recorded, times };
  if (why.outcome === 'cancelled') {
    const attempts = historyOf(record);
    return { ...result, outcome: 'cancelled', exit_code: EXIT.cancelled, reason: why.reason, attempts };
  }
  const { code, message } = why.reason;
  const end = kept.reason;
  if (end === null) return result;
  return { ...result, reason: { ...end, message: `${end.message}; not tried again: ${message} (${code})` } };
}

function runPart(ended: EndedAttempt): Result['run'] {
  const { run, record, end } = ended;
  if (run === null) return null;
  const digest = ended.collected?.trailer?.digest;
  return {
    isolated: ended.isolated,
    engine: record.entry.engine,
    id: run.id,
    node: run.node,
    signal: end.signal,
    oom: end.oom,
    digest_verified: digest?.action === record.action.blob && digest.formula === record.entry.formula_blob,
  };
}
