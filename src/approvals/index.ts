import type { ApprovalRule } from '../ports/approval.ts';
import type { OpsRepo } from '../ports/ops-repo.ts';
import { signedCommit } from './signed-commit.ts';
import { trustBranch } from './trust-branch.ts';

/** What the rules of this version ask their evidence of. */
interface ApprovalTools {
  readonly opsRepo: OpsRepo;
}

export interface ApprovalFactory {
  create(tools: ApprovalTools): ApprovalRule;
}

/** Name in `[approval]` → what makes the rule. */
export const approvals = {
  'trust-branch': trustBranch,
  'signed-commit': signedCommit,
} as const satisfies Record<string, ApprovalFactory>;

/** All names that a configuration may use; a tier that names one without a line above waits, and says so. */
export const RULE_NAMES = ['trust-branch', 'forge-review', 'forge-merge', 'signed-commit', 'signed-tag'] as const;
