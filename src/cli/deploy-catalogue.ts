import type { Catalogue } from '../adapters/factory.ts';
import type { Formula } from '../domain/formula.ts';
import { jobVariant, mountSubsets } from '../domain/job-variant.ts';
import { StalledError } from '../errors.ts';
import { createGatedFiles, isGated } from '../story/gated-files.ts';
import type { Observed } from './observe.ts';

/** The formulas that `deploy` makes room for, and whether they are in force. */
export interface KnownFormulas {
  readonly formulas: readonly Formula[];
  /** `tip`: no policy is in force yet, so these are the valid ones at the tip of the branch. */
  readonly from: 'in-force' | 'tip';
}

/** Errors: those of the ops repo. */
export async function knownFormulas(observed: Observed): Promise<KnownFormulas> {
  const { inForce } = observed.world();
  if (inForce.policy === null) return { formulas: await formulasAtTip(observed), from: 'tip' };
  const formulas = [...inForce.formulas.values()].flatMap(({ formula }) => formula ?? []);
  return { formulas, from: 'in-force' };
}

async function formulasAtTip({ config, context, world }: Observed): Promise<readonly Formula[]> {
  const { formulas_dir: formulasDir, policy_file: policyFile } = config.ops_repo;
  const files = createGatedFiles(context.opsRepo);
  const entries = await context.opsRepo.list(world().tips.tip, [formulasDir]);
  const formulas: Formula[] = [];
  for (const entry of entries) {
    if (entry.path === policyFile || !isGated(entry.path, { formulasDir, policyFile })) continue;
    const file = await files.formula(entry);
    if (file.ok) formulas.push(file.value);
  }
  return formulas;
}

/** Beyond, the subsets of a formula's mounts are more jobs than anybody wants to look at. */
const MOST_MOUNTS = 6;

/**
 * Every job variant and every secret that these formulas can ask for. Throws StalledError (ERR_FORMULA_INVALID) when two
 * sets of mounts would have the same job, or one formula would need too many jobs.
 */
export function catalogueOf(formulas: readonly Formula[]): Catalogue {
  const variants = new Map<string, Variant>();
  for (const { name, job, mounts } of formulas) {
    if (mounts.length > MOST_MOUNTS) throw tooMany(name, mounts);
    for (const subset of mountSubsets(mounts)) add(variants, { base: job, mounts: subset });
  }
  return {
    variants: [...variants]
      .map(([job, { mounts }]) => ({ job, mounts }))
      .toSorted((one, two) => (one.job < two.job ? -1 : 1)),
    secrets: [...new Set(formulas.flatMap(({ secrets }) => secrets))].toSorted(),
  };
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
