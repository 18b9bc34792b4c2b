import type { AttemptRecord } from '../domain/attempt-record.ts';
import { type JournalEntry, journalDeadline } from '../domain/journal.ts';
import { claimedAction, stopWish } from '../story/stop-wish.ts';
import type { Observed } from './observe.ts';
import type { ObservedAction } from './observed-action.ts';
import {
  approvedBy,
  done,
  open,
  type Reasoned,
  type Step,
  type StepName,
  steps,
  stopped,
  type Told,
} from './why-steps.ts';

/** This host's note knows most of it; of an attempt of another one the journal tells what was claimed. */
export async function stepsOfLive(
  entry: JournalEntry,
  action: ObservedAction,
  observed: Observed,
): Promise<readonly Step[]> {
  const { context } = observed;
  const record = await context.records.load(entry.token);
  const deadline = journalDeadline(entry, context.settings.placementSeconds).toISOString();
  const isRunning = action.state === 'running';
  const wish =
    record === null ? await context.control.stopRequest(entry.id) : await stopWish(claimedAction(record), context);
  return steps({
    ...(record === null
      ? { 'read-action': done({ blob: entry.blob, formula_blob: entry.formula_blob }) }
      : stepsOfRecord(record)),
    'claim-attempt': done({
      attempt: action.attempts === undefined ? entry.attempt : `${entry.attempt} of ${action.attempts}`,
      dispatcher: entry.dispatcher,
      claimed: entry.claimed_at,
      token: entry.token,
    }),
    'dispatch-run': isRunning
      ? done({ engine: entry.engine, run: action.run, dispatched: record?.dispatched_at ?? null })
      : stopped('waiting', action.reason ?? NOT_SEEN, { engine: entry.engine }),
    'follow-run': isRunning
      ? {
          ...open({ deadline }),
          state: 'waiting',
          message: wish === null ? 'it runs' : `to be stopped: ${wish.message}`,
        }
      : open({ deadline }),
    ...(record?.grant.revoked_at == null ? {} : { 'revoke-access': done({ revoked: record.grant.revoked_at }) }),
  });
}

const NOT_SEEN: Reasoned = {
  code: 'ERR_NOT_PLACED',
  message: 'no run of it can be seen from here yet',
  hint: 'A running daemon starts it; else look at the engine.',
};

function stepsOfRecord({ action, formula, approval, grant, sidecar }: AttemptRecord): Partial<Record<StepName, Told>> {
  return {
    'read-action': done({
      path: action.path,
      blob: action.blob,
      commit: action.commit,
      committed: action.committed_at,
      ...(formula === null ? {} : { formula: formula.name, formula_blob: formula.blob, tier: formula.tier }),
      ...(sidecar === undefined ? {} : { issue: `${sidecar.repo}#${sidecar.issue}`, url: sidecar.url }),
    }),
    'approve-action': done(approval === null ? {} : { rules: approval.required, ...approvedBy(approval.evidence) }),
    'grant-access': done({ policies: grant.policies, issued: grant.issued_at, expires: grant.expires_at }),
  };
}
