import type { Oid } from '../domain/ids.ts';
import type { Policy } from '../domain/policy.ts';
import { combine, type Requirement, type RuleVerdict } from '../domain/verdict.ts';
import { EdgeError } from '../errors.ts';
import type { ApprovalRule, ApprovalSubject } from '../ports/approval.ts';
import { askRules } from './ask-rules.ts';
import type { Edit, GatedPaths, ReadFile, Told } from './gated-files.ts';

/** A version of the policy that took effect with this commit. */
export interface PolicyInForce {
  readonly blob: Oid;
  readonly commit: Oid;
  readonly policy: Policy;
}

/** An edit that leaves a file there. */
export type FileEdit = Edit & { readonly entry: NonNullable<Edit['entry']> };

type Decision<T> =
  | { readonly kind: 'effective'; readonly value: T }
  /** Not approved, as far as was ever seen. */
  | { readonly kind: 'open'; readonly reason: Told }
  /** Never decided, because the forge is away: it may be in force or not. */
  | { readonly kind: 'unknown'; readonly reason: Told };

export interface EditAsked {
  /** Tip of the branch at this look. */
  readonly branchTip: Oid;
  readonly signal?: AbortSignal | undefined;
}

export interface EditJudge {
  /** Whether this very edit takes effect, judged by the policy before it. Approved once stays approved by that policy. */
  decide<T>(edit: FileEdit, file: ReadFile<T>, before: PolicyInForce | null, asked: EditAsked): Promise<Decision<T>>;
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
  /** What was last said of an edit that was not approved: an outage of the forge changes nothing about it. */
  const open = new Map<string, Told>();
  return {
    async decide(edit, file, before, asked) {
      // Approved or not, what can't be read takes no effect.
      if (!file.ok) return { kind: 'open', reason: file.problem };
      const key = `${edit.commit} ${before?.commit ?? 'nobody'} ${edit.path}`;
      if (!approved.has(key)) {
        const refusal = await orOutage(refusalOf(edit, before, deps, asked));
        if (refusal instanceof EdgeError) {
          const known = open.get(key);
          if (known !== undefined) return { kind: 'open', reason: known };
          return { kind: 'unknown', reason: { code: refusal.code, message: refusal.message } };
        }
        if (refusal !== null) {
          open.set(key, refusal);
          return { kind: 'open', reason: refusal };
        }
        open.delete(key);
        approved.add(key);
      }
      return { kind: 'effective', value: file.value };
    },
  };
}

/** Of the forge only: without git nothing can be looked at anyway. */
async function orOutage<T>(answer: Promise<T>): Promise<T | EdgeError> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof EdgeError && error.code.startsWith('ERR_FORGE_')) return error;
    throw error;
  }
}

/** null: exactly this edit is approved. */
async function refusalOf(
  edit: FileEdit,
  before: PolicyInForce | null,
  deps: EditJudgeDeps,
  asked: EditAsked,
): Promise<Told | null> {
  const { path, entry, commit } = edit;
  const subject: ApprovalSubject = {
    path,
    blob: entry.oid,
    // From here the newest first-parent commit that changed the path is the one that made the edit.
    tip: commit,
    branchTip: asked.branchTip,
    formulaPath: null,
    approvers: before?.policy.approvers ?? [],
    selfApprove: deps.requirement?.selfApprove ?? false,
  };
  const verdicts = await askRules(deps.requirement, rulesThatCount(deps), subject, asked.signal);
  const verdict = combine(deps.requirement, verdicts, { formulaInForce: null });
  if (verdict.kind === 'allowed') return null;
  const message = `${path} of commit ${commit.slice(0, 12)} is not approved: ${verdict.message}`;
  if (path !== deps.paths.policyFile) return { code: 'ERR_FORMULA_UNAPPROVED', message };
  return { code: verdict.kind === 'waiting' ? verdict.code : 'ERR_NEEDS_APPROVAL', message };
}

/** Without a trusted commit there is nobody whose approval could count: what asks for no person is asked all the same. */
function rulesThatCount({ rules, trustedCommit }: EditJudgeDeps): ReadonlyMap<string, ApprovalRule> {
  if (trustedCommit !== null) return rules;
  const untrusted = (rule: ApprovalRule): ApprovalRule =>
    rule.countsPeople ? { ...rule, evaluate: () => Promise.resolve(UNTRUSTED) } : rule;
  return new Map([...rules].map(([name, rule]) => [name, untrusted(rule)]));
}

/** Without a trusted commit nobody has said who may approve, so that no person's approval can count. */
const UNTRUSTED: RuleVerdict = {
  kind: 'waiting',
  code: 'ERR_NEEDS_APPROVAL',
  message: 'there is no trusted_commit whose approvers could judge it (`init --trust` names one)',
};
