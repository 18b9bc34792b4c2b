import type { Catalogue } from '../adapters/factory.ts';
import type { Formula } from '../domain/formula.ts';
import { jobVariant, mountSubsets } from '../domain/job-variant.ts';
import { SIDECAR_JOB } from '../domain/sidecar.ts';
import { StalledError } from '../errors.ts';
import { createGatedFiles, isGated } from '../story/gated-files.ts';
import type { Observed } from './observe.ts';

/** The formulas that `deploy` makes room for, and whether they are in force. */
export interface KnownFormulas {
  readonly formulas: readonly Formula[];
  /** `tip`: no policy is in force yet, so these are the valid ones at the tip of the branch. */
  readonly from: 'in-force' | 'tip';
  /** Names of the formulas that `[[sidecar]]` runs; they need not be among the known ones. */
  readonly sidecars: readonly string[];
}

/** Errors: those of the ops repo. */
export async function knownFormulas(observed: Observed): Promise<KnownFormulas> {
  const { inForce } = observed.world();
  const sidecars = observed.config.sidecar.map(({ formula }) => formula);
  if (inForce.policy === null) return { formulas: await formulasAtTip(observed), from: 'tip', sidecars };
  const formulas = [...inForce.formulas.values()].flatMap(({ formula }) => formula ?? []);
  return { formulas, from: 'in-force', sidecars };
}

async function formulasAtTip({ config, context, world }: Observed): Promise<readonly Formula[]> {
  const { formulas_dir: formulasDir, policy_file: policyFile } = config.ops_repo;
  const { projectFiles } = context.settings;
  const files = createGatedFiles(context.opsRepo);
  const entries = await context.opsRepo.list(world().tips.tip, [formulasDir]);
  const formulas: Formula[] = [];
  for (const entry of entries) {
    if (entry.path === policyFile || !isGated(entry.path, { formulasDir, policyFile, projectFiles })) continue;
    const file = await files.formula(entry);
    if (file.ok) formulas.push(file.value);
  }
  return formulas;
}

/** Beyond, the subsets of a formula's mounts are more jobs than anybody wants to look at. */
const MOST_MOUNTS = 6;

/** The job of a formula that names none. */
const ACTION_JOB = 'vault-runner';

/** What a formula may take that nobody knows yet: the default of `timeout_minutes`. */
const UNKNOWN_MINUTES = 60;

/**
 * Every job variant and every secret that these formulas can ask for; `sidecars`: names of those that `[[sidecar]]` runs,
 * known or not. A sidecar always has all mounts of its formula. Throws StalledError (ERR_FORMULA_INVALID) when two sets
 * of mounts would have the same job, or one formula would need too many jobs.
 */
export function catalogueOf(formulas: readonly Formula[], sidecars: readonly string[]): Catalogue {
  const variants = new Map<string, Variant>();
  // The daemon looks for this one at its start, whatever the formulas are.
  add(variants, { base: ACTION_JOB, mounts: [] });
  for (const { name, job, mounts } of formulas.filter((formula) => formula.job !== SIDECAR_JOB)) {
    if (mounts.length > MOST_MOUNTS) throw tooMany(name, mounts);
    for (const subset of mountSubsets(mounts)) add(variants, { base: job, mounts: subset });
  }
  const unattended = formulas.filter(({ name }) => sidecars.includes(name));
  // The plain one also shows that the job can be registered, before there is a formula for it.
  for (const mounts of sidecars.length === 0 ? [] : [[], ...unattended.map((formula) => formula.mounts)]) {
    add(variants, { base: SIDECAR_JOB, mounts: mounts.toSorted() });
  }
  return {
    variants: [...variants]
      .map(([job, { mounts }]) => ({ job, mounts }))
      .toSorted((one, two) => (one.job < two.job ? -1 : 1)),
    secrets: [...new Set(formulas.flatMap(({ secrets }) => secrets))].toSorted(),
    sidecarSeconds: longestSeconds(unattended, sidecars),
  };
}

function longestSeconds(unattended: readonly Formula[], sidecars: readonly string[]): number | null {
  if (sidecars.length === 0) return null;
  const minutes = sidecars.map(
    (name) => unattended.find((formula) => formula.name === name)?.timeout_minutes ?? UNKNOWN_MINUTES,
  );
  return Math.max(...minutes) * 60;
}

interface Variant {
  readonly base: string;
  readonly mounts: readonly string[];
}

function add(variants: Map<string, Variant>, variant: Variant): void {
  const job = jobVariant(variant.base, variant.mounts);
  const known = variants.get(job);
  if (known !== undefined && known.mounts.join() !== variant.mounts.join()) {
    throw sameJob(job, known, variant);
  }
  variants.set(job, variant);
}

function sameJob(job: string, one: Variant, two: Variant): StalledError {
  const said = ({ base, mounts }: Variant) => `${base} with ${mounts.length === 0 ? 'no mounts' : mounts.join(', ')}`;
  return new StalledError('ERR_FORMULA_INVALID', `two jobs would both be named ${job}: ${said(one)}; ${said(two)}`, {
    hint: 'Rename a job of the formulas, or one of the mounts.',
  });
}

function tooMany(name: string, mounts: readonly string[]): StalledError {
  const message = `formula ${name} lists ${mounts.length} mounts, and each subset of them is a job`;
  return new StalledError('ERR_FORMULA_INVALID', message, {
    hint: `List at most ${MOST_MOUNTS} mounts in one formula.`,
  });
}
