import { z } from 'zod';
import { isOid } from './ids.ts';
import type { Tier } from './tier.ts';
import type { Requirement } from './verdict.ts';

/** `[approval]`: what each tier needs, as a `Requirement` (absent for medium and high: waits for ever). */
export function approvalSection(rules: readonly string[]) {
  return z.strictObject({
    low: tierSchema('low', rules).prefault([]),
    medium: tierSchema('medium', rules).optional(),
    high: tierSchema('high', rules).optional(),
    trusted_commit: z
      .string()
      .refine((text) => text === '' || isOid(text), 'must be a full commit id (40 or 64 hex digits), or empty')
      .transform((text) => (isOid(text) ? text : null))
      .prefault(''),
    merge_quiet_seconds: z.number().min(0).max(3600).default(60),
    grace_minutes: z.number().min(0).max(1440).default(10),
    forge_admins: z.boolean().default(false),
    bots: z.array(z.string().min(1)).default([]),
  });
}

interface Composed {
  readonly all: readonly string[];
  readonly any: readonly string[];
  readonly at_least: number;
  readonly self_approve: boolean;
}

function tierSchema(tier: Tier, rules: readonly string[]) {
  const names = z.array(z.enum(rules));
  const composed = z.strictObject({
    all: names.default([]),
    any: names.default([]),
    at_least: z.int().min(0).max(20).default(0),
    self_approve: z.boolean().default(false),
  });
  return z
    .union([names, composed])
    .superRefine((value, context) => {
      const message = isList(value) ? rulesProblem(tier, value) : composedProblem(tier, value);
      if (message !== null) context.addIssue({ code: 'custom', message });
    })
    .transform(toRequirement);
}

/** Rules whose evidence names no person, so that they can't add to `at_least`. */
const COUNTS_NOBODY: readonly string[] = ['trust-branch'];

function composedProblem(tier: Tier, { all, any, at_least }: Composed): string | null {
  const named = [...all, ...any];
  if (named.length === 0) return 'must name a rule in all or any; for nobody write []';
  if (at_least > 0 && named.every((rule) => COUNTS_NOBODY.includes(rule))) {
    return 'can never be met: at_least counts people, and none of its rules proves a person';
  }
  return rulesProblem(tier, named);
}

function rulesProblem(tier: Tier, named: readonly string[]): string | null {
  if (new Set(named).size < named.length) return 'must name each rule once';
  if (tier === 'high' && named.length === 1 && named[0] === 'forge-merge') {
    return 'must not rest on forge-merge alone: add another rule';
  }
  return null;
}

/** A list means all of the list; an empty one means nobody. */
function toRequirement(value: readonly string[] | Composed): Requirement {
  if (isList(value)) return { all: value, any: [], atLeast: 0, selfApprove: false };
  return { all: value.all, any: value.any, atLeast: value.at_least, selfApprove: value.self_approve };
}

const isList = (value: readonly string[] | Composed): value is readonly string[] => Array.isArray(value);
