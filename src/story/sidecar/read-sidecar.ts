import { formulaTier } from '../../domain/formula.ts';
import { type SidecarId, sha256 } from '../../domain/ids.ts';
import { checkInputs } from '../../domain/inputs.ts';
import { tierOf } from '../../domain/policy.ts';
import { SIDECAR_JOB, type SidecarRule, sidecarAction } from '../../domain/sidecar.ts';
import { highestTier } from '../../domain/tier.ts';
import type { Approval } from '../approve-action.ts';
import type { StoryContext } from '../context.ts';
import type { ReadAction, SidecarWish } from '../read-action.ts';
import { type Waiting, waiting } from '../waiting.ts';
import type { World } from '../world.ts';

/** The formula and project file in force, as what a run on this issue would be; or why there is none. */
export async function readSidecar(
  id: SidecarId,
  wish: SidecarWish,
  rule: SidecarRule,
  context: StoryContext,
): Promise<ReadAction | Waiting> {
  const world = context.world();
  const { policy, policyProblem } = world.inForce;
  if (policy === null) {
    return waiting(policyProblem?.code ?? 'ERR_POLICY_MISSING', policyProblem?.message ?? 'no policy is in force');
  }
  const found = formulaOf(rule, world);
  if ('kind' in found) return found;
  const { formula, blob } = found;
  const project = world.inForce.projects.get(rule.project_toml);
  if (project === undefined || project.problem !== null) return projectMissing(rule, world);
  const { opsRepo } = context;
  const { committedAt } = await opsRepo.commit(project.commit);
  const bytes = await opsRepo.read(project.blob);
  return {
    candidate: {
      id,
      file: { path: project.path, entry: { path: project.path, kind: 'file', oid: project.blob } },
      commit: project.commit,
      committedAt,
      duplicates: [],
    },
    action: sidecarAction(id, formula, wish),
    bytes,
    sha256: sha256(bytes),
    formula: { name: formula.name, blob, value: formula, bytes: await opsRepo.read(blob) },
    tier: highestTier(tierOf(policy.policy, formula.name), formulaTier(formula)),
    inputs: checkInputs(formula.inputs, {}, project.path).values,
    timeoutSeconds: formula.timeout_minutes * 60,
    job: SIDECAR_JOB,
    group: groupOf(formula, rule),
    sidecar: wish,
  };
}

/** What the formula may be asked for by nobody but the operator, who wrote the rule. */
export function approvalOf(
  { formula, sidecar }: ReadAction,
  rule: SidecarRule,
  { world, clock }: StoryContext,
): Approval {
  const at = clock.now().toISOString();
  const evidence = {
    rule: 'sidecar',
    by: `[[sidecar]] ${rule.formula}`,
    what: sidecar?.url ?? '',
    commit: world().inForce.formulas.get(formula.name)?.commit ?? world().tips.tip,
    at,
    person: null,
    formulaBlob: formula.blob,
  };
  return { kind: 'allowed', required: ['sidecar'], evidence: [evidence], approvedAt: at };
}

/** A formula's own group counts; without one `in_flight` of the rule holds among all dispatchers. */
function groupOf(formula: { concurrency: string | null; concurrency_limit: number }, rule: SidecarRule) {
  if (formula.concurrency !== null) return { name: formula.concurrency, limit: formula.concurrency_limit };
  return { name: `sidecar/${rule.formula}`, limit: rule.in_flight };
}

export function formulaOf(rule: SidecarRule, { inForce }: World) {
  const found = inForce.formulas.get(rule.formula);
  if (found?.formula == null) {
    const pending = inForce.pending.find(({ path }) => path.endsWith(`/${rule.formula}.toml`));
    const why = found?.problem ?? pending?.reason;
    const none = `there is no formula ${JSON.stringify(rule.formula)} in force`;
    return waiting(why?.code ?? 'ERR_SIDECAR_FORMULA', why?.message ?? none);
  }
  const { formula, blob } = found;
  if (!formula.unattended) {
    return waiting('ERR_SIDECAR_FORMULA', `formula ${formula.name} is not marked unattended`);
  }
  const [problem] = checkInputs(formula.inputs, {}, found.path).problems;
  if (problem !== undefined) {
    return waiting(
      'ERR_SIDECAR_FORMULA',
      `formula ${formula.name} needs inputs, and nobody gives any: ${problem.message}`,
    );
  }
  return { formula, blob };
}

export function projectMissing({ project_toml }: SidecarRule, { inForce }: World): Waiting {
  const pending = inForce.pending.find(({ path }) => path === project_toml);
  const why = inForce.projects.get(project_toml)?.problem ?? pending?.reason;
  return waiting(why?.code ?? 'ERR_PROJECT_UNAPPROVED', why?.message ?? `there is no project file ${project_toml}`);
}
