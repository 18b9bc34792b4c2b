import type { ApprovalRule } from '../ports/approval.ts';
import { forgeMerge } from './forge-merge.ts';
import { forgeReview } from './forge-review.ts';
import type { ApprovalTools } from './shared/tools.ts';
import { signedCommit } from './signed-commit.ts';
import { signedTag } from './signed-tag.ts';
import { trustBranch } from './trust-branch.ts';

export interface ApprovalFactory {
  /** null: what it would have to ask is not configured. */
  create(tools: ApprovalTools): ApprovalRule | null;
}

/** Name in `[approval]` → what makes the rule. */
export const approvals = {
  'trust-branch': trustBranch,
  'forge-review': forgeReview,
  'forge-merge': forgeMerge,
  'signed-commit': signedCommit,
  'signed-tag': signedTag,
} as const satisfies Record<string, ApprovalFactory>;

/** All names that a configuration may use; a tier that names one without a line above waits, and says so. */
export const RULE_NAMES = ['trust-branch', 'forge-review', 'forge-merge', 'signed-commit', 'signed-tag'] as const;

/** All rules that can be asked, by name. */
export function createRules(tools: ApprovalTools): ReadonlyMap<string, ApprovalRule> {
  const rules = Object.entries(approvals).map(([name, factory]) => [name, factory.create(tools)] as const);
  return new Map(rules.flatMap(([name, rule]) => (rule === null ? [] : [[name, rule] as const])));
}
