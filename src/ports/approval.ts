import type { Oid } from '../domain/ids.ts';
import type { Approver } from '../domain/policy.ts';
import type { RuleVerdict } from '../domain/verdict.ts';

/** Exactly these bytes at exactly this path: what an approval is of. */
export interface ApprovalSubject {
  readonly path: string;
  readonly blob: Oid;
  /** Where the first-parent walk for the commit that set the blob starts. */
  readonly tip: Oid;
  /** The newest first-parent commit of `tip` that changed the path, where the caller knows it already. */
  readonly setBy?: { readonly commit: Oid; readonly committedAt: string };
  /** Tip of the branch, where that is another commit: a change may be mapped to a commit that stands on `tip`. */
  readonly branchTip?: Oid;
  /** Asked for the claim: nothing that people could have changed since is remembered. Absent: it may be. */
  readonly fresh?: boolean;
  /** Path of the formula file whose blob at the approved tree is noted in the evidence; null: binds none. */
  readonly formulaPath: string | null;
  /** Approvers in force for this subject. */
  readonly approvers: readonly Approver[];
  /** The author of the change counts as an approver too. */
  readonly selfApprove: boolean;
}

/**
 * One way of proving an approval. Safe to repeat; answers may be cached by (path, blob, tip, approvers).
 * Errors: TransientError while its evidence can't be read, which is never a verdict.
 */
export interface ApprovalRule {
  readonly name: string;
  /** False: it proves trust in a place, not in a person (`trust-branch`); such evidence binds no formula. */
  readonly countsPeople: boolean;
  evaluate(subject: ApprovalSubject, signal?: AbortSignal): Promise<RuleVerdict>;
}
