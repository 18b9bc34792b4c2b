import type { Outcome, Reason, RunEnd, StopRequest } from '../domain/run.ts';
import type { RunnerReason, Trailer } from '../domain/trailer.ts';
import type { Code } from '../errors.ts';
import { reason } from './reasons.ts';

export interface OutcomeOf {
  readonly outcome: Outcome;
  readonly exitCode: number;
  readonly signal: string | null;
  readonly oom: boolean;
  readonly reason: Reason | null;
}

/** Exit codes of formats.md, "Which end, which code". */
export const EXIT = { runner: 69, timedOut: 124, cancelled: 130, nobodyKnows: 70 } as const;

/**
 * What a run's end means. The engine's word on the exit, the runner's signed trailer on its reason, and what we asked of
 * it. Pure; every combination has a row in its table test.
 */
export function outcomeOf(end: RunEnd, trailer: Trailer | null, stop: StopRequest | null): OutcomeOf {
  const known = trailer === null ? end : byLastWords(end, trailer);
  return ofEnd(known, trailer, stop);
}

/** The runner's signed last words are said after the command's end: with them it is known, whatever became of the place. */
function byLastWords(end: RunEnd, { exit, started, finished }: Trailer): RunEnd {
  if (end.kind !== 'lost' && end.kind !== 'unknown') return end;
  return { kind: 'exited', exitCode: exit, signal: null, oom: false, startedAt: started, finishedAt: finished };
}

function ofEnd(end: RunEnd, trailer: Trailer | null, stop: StopRequest | null): OutcomeOf {
  switch (end.kind) {
    case 'lost':
      return nobodyKnows('lost', reason('ERR_LOST', end.message));
    case 'unknown':
      return nobodyKnows('unknown', reason('ERR_RUN_UNKNOWN', end.message));
    case 'not-started':
      return stop?.kind === 'cancel' ? cancelled(stop) : timedOut('ERR_NOT_PLACED', end.message);
    case 'exited':
      return ofExit(end, trailer, stop);
  }
}

function ofExit(end: Exited, trailer: Trailer | null, stop: StopRequest | null): OutcomeOf {
  const own = trailer?.reason ?? null;
  if (own === null) return ofCommand(end, trailer, stop);
  const { outcome, exitCode, reason: why } = ofRunner(own, end, stop);
  return { outcome, exitCode, signal: trailer?.signal ?? end.signal, oom: end.oom, reason: why };
}

/** The runner's own reason. */
function ofRunner(own: RunnerReason, end: Exited, stop: StopRequest | null): OutcomeOf {
  if (own === 'ERR_DEADLINE') return timedOut('ERR_DEADLINE', 'its time was over');
  if (stop !== null && end.exitCode !== 0 && !SECURITY_EVENTS.has(own)) return stopped(stop);
  return failed(EXIT.runner, end, reason(own, `the runner ended it: ${RUNNER_SAYS[own]}`));
}

/** The command's own end. */
function ofCommand(end: Exited, trailer: Trailer | null, stop: StopRequest | null): OutcomeOf {
  const exit = { signal: trailer?.signal ?? end.signal, oom: end.oom };
  const exitCode = end.exitCode === 0 ? (trailer?.exit ?? 0) : end.exitCode;
  // With 0 it had ended well by itself before the wish reached it: what it did counts.
  if (stop !== null && exitCode !== 0) return { ...stopped(stop), ...exit };
  if (exitCode === 0) return { outcome: 'succeeded', exitCode: 0, ...exit, reason: null };
  if (end.stopped !== undefined && !exit.oom) {
    return failed(exitCode, exit, reason('ERR_COMMAND_SIGNALLED', `the engine stopped it: ${end.stopped}`));
  }
  return failed(exitCode, exit, ownEnd(exitCode, exit, trailer));
}

/** Somebody was at work; no wish to stop hides that. */
export const SECURITY_EVENTS: ReadonlySet<Code> = new Set(['ERR_WRAPPER_USED', 'ERR_DIGEST']);

type Exited = Extract<RunEnd, { kind: 'exited' }>;

/** What the runner's own codes mean, as the end of a sentence. */
const RUNNER_SAYS: Readonly<Record<RunnerReason, string>> = {
  ERR_PAYLOAD: 'its payload was unreadable',
  ERR_SECRET_MISSING: 'a granted secret is not in the store',
  ERR_SECRET_EMPTY: 'a granted secret is empty',
  ERR_SECRET_DENIED: 'the store denied a granted secret',
  ERR_SECRET_UNMASKABLE: 'a granted secret is too short or too common to mask',
  ERR_VAULT_UNAVAILABLE: 'the secret store did not answer',
  ERR_WRAPPER_USED: 'its single-use wrapper had been used before',
  ERR_WRAPPER_EXPIRED: 'its single-use wrapper had expired',
  ERR_DIGEST: 'what it got is not what was approved',
  ERR_DEADLINE: 'its time was over',
  ERR_COMMAND_NOT_FOUND: 'the command of the formula is not there',
  ERR_RUNNER: 'the runner made a mistake of its own',
};

function stopped(stop: StopRequest): OutcomeOf {
  return stop.kind === 'cancel' ? cancelled(stop) : timedOut('ERR_DEADLINE', stop.message);
}

function ownEnd(exitCode: number, exit: { signal: string | null; oom: boolean }, trailer: Trailer | null): Reason {
  if (exit.oom) return reason('ERR_OOM', 'the command was killed because it wanted more memory than there was');
  if (exit.signal !== null) return reason('ERR_COMMAND_SIGNALLED', `the command was ended by ${exit.signal}`);
  if (trailer === null)
    return reason('ERR_RUNNER', `the run ended with ${exitCode} and without the runner's last words`);
  return reason('ERR_COMMAND_FAILED', `the command ended with ${exitCode}`);
}

function failed(exitCode: number, exit: { signal: string | null; oom: boolean }, why: Reason): OutcomeOf {
  return { outcome: 'failed', exitCode, signal: exit.signal, oom: exit.oom, reason: why };
}

function cancelled(stop: StopRequest): OutcomeOf {
  const why = reason('ERR_CANCELLED', stop.message, stop.by);
  return { outcome: 'cancelled', exitCode: EXIT.cancelled, signal: null, oom: false, reason: why };
}

function timedOut(code: Code, message: string): OutcomeOf {
  return { outcome: 'timed_out', exitCode: EXIT.timedOut, signal: null, oom: false, reason: reason(code, message) };
}

function nobodyKnows(outcome: 'lost' | 'unknown', why: Reason): OutcomeOf {
  return { outcome, exitCode: EXIT.nobodyKnows, signal: null, oom: false, reason: why };
}
