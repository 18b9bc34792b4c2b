import type { Formula } from '../domain/formula.ts';
import type { Oid } from '../domain/ids.ts';
import type { Approver, Policy } from '../domain/policy.ts';
import { combine, type Requirement, type RuleVerdict } from '../domain/verdict.ts';
import { InvalidError } from '../errors.ts';
import type { ApprovalRule } from '../ports/approval.ts';
import type { OpsRepo, TreeEntry } from '../ports/ops-repo.ts';
import {
  createGatedFiles,
  type Edit,
  editsOf,
  formulaNameOf,
  type GatedFiles,
  type GatedPaths,
  isGated,
  type ReadFile,
  type Told,
} from './gated-files.ts';

/*
 * Which policy and which formulas count.
 *
 * Policy and formula files are gated themselves. Walking the first-parent line from the trusted commit, whose files are in
 * force, each change of such a file takes effect when that change itself is approved at the high tier by the approvers of
 * the policy before it:
 *
 *   approved            in force from that commit on
 *   not approved (yet)  changes nothing, is told as pending; asked again at every look
 *   cannot be read      changes nothing, whoever approves it: the version before stays in force
 *   deletion            takes effect at once: a deleted formula runs nothing, a deleted policy makes everything wait
 *
 * All edits of one commit are judged by the policy before that commit. After a deletion the approvers of the policy that
 * was deleted judge what comes next: they are those of the version before it.
 */

/** Policy and formulas that count at a tip; whatever else lies in the tree changes nothing. */
export interface InForce {
  readonly policy: PolicyInForce | null;
  /** Why there is no policy; null: there is one. */
  readonly policyProblem: Told | null;
  /** By name. `formula` is null only where the trusted commit itself holds a file that can't be read. */
  readonly formulas: ReadonlyMap<string, FormulaInForce>;
  /** Files whose newest version is not in force, with the commit that made it and why: to be reported. */
  readonly pending: readonly PendingEdit[];
}

export interface PolicyInForce {
  readonly blob: Oid;
  readonly commit: Oid;
  readonly policy: Policy;
}

export interface FormulaInForce {
  readonly blob: Oid;
  readonly commit: Oid;
  readonly path: string;
  readonly formula: Formula | null;
  readonly problem: Told | null;
}

export interface PendingEdit {
  readonly path: string;
  readonly blob: Oid;
  readonly commit: Oid;
  readonly reason: Told;
}

export interface InForceWalk {
  /**
   * What is in force at a tip. Safe to repeat, also at the same time: the very same object while nothing changes. A new
   * tip costs its new commits, and what is not approved yet is asked again. Errors: those of the ops repo and of the
   * rules (TransientError while evidence can't be read: then nobody knows what is in force).
   */
  at(tip: Oid, signal?: AbortSignal): Promise<InForce>;
}

export interface InForceDeps {
  readonly opsRepo: OpsRepo;
  readonly rules: ReadonlyMap<string, ApprovalRule>;
  /** What the high tier needs; null: nothing is configured, so that no change takes effect. */
  readonly requirement: Requirement | null;
  /** Its policy and formulas are in force to begin with; null: the walk starts at an empty tree. */
  readonly trustedCommit: Oid | null;
  readonly paths: GatedPaths;
}

export function createInForce(deps: InForceDeps): InForceWalk {
  return new Walk(deps);
}

/** A version whose approval has been found, or what is in the trusted commit. */
interface Start {
  readonly policy: TreeEntry | null;
  readonly formulas: ReadonlyMap<string, TreeEntry>;
}

/** The edits of one commit. */
interface Link {
  readonly edits: readonly Edit[];
}

/** Judges whatever was edited after the `since`-th link of the line. */
interface Judge {
  readonly since: number;
  readonly version: PolicyInForce | null;
}

type Decision<T> = { readonly kind: 'effective'; readonly value: T } | { readonly kind: 'open'; readonly reason: Told };

const NOTHING: Start = { policy: null, formulas: new Map() };

