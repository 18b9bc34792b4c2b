import { createRules } from '../approvals/index.ts';
import { createChangeFinder } from '../approvals/shared/change-finder.ts';
import { type ApprovalTerms, approvalTools, type Witnesses } from '../approvals/shared/tools.ts';
import type { Config } from '../config.ts';
import { isOid, type Oid } from '../domain/ids.ts';
import { UsageError } from '../errors.ts';
import type { ApprovalRule } from '../ports/approval.ts';
import type { ChangeFinder } from '../ports/changes.ts';

/** `[approval]` → rules. */
export function rulesOf(config: Config, witnesses: Witnesses): ReadonlyMap<string, ApprovalRule> {
  return createRules(approvalTools(witnesses, termsOf(config)));
}

export function changesOf(config: Config, witnesses: Witnesses): ChangeFinder | null {
  return createChangeFinder(witnesses, termsOf(config));
}

/** Nobody approves with the account that this dispatcher itself works with. */
function termsOf({ approval, ops_repo }: Config): ApprovalTerms {
  return {
    branch: ops_repo.branch,
    forgeAdmins: approval.forge_admins,
    graceMs: approval.grace_minutes * 60_000,
    quietMs: approval.merge_quiet_seconds * 1000,
    bots: [...approval.bots, ops_repo.username],
  };
}

export function trustedCommit(config: Config): Oid | null {
  const { trusted_commit } = config.approval;
  if (trusted_commit === null || trusted_commit === '') return null;
  if (isOid(trusted_commit)) return trusted_commit;
  throw new UsageError('ERR_CONFIG_FIELD', 'approval.trusted_commit must be a whole commit id, 40 or 64 hex digits');
}
