import type { Requirement, RuleVerdict } from '../domain/verdict.ts';
import type { ApprovalRule, ApprovalSubject } from '../ports/approval.ts';

/** The rules that a tier names, each once, in their order. */
export function ruleNames(requirement: Requirement | null): readonly string[] {
  return requirement === null ? [] : [...new Set([...requirement.all, ...requirement.any])];
}

/**
 * What each rule of the requirement says of the subject. Rules that are not there stay without a verdict, and a tier
 * that needs one waits. Errors: TransientError, StalledError while evidence can't be read, which is never a verdict.
 */
export async function askRules(
  requirement: Requirement | null,
  rules: ReadonlyMap<string, ApprovalRule>,
  subject: ApprovalSubject,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, RuleVerdict>> {
  const verdicts = new Map<string, RuleVerdict>();
  for (const name of ruleNames(requirement)) {
    const rule = rules.get(name);
    if (rule !== undefined) verdicts.set(name, await rule.evaluate(subject, signal));
  }
  return verdicts;
}
