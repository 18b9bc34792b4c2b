import type { Oid } from '../domain/ids.ts';
import type { Policy } from '../domain/policy.ts';
import { combine, type Requirement, type RuleVerdict } from '../domain/verdict.ts';
import type { ApprovalRule, ApprovalSubject } from '../ports/approval.ts';
import type { Edit, GatedPaths, ReadFile, Told } from './gated-files.ts';

/** A version of the policy that took effect with this commit. */
export interface PolicyInForce {
  readonly blob: Oid;
  readonly commit: Oid;
  readonly policy: Policy;
}

/** An edit that leaves a file there. */
export type FileEdit = Edit & { readonly entry: NonNullable<Edit['entry']> };

type Decision<T> = { readonly kind: 'effective'; readonly value: T } | { readonly kind: 'open'; readonly reason: Told };

export interface EditJudge {
  /** Whether this very edit takes effect, judged by the policy before it. Approved once stays approved by that policy. */
  decide<T>(
    edit: FileEdit,
    file: ReadFile<T>,
    before: PolicyInForce | null,
    signal?: AbortSignal,
  ): Promise<Decision<T>>;
}

export interface EditJudgeDeps {
  readonly rules: ReadonlyMap<string, ApprovalRule>;
  /** What the high tier needs. */
  readonly requirement: Requirement | null;
  readonly trustedCommit: Oid | null;
  readonly paths: GatedPaths;
}

export function createEditJudge(deps: EditJudgeDeps): EditJudge {
  const approved = new Set<string>();
  return {
    async decide(edit, file, before, signal) {
      // Approved or not, what can't be read takes no effect.
      if (!file.ok) return { kind: 'open', reason: file.problem };
      const key = `${edit.commit} ${before?.commit ?? 'nobody'} ${edit.path}`;
      if (!approved.has(key)) {
        const refusal = await refusalOf(edit, before, deps, signal);
        if (refusal !== null) return { kind: 'open', reason: refusal };
        approved.add(key);
      }
      return { kind: 'effective', value: file.value };
    },
  };
}

/** null: exactly this edit is approved. */
async function refusalOf(
  edit: FileEdit,
  before: PolicyInForce | null,
  deps: EditJudgeDeps,
  signal: AbortSignal | undefined,
): Promise<Told | null> {
  const { path, entry, commit } = edit;
  const subject: ApprovalSubject = {
    path,
    blob: entry.oid,
    // From here the newest first-parent commit that changed the path is the one that made the edit.
    tip: commit,
    formulaPath: null,
    approvers: before?.policy.approvers ?? [],
    selfApprove: deps.requirement?.selfApprove ?? false,
  };
  const verdict = combine(deps.requirement, await askRules(subject, deps, signal), { formulaInForce: null });
  if (verdict.kind === 'allowed') return null;
  const message = `${path} of commit ${commit.slice(0, 12)} is not approved: ${verdict.message}`;
  if (path !== deps.paths.policyFile) return { code: 'ERR_FORMULA_UNAPPROVED', message };
  return { code: verdict.kind === 'waiting' ? verdict.code : 'ERR_APPROVAL_WAITING', message };
}

async function askRules(
  subject: ApprovalSubject,
  { rules, requirement, trustedCommit }: EditJudgeDeps,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, RuleVerdict>> {
  const verdicts = new Map<string, RuleVerdict>();
  for (const name of new Set([...(requirement?.all ?? []), ...(requirement?.any ?? [])])) {
    const rule = rules.get(name);
    if (rule === undefined) continue;
    const isUntrusted = trustedCommit === null && rule.countsPeople;
    verdicts.set(name, isUntrusted ? UNTRUSTED : await rule.evaluate(subject, signal));
  }
  return verdicts;
}

/** Without a trusted commit nobody has said who may approve, so that no person's approval can count. */
const UNTRUSTED: RuleVerdict = {
  kind: 'waiting',
  code: 'ERR_APPROVAL_WAITING',
  message: 'there is no trusted_commit whose approvers could judge it (`init --trust` names one)',
};
