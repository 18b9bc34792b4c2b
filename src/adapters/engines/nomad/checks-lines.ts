import type { Check } from '../../../domain/check.ts';
import { type Code, codeOf, EdgeError } from '../../../errors.ts';

export const good = (name: string, message: string): Check => ({ name, ok: true, code: null, message, fix: null });

export const bad = (name: string, code: Code, message: string, fix: string): Check => ({
  name,
  ok: false,
  code,
  message,
  fix,
});

/** What was thrown, as a line. `fix` is for a denial; everything else has its own hint. */
export function failed(name: string, error: unknown, fix?: string): Check {
  if (!(error instanceof EdgeError))
    return bad(name, codeOf(error), 'it went wrong in a way nobody thought of', 'Report it.');
  return bad(name, error.code, error.message, error.code === 'ERR_ENGINE_DENIED' ? (fix ?? error.hint) : error.hint);
}
