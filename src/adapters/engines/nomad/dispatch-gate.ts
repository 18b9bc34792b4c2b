import { jobVariant } from '../../../domain/job-variant.ts';
import { StalledError } from '../../../errors.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { Place } from '../../../ports/engine.ts';
import { jobPath, type NomadCalls } from './client.ts';
import { drift } from './drift.ts';
import { type JobTools, jobSpec } from './jobspec.ts';
import type { NomadOptions } from './options.ts';
import { type Job, job as jobSchema } from './types.ts';

/** Where the registered job differs from the one that we would register, as lines for a person; empty: nowhere. */
export type DriftOf = (registered: Job, parent: Place) => readonly string[];

/** Against what `deploy` would register now. Throws StalledError (ERR_ENGINE_DENIED) where that can't be made. */
export function driftFrom(options: NomadOptions, tools: JobTools): DriftOf {
  return (registered, { job, mounts }) => drift(registered, jobSpec(jobVariant(job, mounts), mounts, options, tools));
}

/** Throws StalledError (ERR_JOB_MISSING, ERR_JOB_DRIFT) unless the parent is registered, not stopped and as it should be. */
export async function requireJob(
  parent: Place,
  { client, driftOf }: { readonly client: NomadCalls; readonly driftOf: DriftOf },
  signal?: AbortSignal,
): Promise<void> {
  const variant = jobVariant(parent.job, parent.mounts);
  const registered = await client.get(jobPath(variant), jobSchema, { signal });
  if (registered === null) throw new StalledError('ERR_JOB_MISSING', `job ${variant} is not registered`);
  if (registered.value.Stop) throw new StalledError('ERR_JOB_MISSING', `job ${variant} is stopped`);
  const lines = driftOf(registered.value, parent);
  if (lines.length > 0) throw new StalledError('ERR_JOB_DRIFT', `job ${variant} is not ours: ${summary(lines)}`);
}

const SHOWN_LINES = 3;

function summary(lines: readonly string[]): string {
  const more = lines.length - SHOWN_LINES;
  return [...lines.slice(0, SHOWN_LINES), ...(more > 0 ? [`and ${more} more`] : [])].join('; ');
}

const TRUSTED_MS = 60_000;

/** Looks at a parent before the first dispatch to it, and again when its last good look is a minute old. */
export class JobGate {
  readonly #tools: { readonly client: NomadCalls; readonly driftOf: DriftOf; readonly clock: Clock };
  /** By variant; a look under way is shared. */
  readonly #looks = new Map<string, { readonly at: number; readonly look: Promise<void> }>();

  constructor(tools: { readonly client: NomadCalls; readonly driftOf: DriftOf; readonly clock: Clock }) {
    this.#tools = tools;
  }

  /** Throws what `requireJob` throws; nothing bad is remembered. */
  async pass(parent: Place): Promise<void> {
    const variant = jobVariant(parent.job, parent.mounts);
    const now = this.#tools.clock.monotonic();
    const known = this.#looks.get(variant);
    if (known !== undefined && now - known.at < TRUSTED_MS) return known.look;
    const entry = { at: now, look: requireJob(parent, this.#tools) };
    this.#looks.set(variant, entry);
    try {
      await entry.look;
    } catch (error) {
      if (this.#looks.get(variant) === entry) this.#looks.delete(variant);
      throw error;
    }
  }

  /** The next pass looks anew. */
  forget({ job, mounts }: Place): void {
    this.#looks.delete(jobVariant(job, mounts));
  }
}
