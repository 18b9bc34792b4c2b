import type { Code } from '../errors.ts';
import { type Formula, parseFormula } from '../domain/formula.ts';
import type { Oid } from '../domain/ids.ts';
import { type Policy, parsePolicy } from '../domain/policy.ts';
import { combine, type Requirement, type RuleVerdict } from '../domain/verdict.ts';
import type { ApprovalRule } from '../ports/approval.ts';
import type { FirstParentChange, OpsRepo, TreeChange, TreeEntry } from '../ports/ops-repo.ts';

/** Policy and formulas that count at a tip; whatever else lies in the tree changes nothing. */
export interface InForce {
  readonly policy: { readonly blob: Oid; readonly commit: Oid; readonly policy: Policy } | null;
  /** Why there is no policy; null: there is one. */
  readonly policyProblem: Told | null;
  readonly formulas: ReadonlyMap<string, FormulaInForce>;
  /** Files at the tip that are not in force, and why: to be reported. */
  readonly pending: readonly { readonly path: string; readonly blob: Oid | null; readonly reason: Told }[];
}

export interface FormulaInForce {
  readonly blob: Oid;
  readonly commit: Oid;
  readonly path: string;
  readonly formula: Formula | null;
  readonly problem: Told | null;
}

export interface Told {
  readonly code: Code;
  readonly message: string;
}

export interface InForceWalk {
  /**
   * Walks the first-parent line from the trusted commit: a change of a gated file takes effect when that change itself
   * is approved at the high tier by the approvers of the policy before it. Safe to repeat; the same answer while nothing
   * changes. Errors: those of the ops repo and the rules.
   */
  at(tip: Oid, signal?: AbortSignal): Promise<InForce>;
}

export interface InForceDeps {
  readonly opsRepo: OpsRepo;
  readonly rules: ReadonlyMap<string, ApprovalRule>;
  /** What the high tier needs. */
  readonly requirement: Requirement | null;
  /** Its policy and formulas are in force to begin with; null: nothing is. */
  readonly trustedCommit: Oid | null;
  readonly paths: { readonly formulasDir: string; readonly policyFile: string };
}

export function createInForce(deps: InForceDeps): InForceWalk {
  return new Walk(deps);
}

/** What is in force after some commit of the line. */
interface State {
  readonly policy: InForce['policy'];
  readonly formulas: ReadonlyMap<string, FormulaInForce>;
  /** Edits that have not taken effect, newest of each path. */
  readonly open: ReadonlyMap<string, { readonly blob: Oid | null; readonly reason: Told }>;
}

const NOTHING: State = { policy: null, formulas: new Map(), open: new Map() };

class Walk implements InForceWalk {
  readonly #deps: InForceDeps;
  /** Changes since the trusted commit, oldest first, up to `#seen`. */
  #line: FirstParentChange[] = [];
  #seen: Oid | null = null;
  #base: State = NOTHING;
  /** Changes that were approved; an approval of a commit can't be undone, so it is asked for once. */
  readonly #approved = new Set<string>();
  #last: { readonly tip: Oid; readonly inForce: InForce } | null = null;

  constructor(deps: InForceDeps) {
    this.#deps = deps;
  }

  async at(tip: Oid, signal?: AbortSignal): Promise<InForce> {
    const { trustedCommit, opsRepo } = this.#deps;
    // Open edits may be approved by evidence that comes later, without any new commit.
    if (this.#last?.tip === tip && this.#last.inForce.pending.length === 0) return this.#last.inForce;
    if (trustedCommit !== null && !(await onFirstParentLine(trustedCommit, tip, opsRepo))) return untrusted(trustedCommit);
    await this.#extend(tip);
    let state = this.#base;
    for (const change of this.#line) state = await this.#step(state, change, signal);
    const inForce = finish(state);
    if (this.#last?.tip !== tip || JSON.stringify(this.#last.inForce.pending) !== JSON.stringify(inForce.pending)) {
      this.#last = { tip, inForce };
    }
    return this.#last.inForce;
  }

  /** Reads the new part of the line; all of it when the branch was rewritten. */
  async #extend(tip: Oid): Promise<void> {
    const { opsRepo, trustedCommit, paths } = this.#deps;
    const under = [paths.policyFile, paths.formulasDir];
    if (this.#seen !== null && !(await onFirstParentLine(this.#seen, tip, opsRepo))) this.#seen = null;
    if (this.#seen === null) {
      this.#line = [];
      this.#base = trustedCommit === null ? NOTHING : await this.#stateAt(trustedCommit);
    }
    this.#line.push(...(await opsRepo.firstParentChanges(this.#seen ?? trustedCommit, tip, under)));
    this.#seen = tip;
  }

  /** The trusted commit: what lies in its tree is in force, if it is what it should be. */
  async #stateAt(commit: Oid): Promise<State> {
    const { opsRepo, paths } = this.#deps;
    let state = NOTHING;
    for (const entry of await opsRepo.list(commit, [paths.policyFile, paths.formulasDir])) {
      state = await this.#takeEffect(state, commit, entry);
    }
    return state;
  }

  /** All changes of one commit are judged by the version before it. */
  async #step(before: State, change: FirstParentChange, signal: AbortSignal | undefined): Promise<State> {
    let state = before;
    for (const edit of change.changes) {
      const path = edit.after?.path ?? edit.before?.path ?? '';
      if (!this.#isGated(path)) continue;
      state = await this.#edit(state, before, { path, edit, commit: change.commit }, signal);
    }
    return state;
  }

  async #edit(
    state: State,
    before: State,
    change: { readonly path: string; readonly edit: TreeChange; readonly commit: Oid },
    signal: AbortSignal | undefined,
  ): Promise<State> {
    const { path, edit, commit } = change;
    if (edit.after === null) return this.#remove(state, path);
    const refusal = await this.#refusal(before, commit, edit.after, signal);
    if (refusal === null) return this.#takeEffect(state, commit, edit.after);
    return { ...state, open: new Map(state.open).set(path, { blob: edit.after.oid, reason: refusal }) };
  }

