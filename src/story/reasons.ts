import type { Reason } from '../domain/run.ts';
import { CODES, type Code, type EdgeError } from '../errors.ts';

/** A reason with the hint of its code. */
export function reason(code: Code, message: string, by: string | null = null, hint: string = CODES[code].hint): Reason {
  return { code, message, hint, by };
}

/** The reason that an error of ours carries. */
export function reasonOf(error: EdgeError): Reason {
  return reason(error.code, error.message, null, error.hint);
}
