import type { Reason } from '../domain/run.ts';
import type { Code } from '../errors.ts';
import { reason } from './reasons.ts';

/** Still pending, because. Not an error: the next look asks again. */
export interface Waiting {
  readonly kind: 'waiting';
  readonly reason: Reason;
}

export function waiting(code: Code, message: string, hint?: string): Waiting {
  return { kind: 'waiting', reason: reason(code, message, null, hint) };
}

export function isWaiting(value: object): value is Waiting {
  return 'kind' in value && value.kind === 'waiting';
}
