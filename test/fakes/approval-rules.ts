import { createRules } from '../../src/approvals/index.ts';
import { type ApprovalTerms, approvalTools } from '../../src/approvals/shared/tools.ts';
import type { ApprovalRule } from '../../src/ports/approval.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type { Forge } from '../../src/ports/forge.ts';
import type { OpsRepo } from '../../src/ports/ops-repo.ts';
import { ManualClock } from './manual-clock.ts';

/** Terms of a configuration that says nothing but the branch; nothing is waited for. */
export const TERMS: ApprovalTerms = { branch: 'main', forgeAdmins: false, graceMs: 0, quietMs: 0, bots: [] };

/** All rules, as a configuration would make them; without a forge those that need none. */
export function allRules(
  opsRepo: OpsRepo,
  given: { readonly forge?: Forge; readonly clock?: Clock; readonly terms?: Partial<ApprovalTerms> } = {},
): ReadonlyMap<string, ApprovalRule> {
  const { forge = null, clock = new ManualClock(), terms } = given;
  return createRules(approvalTools({ opsRepo, forge, clock }, { ...TERMS, ...terms }));
}
