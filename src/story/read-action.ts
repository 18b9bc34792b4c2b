import type { Action } from '../domain/action.ts';
import { parseAction } from '../domain/action.ts';
import { checkAgainstFormula, effectiveTimeoutSeconds } from '../domain/action-check.ts';
import type { Formula } from '../domain/formula.ts';
import { formulaTier } from '../domain/formula.ts';
import { type Oid, sha256 } from '../domain/ids.ts';
import { checkInputs } from '../domain/inputs.ts';
import type { SidecarWork } from '../domain/payload.ts';
import { tierOf } from '../domain/policy.ts';
import { SIDECAR_JOB } from '../domain/sidecar.ts';
import { highestTier, type Tier } from '../domain/tier.ts';
import { InvalidError, type Problem, RefusedError } from '../errors.ts';
import type { OpsRepo } from '../ports/ops-repo.ts';
import { dependencyCycles } from './conditions.ts';
import { type Waiting, waiting } from './waiting.ts';
import type { Candidate, World } from './world.ts';

/** Bytes that are a valid action, with the formula in force that it names. */
export interface ReadAction {
  readonly candidate: Candidate;
  readonly action: Action;
  readonly bytes: Uint8Array;
  readonly sha256: string;
  readonly formula: { readonly name: string; readonly blob: Oid; readonly value: Formula; readonly bytes: Uint8Array };
  readonly tier: Tier;
  readonly inputs: Readonly<Record<string, string | number | boolean>>;
  readonly timeoutSeconds: number;
  /** Engine job that it is dispatched to. */
  readonly job: string;
  /** How many may run at a time of those that share the name; `name` null: any number. */
  readonly group: { readonly name: string | null; readonly limit: number };
  /** What a sidecar works on; null: an action. */
  readonly sidecar: SidecarWish | null;
}

/** Why a sidecar is to run: its work, and what was known of the issue then. */
export interface SidecarWish extends SidecarWork {
  /** `issueDigest` of what it was started for. */
  readonly digest: string;
  /** When the issue changed last, ISO 8601 by the forge's clock. */
  readonly since: string;
}

/**
 * Step 1: are these bytes a valid action? Throws InvalidError with every problem of the file, or RefusedError when it
 * asks for more than its formula may have; answers why it waits when its formula is not in force.
 */
export async function readAction(candidate: Candidate, world: World, opsRepo: OpsRepo): Promise<ReadAction | Waiting> {
  const { action, bytes } = await readBytes(candidate, opsRepo);
  if ((await dependencyCycles(world, opsRepo)).has(candidate.id)) {
    throw new InvalidError('ERR_DEPENDENCY_CYCLE', 'depends_on leads back to this action');
  }
  const inForce = world.inForce.formulas.get(action.formula);
  if (inForce?.formula == null) return formulaMissing(action, world);
  const formula = inForce.formula;
  refuseSidecar(formula);
  const problems = checkAgainstFormula(action, formula, candidate.file.path);
  const newer = pendingOf(action.formula, world);
  // The version that it was written for may still come into force: that is no time for a definite no.
  if (newer !== undefined && problems.some(({ severity }) => severity === 'error')) {
    return waiting(newer.reason.code, newer.reason.message);
  }
  refuseTooMuch(problems);
  const policy = world.inForce.policy;
  if (policy === null) {
    const problem = world.inForce.policyProblem;
    return waiting(problem?.code ?? 'ERR_POLICY_MISSING', problem?.message ?? 'no policy is in force');
  }
  return {
    candidate,
    action,
    bytes,
    sha256: sha256(bytes),
    formula: { name: formula.name, blob: inForce.blob, value: formula, bytes: await opsRepo.read(inForce.blob) },
    tier: highestTier(tierOf(policy.policy, formula.name), formulaTier(formula), action.blast_radius ?? undefined),
    inputs: checkInputs(formula.inputs, action.inputs, candidate.file.path).values,
    timeoutSeconds: effectiveTimeoutSeconds(action, formula),
    job: formula.job,
    group: { name: formula.concurrency, limit: formula.concurrency_limit },
    sidecar: null,
  };
}

async function readBytes(candidate: Candidate, opsRepo: OpsRepo): Promise<{ action: Action; bytes: Uint8Array }> {
  const { entry, path } = candidate.file;
  if (entry.kind !== 'file' && entry.kind !== 'executable') {
    throw new InvalidError('ERR_FILE_KIND', `${path} is a ${entry.kind}, not a regular file`);
  }
  const bytes = await opsRepo.read(entry.oid);
  const parsed = parseAction(bytes, path);
  if (parsed.ok) return { action: parsed.value, bytes };
  const first = parsed.problems[0];
  const more = parsed.problems.length - 1;
  const message = `${first?.message ?? 'unreadable'}${more > 0 ? ` (and ${more} more)` : ''}`;
  throw new InvalidError(first?.code ?? 'ERR_ACTION_SYNTAX', message, {
    problems: parsed.problems,
    ...(first?.hint === undefined ? {} : { hint: first.hint }),
  });
}

/** A version of the formula that is not in force (yet). */
function pendingOf(formula: string, world: World) {
  return world.inForce.pending.find((file) => file.path.endsWith(`/${formula}.toml`));
}

/** Told apart: no such file at all (invalid), a file that nobody approved yet, and one that is no formula. */
function formulaMissing(action: Action, world: World): Waiting {
  const pending = pendingOf(action.formula, world);
  if (pending !== undefined) return waiting(pending.reason.code, pending.reason.message);
  const broken = world.inForce.formulas.get(action.formula)?.problem;
  if (broken != null) return waiting(broken.code, broken.message);
  if (world.inForce.policyProblem !== null) {
    return waiting(world.inForce.policyProblem.code, world.inForce.policyProblem.message);
  }
  throw new InvalidError('ERR_FORMULA_UNKNOWN', `there is no formula ${JSON.stringify(action.formula)}`);
}

/** Its job holds an identity of its own, which no action may have. */
function refuseSidecar({ name, job }: Formula): void {
  if (job !== SIDECAR_JOB) return;
  throw new RefusedError('ERR_SIDECAR_JOB', `formula ${name} is for sidecars: its job is ${SIDECAR_JOB}`);
}

/** The worst problem decides the class: what is invalid stays so, whoever approves it. */
function refuseTooMuch(problems: readonly Problem[]): void {
  const errors = problems.filter((problem) => problem.severity === 'error');
  const first = errors[0];
  if (first === undefined) return;
  const invalid = errors.find((problem) => problem.code === 'ERR_INPUT' || problem.code === 'ERR_RETRY_NOT_ALLOWED');
  const details = { problems: errors, ...(first.hint === undefined ? {} : { hint: first.hint }) };
  if (invalid !== undefined) throw new InvalidError(invalid.code, invalid.message, details);
  throw new RefusedError(first.code, first.message, details);
}
