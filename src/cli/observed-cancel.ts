import type { Reason } from '../domain/run.ts';
import { type Cancellable, cancelRequest } from '../story/cancel-request.ts';
import { claimedAction, pendingAction } from '../story/stop-wish.ts';
import type { CancelFile } from '../story/world.ts';
import type { Observed } from './observe.ts';

/** A committed cancel request that does not count (yet), and why. */
export interface DoubtfulCancel extends Pick<Reason, 'code' | 'message' | 'hint'> {
  readonly id: string;
  readonly path: string;
}

/** Of everything that is pending or live; `id`: of this action only. Asks the forge as the daemon does. */
export async function doubtfulCancels(
  observed: Observed,
  signal: AbortSignal,
  id?: string,
): Promise<readonly DoubtfulCancel[]> {
  const found: DoubtfulCancel[] = [];
  for (const file of observed.world().cancels.values()) {
    const action = id === undefined || file.id === id ? await actionOf(file, observed) : null;
    const verdict = action === null ? null : await cancelRequest(action, observed.context, signal);
    if (verdict?.kind !== 'open') continue;
    const { code, message, hint } = verdict.reason;
    found.push({ id: file.id, path: verdict.path, code, message, hint });
  }
  return found;
}

/** As it was claimed, where this host knows of a claim; else as it lies at the tip. */
async function actionOf({ id }: CancelFile, { world, context }: Observed): Promise<Cancellable | null> {
  const { journal, candidates } = world();
  const entry = journal.entries.get(id);
  const record = entry === undefined ? null : await context.records.load(entry.token);
  const candidate = candidates.get(id);
  if (record !== null) return claimedAction(record);
  return candidate === undefined ? null : pendingAction(candidate, context);
}
