import { historyOf } from '../domain/attempt-record.ts';
import { EdgeError } from '../errors.ts';
import { type Approval, approveAction } from '../story/approve-action.ts';
import { noOrNotYet } from '../story/no-or-not-yet.ts';
import { conditionOf } from '../story/plan-turn.ts';
import { type ReadAction, readAction } from '../story/read-action.ts';
import { nextOf, restingNote } from '../story/retry.ts';
import { isWaiting } from '../story/waiting.ts';
import type { Candidate } from '../story/world.ts';
import type { Observed } from './observe.ts';
import type { Verdict } from './observed-action.ts';
import { approvedBy, done, open, STEP_OF, type Step, type StepName, steps, stopped, type Told } from './why-steps.ts';

/** Each step is asked for itself, so that one look shows all that is missing; the verdict stands where it belongs. */
export async function stepsOfWaiting(
  candidate: Candidate,
  verdict: Verdict,
  observed: Observed,
): Promise<readonly Step[]> {
  const { context } = observed;
  const told: Partial<Record<StepName, Told>> = {};
  const read = await attempt(candidate, () => readAction(candidate, observed.world(), context.opsRepo));
  const file = { path: candidate.file.path, blob: candidate.file.entry.oid, commit: candidate.commit };
  if ('state' in read) told['read-action'] = { ...read, evidence: file };
  else {
    told['read-action'] = done({ ...file, committed: candidate.committedAt, ...factsOf(read) });
    const approval = await attempt(candidate, () => approveAction(read, observed.world(), context));
    const needs = { tier: read.tier, rules: rulesOf(read, observed) };
    told['approve-action'] =
      'state' in approval ? { ...approval, evidence: needs } : done({ ...needs, ...evidenceOf(approval) });
    const held = await conditionOf(read, context);
    const access = await accessOf(read, observed);
    told['grant-access'] =
      held === null || access.state !== 'open' ? access : stopped('waiting', held, access.evidence);
  }
  told['claim-attempt'] = await attemptsOf(candidate, observed);
  if (verdict.kind !== 'ready') {
    const at = STEP_OF[verdict.reason.code] ?? 'read-action';
    const state = verdict.kind === 'ended' ? 'refused' : 'waiting';
    if (told[at]?.state !== 'refused') told[at] = stopped(state, verdict.reason, told[at]?.evidence ?? {});
  }
  return steps(told);
}

/** Of an action that failed and is tried again, what was and what comes next. */
async function attemptsOf({ id }: Candidate, { context }: Observed): Promise<Told> {
  const resting = await restingNote(id, context);
  return resting === null ? open() : open({ next: nextOf(resting), earlier: historyOf(resting) });
}

/** What a step answers; or why it does not go on. */
async function attempt<T extends object>(
  candidate: Candidate,
  work: () => Promise<T>,
): Promise<Exclude<T, { kind: 'waiting' }> | Told> {
  try {
    const answer = await work();
    if (isWaiting(answer)) return stopped('waiting', answer.reason);
    return answer as Exclude<T, { kind: 'waiting' }>;
  } catch (error) {
    const no = noOrNotYet(error, candidate);
    return stopped(no.kind === 'ended' ? 'refused' : 'waiting', no.reason);
  }
}

function factsOf(read: ReadAction): Step['evidence'] {
  return { formula: read.formula.name, formula_blob: read.formula.blob, tier: read.tier };
}

function rulesOf(read: ReadAction, { context }: Observed): readonly string[] {
  const requirement = context.settings.requirements[read.tier];
  if (requirement === null) return [];
  const people =
    requirement.atLeast > 0
      ? [`at least ${requirement.atLeast} ${requirement.atLeast === 1 ? 'person' : 'people'}`]
      : [];
  const any = requirement.any.length > 0 ? [`any of ${requirement.any.join(' or ')}`] : [];
  return [...requirement.all, ...any, ...people];
}

function evidenceOf({ evidence, approvedAt }: Pick<Approval, 'evidence' | 'approvedAt'>): Step['evidence'] {
  return { ...approvedBy(evidence), approved_at: approvedAt };
}

/** Secrets by name, present or not; nothing is minted before there is a slot. */
export async function accessOf(read: ReadAction, { context }: Observed): Promise<Told> {
  const names = read.action.secrets;
  try {
    const states = await context.access.states(names);
    const secrets = names.map((name) => ({ secret: name, state: states.get(name) ?? 'denied' }));
    const missing = names.filter((name) => states.get(name) === 'missing');
    if (missing.length === 0) return open({ secrets });
    const message = `not in the secret store: ${missing.join(', ')}`;
    return stopped('refused', { code: 'ERR_SECRET_UNKNOWN', message, hint: null }, { secrets });
  } catch (error) {
    if (!(error instanceof EdgeError)) throw error;
    return stopped('waiting', { code: error.code, message: error.message, hint: error.hint });
  }
}
