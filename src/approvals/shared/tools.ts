import type { Clock } from '../../ports/clock.ts';
import type { Forge } from '../../ports/forge.ts';
import type { OpsRepo } from '../../ports/ops-repo.ts';
import { type ChangeEvidences, createChangeEvidences } from './change-evidence.ts';

/** What the rules ask their evidence of. */
export interface ApprovalTools {
  readonly opsRepo: OpsRepo;
  readonly clock: Clock;
  readonly terms: ApprovalTerms;
  /** null: nothing on a forge is asked. */
  readonly forge: { readonly url: string; readonly changes: ChangeEvidences } | null;
}

/** `[approval]`, as far as it is about what rules count. */
export interface ApprovalTerms {
  /** The branch of the ops repo. */
  readonly branch: string;
  readonly forgeAdmins: boolean;
  readonly graceMs: number;
  readonly quietMs: number;
  /** Logins that never count as a person. */
  readonly bots: readonly string[];
}

export interface Witnesses {
  readonly opsRepo: OpsRepo;
  readonly forge: Forge | null;
  readonly clock: Clock;
}

/** One set of tools for all rules, so that evidence is read once. */
export function approvalTools({ opsRepo, forge, clock }: Witnesses, terms: ApprovalTerms): ApprovalTools {
  const changes = forge === null ? null : createChangeEvidences({ ...terms, opsRepo, forge, clock });
  return { opsRepo, clock, terms, forge: forge === null || changes === null ? null : { url: forge.url, changes } };
}
