import { UsageError } from '../errors.ts';
import type { TreeEntry } from '../ports/ops-repo.ts';
import type { Candidate } from '../story/world.ts';
import { describeForeign, foreignAmong, stepsOfForeign } from './foreign-action.ts';
import type { Observed } from './observe.ts';
import {
  describeResult,
  describeUnreadable,
  describeWaiting,
  judgeAll,
  liveEntries,
  type ObservedAction,
  readResult,
} from './observed-action.ts';
import { describeLive } from './observed-live.ts';
import { stepsOfResult } from './why-ended.ts';
import { stepsOfLive } from './why-live.ts';
import { type Step, unknownSteps } from './why-steps.ts';
import { stepsOfWaiting } from './why-waiting.ts';

export interface Explained extends ObservedAction {
  readonly steps: readonly Step[];
}

/** Throws UsageError (ERR_NOT_FOUND) for an id of no action. */
export async function explainAction(id: string, observed: Observed, signal: AbortSignal): Promise<Explained> {
  const begun = await explainBegun(id, observed, signal);
  return begun ?? explainWaiting(candidateOf(id, observed), observed, signal);
}

/** An action or a sidecar's run; null: it has no result and no live attempt. */
export async function explainBegun(id: string, observed: Observed, signal: AbortSignal): Promise<Explained | null> {
  const world = observed.world();
  const recorded = world.catalogue.result(id);
  if (recorded !== null) {
    const foreign = (await foreignAmong([recorded], observed, signal)).get(recorded.path);
    if (foreign === undefined) return explainRecorded(id, recorded, observed);
    // What somebody else wrote ends no attempt of ours.
    const live = await explainLive(id, observed);
    if (live !== null) return live;
    return { ...(await describeForeign(id, foreign, observed)), steps: await stepsOfForeign(id, foreign, observed) };
  }
  return explainLive(id, observed);
}

export function candidateOf(id: string, observed: Observed): Candidate {
  const candidate = [...observed.world().candidates.values()].find((one) => one.id === id);
  if (candidate === undefined) throw notFound(id, observed);
  return candidate;
}

export async function explainWaiting(
  candidate: Candidate,
  observed: Observed,
  signal: AbortSignal,
): Promise<Explained> {
  const verdict = (await judgeAll([candidate], observed, signal)).get(candidate.id);
  if (verdict === undefined) throw notFound(candidate.id, observed);
  const action = await describeWaiting(candidate, verdict, observed);
  return { ...action, steps: await stepsOfWaiting(candidate, verdict, observed) };
}

async function explainRecorded(id: string, at: TreeEntry, observed: Observed): Promise<Explained> {
  const result = await readResult(at, observed);
  if (result === null) return { ...describeUnreadable(id), steps: unknownSteps() };
  return { ...describeResult(result), steps: stepsOfResult(result, observed.context.settings.sidecarsDir) };
}

async function explainLive(id: string, observed: Observed): Promise<Explained | null> {
  const entry = (await liveEntries(observed)).find((live) => live.id === id);
  if (entry === undefined) return null;
  const action = await describeLive(entry, observed);
  return { ...action, steps: await stepsOfLive(entry, action, observed) };
}

function notFound(id: string, observed: Observed): UsageError {
  const world = observed.world();
  const once = world.everRecorded(id) ? '; the branch once held a result of it' : '';
  const { branch } = observed.config.ops_repo;
  return new UsageError('ERR_NOT_FOUND', `there is no action ${JSON.stringify(id)} on ${branch}${once}`);
}
