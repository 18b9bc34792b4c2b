import type { Code } from '../errors.ts';
import type { Evidence } from './result.ts';

/** What one rule says of one blob at one path. `people` of the evidence are counted once each, over all rules. */
export type RuleVerdict =
  | {
      readonly kind: 'met';
      readonly evidence: readonly ApprovalEvidence[];
    }
  | { readonly kind: 'waiting' | 'refused'; readonly code: Code; readonly message: string };

export interface ApprovalEvidence extends Evidence {
  /** The approver's entry in policy.toml, by its name; null where the rule asks for no person (`trust-branch`). */
  readonly person: string | null;
  /** Blob of the formula file that stood beside the action in the approved tree; null: the rule binds no formula. */
  readonly formulaBlob: string | null;
}

/** What a tier needs, from `[approval]`. `null` in its place means: nothing configured, waits for ever. */
export interface Requirement {
  readonly all: readonly string[];
  readonly any: readonly string[];
  /** People, not rules. */
  readonly atLeast: number;
  readonly selfApprove: boolean;
}

export type Verdict =
  | { readonly kind: 'allowed'; readonly required: readonly string[]; readonly evidence: readonly ApprovalEvidence[] }
  | { readonly kind: 'waiting' | 'refused'; readonly code: Code; readonly message: string };

/** What a verdict is taken against. */
export interface CombineContext {
  /** Blob of the formula that is in force now; null where the subject binds none (a gated file). */
  readonly formulaInForce: string | null;
}

/**
 * The verdict of a tier from those of its rules. Evidence counts only if the formula that stood beside the action is the
 * one in force; people are counted once each, over all rules. Refused only when no rule can still be met. Pure; more
 * evidence never turns `allowed` into anything else.
 */
export function combine(
  requirement: Requirement | null,
  verdicts: ReadonlyMap<string, RuleVerdict>,
  context: CombineContext,
): Verdict {
  if (requirement === null) return say('waiting', 'ERR_NO_RULE', 'no rule is configured for its tier');
  const judged = new Map<string, RuleVerdict>();
  for (const name of new Set([...requirement.all, ...requirement.any])) judged.set(name, bound(name, verdicts, context));
  const open = unmet(requirement, judged);
  if (open !== null) return open;
  const evidence = [...judged.values()].flatMap((verdict) => (verdict.kind === 'met' ? verdict.evidence : []));
  const people = new Set(evidence.flatMap(({ person }) => person ?? []));
  if (people.size < requirement.atLeast) {
    const names = [...people].join(', ') || 'nobody';
    const message = `approved by ${names}; ${requirement.atLeast} different people are needed`;
    return say('waiting', 'ERR_APPROVAL_WAITING', message);
  }
  return { kind: 'allowed', required: [...judged.keys()], evidence };
}

/** When the approval was complete: the latest of what counted; null: it needed none. */
export function approvedAt(evidence: readonly ApprovalEvidence[]): string | null {
  const times = evidence.filter(({ person }) => person !== null).map(({ at }) => at);
  return times.length === 0 ? null : times.reduce((a, b) => (Date.parse(a) >= Date.parse(b) ? a : b));
}

function say(kind: 'waiting' | 'refused', code: Code, message: string): Verdict {
  return { kind, code, message };
}

/** A rule's verdict with only the evidence that is bound to the formula in force. */
function bound(name: string, verdicts: ReadonlyMap<string, RuleVerdict>, context: CombineContext): RuleVerdict {
  const verdict = verdicts.get(name);
  if (verdict === undefined) {
    return { kind: 'waiting', code: 'ERR_NO_RULE', message: `the rule ${name} is not available in this version` };
  }
  if (verdict.kind !== 'met' || context.formulaInForce === null) return verdict;
  const evidence = verdict.evidence.filter(
    ({ person, formulaBlob }) => person === null || formulaBlob === context.formulaInForce,
  );
  if (evidence.length > 0) return { kind: 'met', evidence };
  const names = verdict.evidence.map(({ by }) => by).join(', ');
  return {
    kind: 'waiting',
    code: 'ERR_FORMULA_CHANGED',
    message: `${names} approved it beside another version of its formula than the one in force`,
  };
}

/** What still stands open of `all` and `any`; null: nothing. */
function unmet(requirement: Requirement, judged: ReadonlyMap<string, RuleVerdict>): Verdict | null {
  for (const name of requirement.all) {
    const verdict = judged.get(name);
    if (verdict !== undefined && verdict.kind !== 'met') return say(verdict.kind, verdict.code, verdict.message);
  }
  const choices = requirement.any.flatMap((name) => judged.get(name) ?? []);
  if (choices.length === 0 || choices.some(({ kind }) => kind === 'met')) return null;
  const told = choices.flatMap((verdict) => (verdict.kind === 'met' ? [] : [verdict]));
  const open = told.find(({ kind }) => kind === 'waiting') ?? told[0];
  if (open === undefined) return null;
  return say(open.kind, open.code, told.map(({ message }) => message).join('; '));
}