  /** null: exactly this change is approved. */
  async #refusal(
    before: State,
    commit: Oid,
    entry: TreeEntry,
    signal: AbortSignal | undefined,
  ): Promise<Told | null> {
    const { requirement, rules } = this.#deps;
    const key = `${commit} ${entry.path} ${entry.oid} ${before.policy?.blob ?? ''}`;
    if (this.#approved.has(key)) return null;
    const approvers = before.policy?.policy.approvers ?? [];
    const selfApprove = requirement?.selfApprove ?? false;
    const subject = { path: entry.path, blob: entry.oid, tip: commit, formulaPath: null, approvers, selfApprove };
    const verdicts = new Map<string, RuleVerdict>();
    for (const name of new Set([...(requirement?.all ?? []), ...(requirement?.any ?? [])])) {
      const rule = rules.get(name);
      if (rule !== undefined) verdicts.set(name, await rule.evaluate(subject, signal));
    }
    const verdict = combine(requirement, verdicts, { formulaInForce: null });
    if (verdict.kind === 'allowed') {
      this.#approved.add(key);
      return null;
    }
    const what = entry.path === this.#deps.paths.policyFile ? 'this version of the policy' : 'this version of the formula';
    return { code: 'ERR_FORMULA_UNAPPROVED', message: `${what} is not approved: ${verdict.message}` };
  }

  /** An approved version that can't be read leaves the one before it in force. */
  async #takeEffect(state: State, commit: Oid, entry: TreeEntry): Promise<State> {
    const { path } = entry;
    if (!this.#isGated(path)) return state;
    const isPolicy = path === this.#deps.paths.policyFile;
    const code = isPolicy ? 'ERR_POLICY_INVALID' : 'ERR_FORMULA_INVALID';
    const open = new Map(state.open);
    if (entry.kind !== 'file' && entry.kind !== 'executable') {
      open.set(path, { blob: entry.oid, reason: { code, message: `${path} is a ${entry.kind}, not a regular file` } });
      return { ...state, open };
    }
    const bytes = await this.#deps.opsRepo.read(entry.oid);
    const parsed = isPolicy ? parsePolicy(bytes, path) : parseFormula(bytes, path);
    if (!parsed.ok) {
      const message = parsed.problems.map((problem) => problem.message).join('; ');
      open.set(path, { blob: entry.oid, reason: { code, message } });
      return { ...state, open };
    }
    open.delete(path);
    if ('approvers' in parsed.value) return { ...state, policy: { blob: entry.oid, commit, policy: parsed.value }, open };
    const formula = { blob: entry.oid, commit, path, formula: parsed.value, problem: null };
    return { ...state, formulas: new Map(state.formulas).set(parsed.value.name, formula), open };
  }

  /** A deletion takes effect at once: it can only make less run. */
  #remove(state: State, path: string): State {
    const open = new Map(state.open);
    open.delete(path);
    if (path === this.#deps.paths.policyFile) return { ...state, policy: null, open };
    const formulas = new Map([...state.formulas].filter(([, formula]) => formula.path !== path));
    return { ...state, formulas, open };
  }

  /** The policy, and files directly in the formulas folder; what lies deeper is no formula. */
  #isGated(path: string): boolean {
    const { formulasDir, policyFile } = this.#deps.paths;
    if (path === policyFile) return true;
    const name = path.startsWith(`${formulasDir}/`) ? path.slice(formulasDir.length + 1) : '';
    return name.endsWith('.toml') && !name.includes('/');
  }
}

async function onFirstParentLine(commit: Oid, tip: Oid, opsRepo: OpsRepo): Promise<boolean> {
  return opsRepo.isAncestor(commit, tip);
}

function untrusted(commit: Oid): InForce {
  const message = `trusted_commit ${commit.slice(0, 12)} is not on the branch`;
  return { ...NOTHING, policyProblem: { code: 'ERR_POLICY_MISSING', message }, pending: [] };
}

function finish(state: State): InForce {
  const pending = [...state.open].map(([path, { blob, reason }]) => ({ path, blob, reason }));
  const policyProblem: Told | null =
    state.policy === null ? { code: 'ERR_POLICY_MISSING', message: 'no policy is in force' } : null;
  return { policy: state.policy, policyProblem, formulas: state.formulas, pending };
}
