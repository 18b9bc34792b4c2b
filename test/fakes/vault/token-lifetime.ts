import type { Call } from './request.ts';
import type { TokenRole } from './token-role.ts';
import { durationText, seconds } from './values.ts';

interface Lifetime {
  /** In seconds, as all here. */
  readonly ttl: number;
  readonly period: number;
  /** As asked for: what the role caps is only the ttl. */
  readonly explicitMaxTtl: number;
  readonly warnings: readonly string[];
  /** The warning that comes after all others. */
  readonly capped: readonly string[];
}

export const DEFAULT_TTL = 768 * 3600;

/** How long a token lives that is asked for like this. */
export function lifetimeOf(body: Call['body'], role: Pick<TokenRole, 'explicitMaxTtl' | 'period'>): Lifetime {
  const explicitMaxTtl = seconds(body['explicit_max_ttl']);
  const askedPeriod = seconds(body['period']);
  const cap = lesser(explicitMaxTtl, role.explicitMaxTtl);
  const period = lesser(askedPeriod, role.period);
  const wanted = period || seconds(body['ttl']) || DEFAULT_TTL;
  const ttl = lesser(wanted, cap);
  return {
    ttl,
    period,
    explicitMaxTtl,
    warnings: [
      ...twice('Explicit max TTL', explicitMaxTtl, role.explicitMaxTtl),
      ...twice('Period', askedPeriod, role.period),
    ],
    capped: ttl < wanted ? [tooLong(wanted, cap)] : [],
  };
}

/** The lesser of two limits, where 0 is none. */
export const lesser = (a: number, b: number): number => (a === 0 || b === 0 ? a + b : Math.min(a, b));

function twice(what: string, asked: number, byRole: number): string[] {
  if (asked === 0 || byRole === 0) return [];
  const used = Math.min(asked, byRole);
  return [`${what} specified both during creation call and in role; using the lesser value of ${used} seconds`];
}

function tooLong(wanted: number, cap: number): string {
  const [ttl, limit] = [durationText(wanted), durationText(cap)].map((text) => JSON.stringify(text));
  return `TTL of ${ttl} exceeded the effective max_ttl of ${limit}; TTL value is capped accordingly`;
}
