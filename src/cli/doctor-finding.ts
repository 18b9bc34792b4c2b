import { verdictOf } from '../daemon/checks.ts';
import type { Check } from '../domain/check.ts';
import type { Code, EdgeError } from '../errors.ts';

/** A check, and how much it counts. */
export interface Finding {
  readonly check: Check;
  readonly verdict: ReturnType<typeof verdictOf>;
}

/** What is good and begins so is told as a warning. */
export const WARNING = 'WARNING: ';

export function finding(check: Check): Finding {
  return { check, verdict: check.ok && check.message.startsWith(WARNING) ? 'warning' : verdictOf(check) };
}

export const good = (name: string, message: string): Finding =>
  finding({ name, ok: true, code: null, message, fix: null });
export const bad = (name: string, code: Code, message: string, fix: string): Finding =>
  finding({ name, ok: false, code, message, fix });
/** Told, and no reason to exit with anything but 0. */
export const warning = (name: string, code: Code | null, message: string, fix: string): Finding => ({
  check: { name, ok: false, code, message, fix },
  verdict: 'warning',
});
export const failed = (name: string, error: EdgeError): Finding => bad(name, error.code, error.message, error.hint);