class Walk implements InForceWalk {
  readonly #deps: InForceDeps;
  readonly #files: GatedFiles;
  /** Commits since the trusted one that edited a gated file, oldest first, up to `#seen`. */
  #line: readonly Link[] = [];
  #start: Start = NOTHING;
  #seen: Oid | null = null;
  /** Edits that were found approved, each with the policy that judged it. */
  readonly #approved = new Set<string>();
  #last: { readonly text: string; readonly inForce: InForce } | null = null;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(deps: InForceDeps) {
    this.#deps = deps;
    this.#files = createGatedFiles(deps.opsRepo);
  }

  at(tip: Oid, signal?: AbortSignal): Promise<InForce> {
    const answer = this.#turn.then(() => this.#look(tip, signal));
    this.#turn = answer.catch(() => undefined);
    return answer;
  }

  async #look(tip: Oid, signal: AbortSignal | undefined): Promise<InForce> {
    signal?.throwIfAborted();
    if (!(await this.#extend(tip))) return this.#keep(this.#untrusted());
    const policy = await this.#walkPolicy(signal);
    const formulas = new Map<string, FormulaInForce>();
    const pending = [...policy.pending];
    for (const path of this.#formulaPaths()) {
      const found = await this.#walkFormula(path, policy.judges, signal);
      if (found.inForce !== null) formulas.set(formulaNameOf(path), found.inForce);
      if (found.pending !== null) pending.push(found.pending);
    }
    return this.#keep({ policy: policy.current, policyProblem: policy.problem, formulas, pending });
  }

  /** The same object as long as it says the same. */
  #keep(inForce: InForce): InForce {
    const { policy, policyProblem, formulas, pending } = inForce;
    const files = [...formulas.values()].map(({ path, commit, problem }) => [path, commit, problem]);
    const text = JSON.stringify([policy?.commit, policyProblem, files, pending]);
    if (this.#last?.text !== text) this.#last = { text, inForce };
    return this.#last.inForce;
  }

  #untrusted(): InForce {
    const short = this.#deps.trustedCommit?.slice(0, 12) ?? '';
    const message = `trusted_commit ${short} is not on the first-parent line of the branch, so nothing is in force`;
    return { policy: null, policyProblem: { code: 'ERR_POLICY_MISSING', message }, formulas: new Map(), pending: [] };
  }

  // The line

  /** Reads what is new of the line, or all of it when the branch was rewritten. False: it has not got the trusted commit. */
  async #extend(tip: Oid): Promise<boolean> {
    if (this.#seen === tip) return true;
    const { opsRepo, trustedCommit, paths } = this.#deps;
    const { formulasDir, policyFile } = paths;
    const isOn = (base: Oid) => isOnFirstParentLine(opsRepo, base, tip);
    const goesOn = this.#seen !== null && (await isOn(this.#seen));
    if (!goesOn && trustedCommit !== null && !(await isOn(trustedCommit))) return false;
    const start = goesOn ? this.#start : await this.#startAt(trustedCommit);
    const from = goesOn ? this.#seen : trustedCommit;
    const changes = await opsRepo.firstParentChanges(from, tip, [policyFile, formulasDir]);
    const links = changes.map((change) => ({ edits: editsOf(change, paths) })).filter(({ edits }) => edits.length > 0);
    this.#line = [...(goesOn ? this.#line : []), ...links];
    this.#start = start;
    this.#seen = tip;
    return true;
  }

  async #startAt(commit: Oid | null): Promise<Start> {
    const { opsRepo, paths } = this.#deps;
    if (commit === null) return NOTHING;
    const entries = await opsRepo.list(commit, [paths.policyFile, paths.formulasDir]);
    const gated = new Map(entries.filter(({ path }) => isGated(path, paths)).map((entry) => [entry.path, entry]));
    const policy = gated.get(paths.policyFile) ?? null;
    gated.delete(paths.policyFile);
    return { policy, formulas: gated };
  }

  #formulaPaths(): readonly string[] {
    const edited = this.#line.flatMap(({ edits }) => edits.map(({ path }) => path));
    const all = new Set([...this.#start.formulas.keys(), ...edited]);
    all.delete(this.#deps.paths.policyFile);
    return [...all].toSorted();
  }

  // The policy: forwards, because each version judges the next

  async #walkPolicy(signal: AbortSignal | undefined) {
    const { paths, trustedCommit } = this.#deps;
    const trusted = this.#start.policy;
    const first = trusted === null ? null : await this.#files.policy(trusted);
    const judges: Judge[] = [];
    let current: PolicyInForce | null = null;
    let open: PendingEdit | null = null;
    if (trusted !== null && first !== null && trustedCommit !== null) {
      if (first.ok) current = { blob: trusted.oid, commit: trustedCommit, policy: first.value };
      else open = pendingOf(trusted, trustedCommit, first.problem);
      judges.push({ since: -1, version: current });
    }
    for (const [index, { edits }] of this.#line.entries()) {
      const edit = edits.find(({ path }) => path === paths.policyFile);
      if (edit === undefined) continue;
      const { entry, commit } = edit;
      open = null;
      if (entry === null) {
        current = null;
        continue;
      }
      const judge = judgeBefore(judges, index);
      const decision = await this.#decide(edit, judge, await this.#files.policy(entry), signal);
      if (decision.kind === 'effective') {
        current = { blob: entry.oid, commit, policy: decision.value };
        judges.push({ since: index, version: current });
      } else if (current?.blob !== entry.oid) open = pendingOf(entry, commit, decision.reason);
    }
    return { current, judges, pending: open === null ? [] : [open], problem: policyProblem(current, open) };
  }

  // Formulas: backwards, because only the newest version that counts is of interest

  async #walkFormula(path: string, judges: readonly Judge[], signal: AbortSignal | undefined) {
    let newest: PendingEdit | null = null;
    for (let index = this.#line.length - 1; index >= 0; index -= 1) {
      const edit = this.#line[index]?.edits.find((each) => each.path === path);
      if (edit === undefined) continue;
      const { entry, commit } = edit;
      if (entry === null) return { inForce: null, pending: newest };
      const decision = await this.#decide(edit, judgeBefore(judges, index), await this.#files.formula(entry), signal);
      if (decision.kind === 'effective') {
        const inForce = { blob: entry.oid, commit, path, formula: decision.value, problem: null };
        return { inForce, pending: unlessSame(newest, inForce) };
      }
      newest ??= pendingOf(entry, commit, decision.reason);
    }
    const inForce = await this.#trustedFormula(path);
    if (inForce?.problem != null) newest ??= { path, blob: inForce.blob, commit: inForce.commit, reason: inForce.problem };
    return { inForce, pending: unlessSame(newest, inForce) };
  }

  async #trustedFormula(path: string): Promise<FormulaInForce | null> {
    const entry = this.#start.formulas.get(path);
    const commit = this.#deps.trustedCommit;
    if (entry === undefined || commit === null) return null;
    const file = await this.#files.formula(entry);
    const read = file.ok ? { formula: file.value, problem: null } : { formula: null, problem: file.problem };
    return { blob: entry.oid, commit, path, ...read };
  }

  // One edit

  async #decide<T>(
    edit: Edit,
    judge: PolicyInForce | null,
    file: ReadFile<T>,
    signal: AbortSignal | undefined,
  ): Promise<Decision<T>> {
    const { commit, path, entry } = edit;
    if (!file.ok) return { kind: 'open', reason: file.problem };
    const key = `${commit} ${judge?.commit ?? 'nobody'} ${path}`;
    if (entry !== null && !this.#approved.has(key)) {
      const refusal = await this.#refusal(edit, entry.oid, judge?.policy.approvers ?? [], signal);
      if (refusal !== null) return { kind: 'open', reason: refusal };
      this.#approved.add(key);
    }
    return { kind: 'effective', value: file.value };
  }

  /** null: exactly this edit is approved. */
  async #refusal(
    { path, commit }: Edit,
    blob: Oid,
    approvers: readonly Approver[],
    signal: AbortSignal | undefined,
  ): Promise<Told | null> {
    const { requirement, rules, trustedCommit, paths } = this.#deps;
    const selfApprove = requirement?.selfApprove ?? false;
    const subject = { path, blob, tip: commit, formulaPath: null, approvers, selfApprove };
    const verdicts = new Map<string, RuleVerdict>();
    for (const name of new Set([...(requirement?.all ?? []), ...(requirement?.any ?? [])])) {
      const rule = rules.get(name);
      if (rule === undefined) continue;
      verdicts.set(name, trustedCommit === null && rule.countsPeople ? UNTRUSTED : await rule.evaluate(subject, signal));
    }
    const verdict = combine(requirement, verdicts, { formulaInForce: null });
    if (verdict.kind === 'allowed') return null;
    const message = `${path} of commit ${commit.slice(0, 12)} is not approved: ${verdict.message}`;
    if (path !== paths.policyFile) return { code: 'ERR_FORMULA_UNAPPROVED', message };
    return { code: verdict.kind === 'waiting' ? verdict.code : 'ERR_APPROVAL_WAITING', message };
  }
}

