import type { Formula } from '../domain/formula.ts';
import type { Oid } from '../domain/ids.ts';
import type { Requirement } from '../domain/verdict.ts';
import type { ApprovalRule } from '../ports/approval.ts';
import type { Decisions } from '../ports/decisions.ts';
import type { OpsRepo, TreeEntry } from '../ports/ops-repo.ts';
import {
  createGatedFiles,
  type Edit,
  formulaNameOf,
  type GatedFiles,
  type GatedPaths,
  type ReadFile,
  type Told,
} from './gated-files.ts';
import { createGatedLine, type GatedLine } from './gated-line.ts';
import { createEditJudge, type EditAsked, type EditJudge, type FileEdit, type PolicyInForce } from './judge-edit.ts';

/*
 * Which policy and which formulas count.
 *
 * Policy and formula files are gated themselves. Walking the first-parent line from the trusted commit, whose files are in
 * force, each edit of such a file takes effect when that edit itself is approved at the high tier by the approvers of the
 * policy before it:
 *
 *   approved            in force from that commit on, whatever becomes of the evidence
 *   not approved (yet)  changes nothing, is told as pending; asked again at every look
 *   forge away          what was never decided may be in force or not: what depends on it waits
 *   cannot be read      changes nothing, whoever approves it: the version before stays in force
 *   deletion            takes effect at once: a deleted formula runs nothing, a deleted policy makes everything wait
 *
 * All edits of one commit are judged by the policy before that commit. After a deletion the approvers of the policy that
 * was deleted judge what comes next: theirs is the version before it.
 */

/** Policy and formulas that count at a tip; whatever else lies in the tree changes nothing. */
export interface InForce {
  readonly policy: PolicyInForce | null;
  /** Why there is no policy; null: there is one. */
  readonly policyProblem: Told | null;
  /** By name. `formula` is null only where the trusted commit itself holds a file that can't be read. */
  readonly formulas: ReadonlyMap<string, FormulaInForce>;
  /** Project files of sidecars, by path. */
  readonly projects: ReadonlyMap<string, FileInForce>;
  /** Files whose newest version is not in force, with the commit that made it and why: to be reported. */
  readonly pending: readonly PendingEdit[];
}

interface FileInForce {
  readonly blob: Oid;
  readonly commit: Oid;
  readonly path: string;
  /** Of what the trusted commit itself holds and nobody can read. */
  readonly problem: Told | null;
}

interface FormulaInForce extends FileInForce {
  readonly formula: Formula | null;
}

interface PendingEdit {
  readonly path: string;
  readonly blob: Oid;
  readonly commit: Oid;
  readonly reason: Told;
}

export interface InForceWalk {
  /**
   * What is in force at a tip. Safe to repeat, also at the same time: the very same object while nothing changes. A new
   * tip costs its new commits, and what is not approved yet is asked again. Errors: those of the ops repo, of the rules
   * (TransientError while evidence can't be read: then nobody knows what is in force) and of the decisions.
   */
  at(tip: Oid, signal?: AbortSignal): Promise<InForce>;
}

export interface InForceDeps {
  readonly opsRepo: OpsRepo;
  readonly rules: ReadonlyMap<string, ApprovalRule>;
  /** What the high tier needs; null: nothing is configured, so that no edit takes effect. */
  readonly requirement: Requirement | null;
  /** Its policy and formulas are in force to begin with; null: the walk starts at an empty tree. */
  readonly trustedCommit: Oid | null;
  readonly paths: GatedPaths;
  /** What earlier processes decided; absent: nothing is known of them, and nothing kept for the next. */
  readonly decisions?: Decisions;
}

export function createInForce(deps: InForceDeps): InForceWalk {
  const walk = new Walk(deps);
  let last: { readonly text: string; readonly inForce: InForce } | null = null;
  let turn: Promise<unknown> = Promise.resolve();

  async function look(tip: Oid, signal: AbortSignal | undefined): Promise<InForce> {
    signal?.throwIfAborted();
    const inForce = await walk.at(tip, signal);
    const text = JSON.stringify({ ...inForce, formulas: [...inForce.formulas], projects: [...inForce.projects] });
    if (last?.text !== text) last = { text, inForce };
    return last.inForce;
  }

  return {
    at(tip, signal) {
      const answer = turn.then(() => look(tip, signal));
      turn = answer.catch(() => undefined);
      return answer;
    },
  };
}

