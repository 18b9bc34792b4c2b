import type { Reason } from '../domain/run.ts';
import { InvalidError, RefusedError, StalledError, TransientError } from '../errors.ts';
import { reasonOf } from './reasons.ts';
import type { Waiting } from './waiting.ts';
import type { Candidate } from './world.ts';

/** A definite no, before any claim. */
export interface Ended {
  readonly kind: 'ended';
  readonly candidate: Candidate;
  readonly outcome: 'invalid' | 'refused' | 'cancelled';
  readonly reason: Reason;
}

/** The one place where an error before the claim becomes a verdict, or does not. */
export function noOrNotYet(error: unknown, candidate: Candidate): Waiting | Ended {
  if (error instanceof InvalidError) return { kind: 'ended', candidate, outcome: 'invalid', reason: reasonOf(error) };
  if (error instanceof RefusedError) return { kind: 'ended', candidate, outcome: 'refused', reason: reasonOf(error) };
  if (error instanceof TransientError || error instanceof StalledError) {
    return { kind: 'waiting', reason: reasonOf(error) };
  }
  throw error;
}
