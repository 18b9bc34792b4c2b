import type { Headers } from 'node-fetch';

/** What an answer says of how much more may be asked. */
export interface Limited {
  readonly status: number;
  readonly headers: Pick<Headers, 'get'>;
  readonly text: string;
  /** Milliseconds since 1970, by our own clock. */
  readonly now: number;
}

const LONGEST_MS = 3_600_000;
/** What GitHub asks of whoever met its secondary limit and got no time named. */
const UNTOLD_MS = 60_000;
/** Seconds since 1970 are beyond this, seconds from now are not. */
const FIRST_EPOCH = 1_000_000_000;
/** Refusals that may be for now only. */
const SPEAKING: readonly number[] = [403, 429, 503];
const SECONDARY = /secondary rate limit|abuse detection|rate limit exceeded/i;

/**
 * For how many milliseconds nothing more may be asked; undefined: the answer does not say so. At most an hour, so that a
 * broken header stops nothing for ever. Times are taken by the server's own clock where it tells it.
 */
export function waitOf({ status, headers, text, now }: Limited): number | undefined {
  const isGood = status >= 200 && status < 300;
  if (!isGood && !SPEAKING.includes(status)) return undefined;
  const theirs = Date.parse(headers.get('date') ?? '');
  const since = Number.isNaN(theirs) ? now : theirs;
  const told = isGood ? undefined : retryAfter(headers.get('retry-after'), since);
  const ms = told ?? resetOf(headers, since) ?? untold(status, headers, text);
  return ms === undefined ? undefined : Math.min(Math.max(ms, 0), LONGEST_MS);
}

function retryAfter(value: string | null, since: number): number | undefined {
  if (value === null) return undefined;
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : at - since;
}

function isUsedUp(headers: Pick<Headers, 'get'>): boolean {
  const left = headers.get('x-ratelimit-remaining') ?? headers.get('ratelimit-remaining');
  return left !== null && /^0+$/.test(left.trim());
}

function resetOf(headers: Pick<Headers, 'get'>, since: number): number | undefined {
  if (!isUsedUp(headers)) return undefined;
  const value = headers.get('x-ratelimit-reset') ?? headers.get('ratelimit-reset');
  if (value === null || !/^\d{1,12}$/.test(value.trim())) return undefined;
  const seconds = Number(value);
  return seconds < FIRST_EPOCH ? seconds * 1000 : seconds * 1000 - since;
}

function untold(status: number, headers: Pick<Headers, 'get'>, text: string): number | undefined {
  if (status === 403) return isUsedUp(headers) || SECONDARY.test(text) ? UNTOLD_MS : undefined;
  return status === 429 ? UNTOLD_MS : undefined;
}
