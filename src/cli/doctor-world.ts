import type { Catalogue, Change } from '../adapters/factory.ts';
import type { Config } from '../config.ts';
import { TIERS } from '../domain/tier.ts';
import { CODES, EdgeError, TransientError } from '../errors.ts';
import { planDeployment } from '../wiring/adapters.ts';
import { catalogueOf, knownFormulas } from './deploy-catalogue.ts';
import { bad, type Finding, failed, good, warning } from './doctor-finding.ts';
import type { Io } from './io.ts';
import { type Observed, quietLog } from './observe.ts';

/** Who has to approve what. */
export function rulesFindings({ approval }: Config): readonly Finding[] {
  const missing = TIERS.filter((tier) => approval[tier] === null);
  if (missing.length === 0) return [good('approval', 'every tier has its rules')];
  return missing.map((tier) => {
    const message = `tier ${tier} has no rule: its actions wait for ever${tier === 'high' ? ', and so do policy and formulas' : ''}`;
    return bad('approval', 'ERR_NO_RULE', message, `Set ${tier} in [approval].`);
  });
}

/** What is in force, and what it needs of engine and secret store, whose own answers are given. */
export async function worldFindings(
  observed: Observed,
  answers: readonly Finding[],
  io: Io,
): Promise<readonly Finding[]> {
  return [
    ...inForceFindings(observed),
    ...(await orFailed('jobs', () => jobFindings(observed, answers, io))),
    ...(await orFailed('secrets', () => secretFindings(observed, io))),
  ];
}

function inForceFindings(observed: Observed): readonly Finding[] {
  const { policy, policyProblem, formulas, pending } = observed.world().inForce;
  const policyFinding =
    policyProblem === null
      ? good('policy', `in force since ${policy?.commit.slice(0, 12) ?? ''}`)
      : bad('policy', policyProblem.code, policyProblem.message, CODES[policyProblem.code].hint);
  const broken = [...formulas].flatMap(([name, { problem }]) =>
    problem === null ? [] : [bad('formulas', problem.code, `${name}: ${problem.message}`, CODES[problem.code].hint)],
  );
  const valid = formulas.size - broken.length;
  return [
    policyFinding,
    ...broken,
    good('formulas', `${valid} in force`),
    ...pending.map(({ path, reason }) =>
      warning('formulas', reason.code, `${path}: ${reason.message}`, CODES[reason.code].hint),
    ),
  ];
}

/** Whether each job that a formula can ask for is registered as `deploy` would do it. */
async function jobFindings(observed: Observed, answers: readonly Finding[], io: Io): Promise<readonly Finding[]> {
  const { formulas, sidecars } = await knownFormulas(observed);
  const catalogue = catalogueOf(formulas, sidecars);
  let changes: readonly Change[];
  try {
    changes = await planDeployment(observed.config, quietLog(io), catalogue);
  } catch (error) {
    if (!(error instanceof EdgeError) || error instanceof TransientError) throw error;
    return [notCompared(error, catalogue, answers)];
  }
  const wrong = differenceFindings(changes);
  if (wrong.length > 0 || changes.length === 0) return wrong;
  return [good('deployment', `${changes.length} jobs, policies and roles are as \`deploy\` makes them`)];
}

/** The daemon's own token may not see all that `deploy` compares. Of jobs that it sees, the engine has told by name. */
function notCompared(error: EdgeError, { variants }: Catalogue, answers: readonly Finding[]): Finding {
  const told = variants.filter(({ job }) => answers.some(({ check }) => check.name.endsWith(`.job.${job}`)));
  const unseen = variants.filter((variant) => !told.includes(variant)).map(({ job }) => job);
  const rest = 'policies and roles can not be compared with this token';
  if (unseen.length === 0) return good('deployment', `${rest}; the jobs are told of above`);
  const fix = 'Run `deploy --dry-run` with tokens of an administrator in NOMAD_TOKEN and VAULT_TOKEN.';
  return warning('deployment', error.code, `not seen: job ${unseen.join(', ')}; ${rest}`, fix);
}

/** Without its job an action waits; what else differs shows in the answers of engine and secret store, where it matters. */
function differenceFindings(changes: readonly Change[]): readonly Finding[] {
  const fix = 'Run `deploy --dry-run` to see the difference, then `deploy`.';
  const wrong = changes.filter(({ kind }) => kind !== 'same');
  const [jobs, others] = [wrong.filter(isJob), wrong.filter((change) => !isJob(change)).map(({ what }) => what)];
  return [
    ...jobs.map(({ what, kind }) =>
      kind === 'new'
        ? bad('deployment', 'ERR_JOB_MISSING', `${what} is not there`, fix)
        : bad('deployment', 'ERR_JOB_DRIFT', `${what} is not as \`deploy\` makes it`, fix),
    ),
    ...(others.length === 0
      ? []
      : [warning('deployment', null, `not as \`deploy\` makes it: ${others.join(', ')}`, fix)]),
  ];
}

const isJob = ({ what }: Change): boolean => what.startsWith('job ');

/** A secret that is missing refuses only the actions that name it. */
async function secretFindings({ context, world }: Observed, io: Io): Promise<readonly Finding[]> {
  const formulas = [...world().inForce.formulas.values()].flatMap(({ formula }) => formula ?? []);
  const names = [...new Set(formulas.flatMap(({ secrets }) => secrets))].toSorted();
  const states = await context.access.states(names, io.signal);
  const absent = names.filter((name) => states.get(name) !== 'present');
  const fix = 'Put the secret into the store, or mend its name in the formula.';
  return [
    good('secrets', `${names.length - absent.length} of ${names.length} that formulas name are in the store`),
    ...absent.map((name) => {
      const users = formulas.filter(({ secrets }) => secrets.includes(name)).map((formula) => formula.name);
      const message = `${name} of ${users.join(', ')} is ${states.get(name) ?? 'missing'}`;
      return warning('secrets', 'ERR_SECRET_UNKNOWN', message, fix);
    }),
  ];
}

async function orFailed(name: string, work: () => Promise<readonly Finding[]>): Promise<readonly Finding[]> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof EdgeError) return [failed(name, error)];
    throw error;
  }
}
