import type { Check } from '../../../domain/check.ts';
import { type Code, EdgeError } from '../../../errors.ts';

interface CheckLines {
  readonly good: (name: string, message: string) => Check;
  readonly bad: (name: string, message: string, fix: string, code?: Code) => Check;
  /** What the check says, or the line of what it throws. Throws nothing but the reason of an aborted signal, and bugs. */
  readonly guarded: (name: string, signal: AbortSignal | undefined, check: () => Promise<Check>) => Promise<Check>;
}

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** Makes lines named `forge.<kind>.<name>`. */
export function checkLines(kind: string): CheckLines {
  const bad: CheckLines['bad'] = (name, message, fix, code = 'ERR_FORGE_DENIED') => ({
    name: `forge.${kind}.${name}`,
    ok: false,
    code,
    message,
    fix,
  });
  return {
    good: (name, message) => ({ name: `forge.${kind}.${name}`, ok: true, code: null, message, fix: null }),
    bad,
    guarded: async (name, signal, check) => {
      try {
        return await check();
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof EdgeError)) throw error;
        return bad(name, error.message, error.hint, error.code);
      }
    },
  };
}

/** No failure without TLS: the way may be made safe by others (a mesh, a tunnel). */
export function transportCheck(kind: string, url: string): Check {
  const { good } = checkLines(kind);
  const { protocol, hostname } = new URL(url);
  if (protocol === 'https:') return good('transport', 'TLS');
  if (LOOPBACK.test(hostname)) return good('transport', 'http on this machine');
  return good('transport', `http to ${hostname}: tokens travel readable; use https`);
}