/** Without a trusted commit nobody has said who may approve, so that no person's approval can count. */
const UNTRUSTED: RuleVerdict = {
  kind: 'waiting',
  code: 'ERR_APPROVAL_WAITING',
  message: 'there is no trusted_commit whose approvers could judge it (`init --trust` names one)',
};

function judgeBefore(judges: readonly Judge[], index: number): PolicyInForce | null {
  return judges.findLast(({ since }) => since < index)?.version ?? null;
}

function pendingOf({ path, oid }: TreeEntry, commit: Oid, reason: Told): PendingEdit {
  return { path, blob: oid, commit, reason };
}

/** An edit that only brings back what is in force anyway holds nothing up. */
function unlessSame(newest: PendingEdit | null, inForce: FormulaInForce | null): PendingEdit | null {
  return inForce?.formula != null && newest?.blob === inForce.blob ? null : newest;
}

function policyProblem(current: PolicyInForce | null, open: PendingEdit | null): Told | null {
  if (current !== null) return null;
  if (open?.reason.code === 'ERR_POLICY_INVALID') return open.reason;
  const why = open === null ? '' : `: ${open.reason.message}`;
  return { code: 'ERR_POLICY_MISSING', message: `no policy is in force${why}` };
}

async function isOnFirstParentLine(opsRepo: OpsRepo, base: Oid, tip: Oid): Promise<boolean> {
  if (!(await opsRepo.isAncestor(base, tip))) return false;
  try {
    let commit: Oid | undefined = tip;
    while (commit !== undefined && commit !== base) [commit] = (await opsRepo.commit(commit)).parents;
    return commit === base;
  } catch (error) {
    // A commit too large to be read: what can't be followed is not trusted.
    if (error instanceof InvalidError) return false;
    throw error;
  }
}