/** The policy that judges what comes after the `since`-th link of the line. */
interface Judge {
  readonly since: number;
  readonly policy: PolicyInForce;
}

interface PolicyWalk {
  readonly inForce: PolicyInForce | null;
  readonly pending: PendingEdit | null;
  readonly judges: readonly Judge[];
}

class Walk {
  readonly #deps: InForceDeps;
  readonly #files: GatedFiles;
  readonly #line: GatedLine;
  readonly #judge: EditJudge;

  constructor(deps: InForceDeps) {
    this.#deps = deps;
    this.#files = createGatedFiles(deps.opsRepo);
    this.#line = createGatedLine(deps);
    this.#judge = createEditJudge(deps);
  }

  async at(tip: Oid, signal: AbortSignal | undefined): Promise<InForce> {
    if (!(await this.#line.follow(tip))) return untrusted(this.#deps.trustedCommit);
    const asked = { branchTip: tip, signal };
    const policy = await this.#walkPolicy(asked);
    // Nobody knows who judges the formulas, and an older one would say no to what the newer one allows.
    if (policy.pending !== null && isAway(policy.pending)) {
      return { ...NOTHING, policyProblem: policy.pending.reason, pending: [policy.pending] };
    }
    const formulas = new Map<string, FormulaInForce>();
    const pending = policy.pending === null ? [] : [policy.pending];
    const projects = new Map<string, FileInForce>();
    for (const path of this.#filePaths()) {
      const isProject = this.#deps.paths.projectFiles.includes(path);
      const found = await this.#walkFile(path, policy.judges, asked);
      if (found.inForce !== null && isProject) projects.set(path, found.inForce);
      else if (found.inForce !== null) formulas.set(formulaNameOf(path), found.inForce);
      if (found.pending !== null) pending.push(found.pending);
    }
    await this.#judge.tidy(this.#line.edits);
    return { policy: policy.inForce, policyProblem: policyProblem(policy), formulas, projects, pending };
  }

  /** Forwards, because each version judges the next. */
  async #walkPolicy(asked: EditAsked): Promise<PolicyWalk> {
    let { inForce, pending } = await this.#trustedPolicy();
    const judges: Judge[] = inForce === null ? [] : [{ since: -1, policy: inForce }];
    const edits = this.#editsOf(this.#deps.paths.policyFile);
    for (const [at, [index, edit]] of edits.entries()) {
      pending = null;
      if (!leavesFile(edit)) {
        inForce = null;
        continue;
      }
      if (await this.#isOvertaken(edit, edits.slice(at + 1), judgeOf(judges, index))) continue;
      const file = await this.#files.policy(edit.entry);
      const decision = await this.#judge.decide(edit, file, judgeOf(judges, index), asked);
      // Whoever it names would judge what comes after, so nothing after it can be decided either.
      if (decision.kind === 'unknown') return { inForce: null, pending: pendingOf(edit, decision.reason), judges: [] };
      if (decision.kind === 'effective') {
        inForce = { blob: edit.entry.oid, commit: edit.commit, policy: decision.value };
        judges.push({ since: index, policy: inForce });
      } else if (!(file.ok && inForce?.blob === edit.entry.oid)) pending = pendingOf(edit, decision.reason);
    }
    return { inForce, pending, judges };
  }

  /** A later version was approved by the same policy before this one was: that was over then, whoever approves it now. */
  async #isOvertaken(
    edit: FileEdit,
    later: readonly (readonly [number, Edit])[],
    judge: PolicyInForce | null,
  ): Promise<boolean> {
    if (await this.#judge.wasApproved(edit, judge)) return false;
    for (const [, other] of later) if (leavesFile(other) && (await this.#judge.wasApproved(other, judge))) return true;
    return false;
  }

  async #trustedPolicy(): Promise<{ inForce: PolicyInForce | null; pending: PendingEdit | null }> {
    const edit = this.#trusted(this.#deps.paths.policyFile);
    if (edit === null) return { inForce: null, pending: null };
    const file = await this.#files.policy(edit.entry);
    if (!file.ok) return { inForce: null, pending: pendingOf(edit, file.problem) };
    return { inForce: { blob: edit.entry.oid, commit: edit.commit, policy: file.value }, pending: null };
  }

  /** Backwards, because only the newest version that counts is of interest. */
  async #walkFile(
    path: string,
    judges: readonly Judge[],
    asked: EditAsked,
  ): Promise<{ inForce: FormulaInForce | null; pending: PendingEdit | null }> {
    let newest: PendingEdit | null = null;
    for (const [index, edit] of this.#editsOf(path).toReversed()) {
      if (!leavesFile(edit)) return { inForce: null, pending: newest };
      const file = await this.#read(edit);
      const decision = await this.#judge.decide(edit, file, judgeOf(judges, index), asked);
      if (decision.kind === 'unknown') return { inForce: null, pending: pendingOf(edit, decision.reason) };
      if (decision.kind === 'effective') {
        const inForce = fileOf(edit, decision.value, null);
        return { inForce, pending: unlessSame(newest, inForce) };
      }
      newest ??= pendingOf(edit, decision.reason);
    }
    const trusted = this.#trusted(path);
    if (trusted === null) return { inForce: null, pending: newest };
    const file = await this.#read(trusted);
    const inForce = file.ok ? fileOf(trusted, file.value, null) : fileOf(trusted, null, file.problem);
    if (!file.ok) newest ??= pendingOf(trusted, file.problem);
    return { inForce, pending: unlessSame(newest, inForce) };
  }

  /** With the place of each in the line, oldest first. */
  #editsOf(path: string): readonly (readonly [number, Edit])[] {
    return this.#line.edits.flatMap((edits, index) => {
      const edit = edits.find((each) => each.path === path);
      return edit === undefined ? [] : [[index, edit] as const];
    });
  }

  /** What the trusted commit holds, as if it had been edited there. */
  #trusted(path: string): FileEdit | null {
    const entry = this.#line.start.get(path);
    const commit = this.#deps.trustedCommit;
    return entry === undefined || commit === null ? null : { commit, path, entry };
  }

  /** Of a project file no formula comes out. */
  async #read({ path, entry }: FileEdit): Promise<ReadFile<Formula | null>> {
    if (!this.#deps.paths.projectFiles.includes(path)) return this.#files.formula(entry);
    const file = await this.#files.project(entry);
    return file.ok ? { ok: true, value: null } : file;
  }

  #filePaths(): readonly string[] {
    const paths = new Set([...this.#line.start.keys(), ...this.#line.edits.flat().map(({ path }) => path)]);
    paths.delete(this.#deps.paths.policyFile);
    return [...paths].toSorted();
  }
}

function leavesFile(edit: Edit): edit is FileEdit {
  return edit.entry !== null;
}

/** All edits of one commit are judged by the version before it. */
function judgeOf(judges: readonly Judge[], index: number): PolicyInForce | null {
  return judges.findLast(({ since }) => since < index)?.policy ?? null;
}

function fileOf(edit: FileEdit, formula: Formula | null, problem: Told | null): FormulaInForce {
  return { blob: edit.entry.oid, commit: edit.commit, path: edit.path, formula, problem };
}

function pendingOf(
  { path, commit, entry }: { commit: Oid; path: string; entry: TreeEntry },
  reason: Told,
): PendingEdit {
  return { path, blob: entry.oid, commit, reason };
}

/** An edit that only brings back the bytes that are in force anyway holds nothing up. */
function unlessSame(newest: PendingEdit | null, { blob }: FormulaInForce): PendingEdit | null {
  const isOpen = newest?.reason.code === 'ERR_FORMULA_UNAPPROVED' || newest?.reason.code === 'ERR_PROJECT_UNAPPROVED';
  return isOpen && newest.blob === blob ? null : newest;
}

/** The forge is away, so that nobody knows whether this is in force. */
function isAway({ reason }: PendingEdit): boolean {
  return reason.code.startsWith('ERR_FORGE_');
}

function policyProblem({ inForce, pending }: PolicyWalk): Told | null {
  if (inForce !== null) return null;
  if (pending?.reason.code === 'ERR_POLICY_INVALID') return pending.reason;
  const why = pending === null ? '' : `: ${pending.reason.message}`;
  return { code: 'ERR_POLICY_MISSING', message: `no policy is in force${why}` };
}

function untrusted(commit: Oid | null): InForce {
  const short = commit?.slice(0, 12) ?? '';
  const message = `trusted_commit ${short} is not on the first-parent line of the branch, so nothing is in force`;
  return { ...NOTHING, policyProblem: { code: 'ERR_POLICY_MISSING', message } };
}

const NOTHING: InForce = { policy: null, policyProblem: null, formulas: new Map(), projects: new Map(), pending: [] };
