import { commitDecided, decisionLine } from '../domain/decision.ts';
import type { Oid } from '../domain/ids.ts';
import type { Policy } from '../domain/policy.ts';
import { combine, type Requirement, type RuleVerdict, type Verdict } from '../domain/verdict.ts';
import { EdgeError } from '../errors.ts';
import type { ApprovalRule, ApprovalSubject } from '../ports/approval.ts';
import type { Decisions } from '../ports/decisions.ts';
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
  /**
   * Whether this very edit takes effect, judged by the policy before it. Approved once stays approved by that policy, also
   * after a restart. Not at the same time. Errors: those of rules and decisions.
   */
  decide<T>(edit: FileEdit, file: ReadFile<T>, before: PolicyInForce | null, asked: EditAsked): Promise<Decision<T>>;
  /** Whether this edit was approved by that policy before, now or in an earlier process; nothing is asked. */
  wasApproved(edit: FileEdit, before: PolicyInForce | null): Promise<boolean>;
  /** Forgets, once there are many of them, decisions about commits that are not of this line. Errors: those of decisions. */
  tidy(line: readonly (readonly Edit[])[]): Promise<void>;
}

export interface EditJudgeDeps {
  readonly rules: ReadonlyMap<string, ApprovalRule>;
  /** What the high tier needs. */
  readonly requirement: Requirement | null;
  readonly trustedCommit: Oid | null;
  readonly paths: GatedPaths;
  /** Absent: what was decided is forgotten with this process. */
  readonly decisions?: Decisions;
}

/** More decisions than this are tidied up: about a megabyte. Fewer do no harm, and a line may come back. */
const MANY = 5_000;

export function createEditJudge(deps: EditJudgeDeps): EditJudge {
  const { decisions } = deps;
  /** What people approved: kept, because what they did can be undone. */
  let kept: Set<string> | null = null;
  let many = MANY;
  /** What needed nobody: asked again after a restart, maybe of rules that need somebody. */
  const approved = new Set<string>();
  /** What was last said of an edit that was not approved: an outage of the forge changes nothing about it. */
  const open = new Map<string, Told>();

  async function load(): Promise<Set<string>> {
    kept ??= new Set(await decisions?.load());
    return kept;
  }

  async function take(line: string, byPeople: boolean): Promise<void> {
    open.delete(line);
    if (byPeople) await decisions?.keep(line);
    (byPeople ? await load() : approved).add(line);
  }

  async function wasApproved(edit: FileEdit, before: PolicyInForce | null): Promise<boolean> {
    const line = lineOf(edit, before, deps);
    return (await load()).has(line) || approved.has(line);
  }

  return {
    wasApproved,
    async decide(edit, file, before, asked) {
      // Approved or not, what can't be read takes no effect.
      if (!file.ok) return { kind: 'open', reason: file.problem };
      const line = lineOf(edit, before, deps);
      if (await wasApproved(edit, before)) return { kind: 'effective', value: file.value };
      const verdict = await orOutage(verdictOf(edit, before, deps, asked));
      if (verdict instanceof EdgeError) {
        const known = open.get(line);
        if (known !== undefined) return { kind: 'open', reason: known };
        const message = `whether ${nameOf(edit)} is approved can't be told: ${verdict.message}`;
        return { kind: 'unknown', reason: { code: verdict.code, message } };
      }
      if (verdict.kind !== 'allowed') {
        const reason = refusalOf(edit, verdict, deps);
        open.set(line, reason);
        return { kind: 'open', reason };
      }
      const byPeople = verdict.evidence.some(({ person }) => person !== null);
      await take(line, byPeople);
      return { kind: 'effective', value: file.value };
    },
    async tidy(line) {
      if (kept === null || kept.size < many) return;
      const commits = new Set<string | null>(line.flat().map(({ commit }) => commit));
      const left = new Set([...kept].filter((each) => commits.has(commitDecided(each))));
      await decisions?.retain(left);
      kept = left;
      many = Math.max(MANY, 2 * left.size);
    },
  };
}

/** Without a policy before it those of the trusted commit judge it: nobody, or the administrators of the forge. */
function lineOf({ commit, path, entry }: FileEdit, before: PolicyInForce | null, deps: EditJudgeDeps): string {
  const judge = before ?? { commit: deps.trustedCommit, blob: null };
  return decisionLine({ edit: { commit, path, blob: entry.oid }, judge });
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

/** Of exactly this edit. */
async function verdictOf(
  edit: FileEdit,
  before: PolicyInForce | null,
  deps: EditJudgeDeps,
  asked: EditAsked,
): Promise<Verdict> {
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
  return combine(deps.requirement, verdicts, { formulaInForce: null });
}

function refusalOf(edit: FileEdit, verdict: Exclude<Verdict, { kind: 'allowed' }>, { paths }: EditJudgeDeps): Told {
  const message = `${nameOf(edit)} is not approved: ${verdict.message}`;
  if (paths.projectFiles.includes(edit.path)) return { code: 'ERR_PROJECT_UNAPPROVED', message };
  if (edit.path !== paths.policyFile) return { code: 'ERR_FORMULA_UNAPPROVED', message };
  return { code: verdict.kind === 'waiting' ? verdict.code : 'ERR_NEEDS_APPROVAL', message };
}

function nameOf({ path, commit }: FileEdit): string {
  return `${path} of commit ${commit.slice(0, 12)}`;
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
