import type { Check } from '../../../domain/check.ts';
import { jobVariant, mountSubsets } from '../../../domain/job-variant.ts';
import { SIDECAR_JOB } from '../../../domain/sidecar.ts';
import { StalledError } from '../../../errors.ts';
import type { Place } from '../../../ports/engine.ts';
import { Refusal } from './answers.ts';
import { failed, good } from './checks-lines.ts';
import { jobPath, type NomadClient } from './client.ts';
import { type DriftOf, requireJob } from './dispatch-gate.ts';
import { dispatchAnswer, jobStubs } from './types.ts';

const BASE = 'vault-runner';
/** Every subset of so many mounts is looked for; a formula with more is looked at when it is dispatched. */
const MOST_MOUNTS = 10;

interface Tools {
  readonly client: NomadClient;
  readonly driftOf: DriftOf;
  /** Names of the mounts that runs can have with this configuration. */
  readonly mounts: readonly string[];
  readonly hasSidecars: boolean;
}

/** The rights that a run needs, and the jobs as they are registered. */
export async function checkJobs(tools: Tools, signal?: AbortSignal): Promise<readonly Check[]> {
  const name = 'engine.nomad.rights.list';
  try {
    const bases = [BASE, ...(tools.hasSidecars ? [SIDECAR_JOB] : [])];
    const filter = `ParentID == "" and ID matches "^(${bases.join('|')})"`;
    const list = await tools.client.get('/v1/jobs', jobStubs, { query: { filter }, signal });
    const registered = new Set((list?.value ?? []).map(({ ID }) => ID));
    const subsets = mountSubsets(tools.mounts.slice(0, MOST_MOUNTS));
    const variants = bases
      .flatMap((job) => subsets.map((mounts): Place => ({ job, mounts })))
      .filter(({ job, mounts }) => mounts.length === 0 || registered.has(jobVariant(job, mounts)));
    const checks = await Promise.all(variants.map((parent) => checkJob(parent, tools, signal)));
    const [base] = checks;
    const mayDispatch = base?.ok === true ? [await checkDispatch(tools.client, signal)] : [];
    return [good(name, 'the jobs of the namespace can be listed'), ...checks, ...mayDispatch];
  } catch (error) {
    return [failed(name, error, 'Give the token list-jobs in the namespace; `deploy` writes the policy.')];
  }
}

async function checkJob(parent: Place, tools: Tools, signal: AbortSignal | undefined): Promise<Check> {
  const variant = jobVariant(parent.job, parent.mounts);
  const name = `engine.nomad.job.${variant}`;
  try {
    await requireJob(parent, tools, signal);
    return good(name, `job ${variant} is registered as it should be`);
  } catch (error) {
    const isOurs = error instanceof StalledError && error.code.startsWith('ERR_JOB_');
    return failed(
      name,
      error,
      isOurs ? undefined : 'Give the token read-job in the namespace; `deploy` writes the policy.',
    );
  }
}

/** A dispatch without the payload that the job requires: Nomad looks at the right first, so nothing is ever started. */
async function checkDispatch(client: NomadClient, signal: AbortSignal | undefined): Promise<Check> {
  const name = 'engine.nomad.rights.dispatch';
  try {
    await client.send(['POST', `${jobPath(BASE)}/dispatch`], {}, dispatchAnswer, { signal });
    return failed(name, new StalledError('ERR_JOB_DRIFT', `job ${BASE} takes a dispatch without payload`));
  } catch (error) {
    if (error instanceof Refusal && error.code === 'ERR_JOB_DRIFT') return good(name, 'runs can be dispatched');
    return failed(name, error, 'Give the token dispatch-job in the namespace; `deploy` writes the policy.');
  }
}
