import { parseAction } from '../domain/action.ts';
import { checkAgainstFormula } from '../domain/action-check.ts';
import type { Check } from '../domain/check.ts';
import { type Formula, formulaTier } from '../domain/formula.ts';
import { attemptToken } from '../domain/ids.ts';
import { emptyPlan, type Plan, type PlannedCommand } from '../domain/plan.ts';
import { tierOf } from '../domain/policy.ts';
import type { Reason } from '../domain/run.ts';
import { EdgeError, type Problem } from '../errors.ts';
import { buildPayload, sizedFragment } from './build-payload.ts';
import type { StoryContext } from './context.ts';
import { approvalChecks, planApproval, withoutPeople } from './plan-approval.ts';
import { lastRunOf } from './plan-last-run.ts';
import { turnChecks } from './plan-turn.ts';
import type { Planned } from './planned.ts';
import { type ReadAction, readAction } from './read-action.ts';
import { isWaiting } from './waiting.ts';
import type { Candidate } from './world.ts';

export interface PlanTools {
  /** Names of `[mounts]` that the operator has set. */
  readonly mounts: readonly string[];
  /** Why nothing new is claimed at all; null: nothing stands against it. */
  readonly paused: Reason | null;
  readonly signal?: AbortSignal | undefined;
}

/**
 * What the daemon would do with these bytes, by its own judgement in the world of `context` (`afterPush`); nothing is
 * written anywhere. Errors: TransientError, StalledError of the ops repo; what else is away is told as a check.
 */
export async function planAction(planned: Planned, context: StoryContext, tools: PlanTools): Promise<Plan> {
  const parsed = parseAction(planned.bytes, planned.path);
  const plan = emptyPlan(planned);
  const problems = parsed.ok ? parsed.warnings : parsed.problems;
  const checks = [...checksOf('action', problems, 'a valid action')];
  if (planned.candidate === null || !parsed.ok) return { ...plan, checks };
  const action = parsed.value;
  const inForce = context.world().inForce.formulas.get(action.formula);
  const formula = inForce?.formula ?? null;
  const tooMuch = formula === null ? [] : checkAgainstFormula(action, formula, planned.path);
  const known: Plan = {
    ...plan,
    context: action.context,
    formula: { name: action.formula, blob: inForce?.blob ?? null },
    command: formula === null ? null : commandOf(formula, context.settings.agent),
  };
  const view = planned.committed ? context : withoutPeople(context);
  const read = await readPlanned(planned.candidate, view);
  checks.push(...formulaChecks(read, tooMuch, action.formula));
  if (!('tier' in read)) {
    const turn = await turnChecks(planned, view, { checks, read: null, ...tools });
    return { ...known, checks: [...checks, ...turn] };
  }
  return planRead(read, planned, view, { plan: { ...known, checks }, tools });
}

async function planRead(
  read: ReadAction,
  planned: Planned,
  view: StoryContext,
  { plan, tools }: { readonly plan: Plan; readonly tools: PlanTools },
): Promise<Plan> {
  const access = await accessOf(read, view);
  const approval = await planApproval(read, planned, view);
  const checks = [
    ...plan.checks,
    ...(await approvalChecks(approval, read, planned, view)),
    ...access.checks,
    ...mountChecks(read, tools.mounts),
    ...sizeChecks(read, view),
  ];
  return {
    ...plan,
    checks: [...checks, ...(await turnChecks(planned, view, { checks, read, ...tools }))],
    tier: { tier: read.tier, because: becauseOf(read, view) },
    approval,
    access: {
      policies: ['edge-run', ...read.action.secrets.map((name) => `runner-${name}`)],
      secrets: access.secrets.map((each) => ({ ...each, place: view.access.placeOf?.(each.name) ?? each.name })),
    },
    run: runOf(read, view),
    last: await lastRunOf(read, view),
  };
}

type No = { readonly code: Check['code']; readonly message: string; readonly hint: string | null };

async function readPlanned(candidate: Candidate, context: StoryContext): Promise<ReadAction | No> {
  try {
    const read = await readAction(candidate, context.world(), context.opsRepo);
    return isWaiting(read) ? read.reason : read;
  } catch (error) {
    if (error instanceof EdgeError) return { code: error.code, message: error.message, hint: error.hint };
    throw error;
  }
}

/** Every problem of what it asks for, or else why its formula can't be had. */
function formulaChecks(read: ReadAction | No, tooMuch: readonly Problem[], name: string): readonly Check[] {
  if (tooMuch.some(({ severity }) => severity === 'error') || 'tier' in read) {
    return checksOf('formula', tooMuch, `${name} allows what it asks for`);
  }
  return [{ name: 'formula', ok: false, code: read.code, message: read.message, fix: read.hint }];
}

function becauseOf(read: ReadAction, context: StoryContext): readonly string[] {
  const { policy } = context.world().inForce;
  const formula = read.formula.value;
  const own = formulaTier(formula);
  return [
    ...(policy === null ? [] : [`the policy says ${tierOf(policy.policy, formula.name)}`]),
    own === formula.tier
      ? `the formula says ${formula.tier}`
      : `the formula says ${formula.tier}, with mounts at least ${own}`,
    ...(read.action.blast_radius === null ? [] : [`its blast_radius is ${read.action.blast_radius}`]),
  ];
}

function commandOf({ command, script, prompt }: Formula, agent: readonly string[]): PlannedCommand {
  if (command !== null) return { kind: 'command', argv: command, first_line: null, lines: 0 };
  const text = script ?? prompt ?? '';
  const lines = text.trimEnd().split('\n');
  const told = { first_line: lines.find((line) => line.trim() !== '') ?? '', lines: lines.length };
  return script === null ? { kind: 'prompt', argv: agent, ...told } : { kind: 'script', argv: [], ...told };
}

async function accessOf(read: ReadAction, context: StoryContext) {
  const names = read.action.secrets;
  try {
    const states = await context.access.states(names);
    const secrets = names.map((name) => ({ name, state: states.get(name) ?? 'denied' }));
    return { secrets, checks: secrets.map(secretCheck) };
  } catch (error) {
    if (!(error instanceof EdgeError)) throw error;
    const away: Check = { name: 'secrets', ok: false, code: error.code, message: error.message, fix: error.hint };
    return { secrets: names.map((name) => ({ name, state: 'unknown' })), checks: [away] };
  }
}

function secretCheck({ name, state }: { readonly name: string; readonly state: string }): Check {
  const message = `${name} is ${state}`;
  if (state === 'present') return { name: 'secret', ok: true, code: null, message, fix: null };
  const code = state === 'missing' ? 'ERR_SECRET_UNKNOWN' : 'ERR_ACCESS_DENIED';
  const fix = state === 'missing' ? 'Put the secret into the store, or mend its name.' : 'Let the dispatcher grant it.';
  return { name: 'secret', ok: false, code, message, fix };
}

/** Mounts that the operator has not set stop a run at its dispatch. */
function mountChecks({ action }: ReadAction, known: readonly string[]): readonly Check[] {
  return action.mounts.map((mount) => {
    const there = known.includes(mount);
    const fix = there ? null : `Add [mounts.${mount}] to the configuration of the dispatcher.`;
    const message = there ? `${mount} is configured` : `there is no [mounts.${mount}]`;
    return { name: 'mount', ok: there, code: there ? null : 'ERR_ENGINE_DENIED', message, fix };
  });
}

/** Digits that do not compress stand for what is minted later, as the story itself measures it. */
function sizeChecks(read: ReadAction, context: StoryContext): readonly Check[] {
  const { id, file } = read.candidate;
  const key = { repo: context.world().tips.root, id, blob: file.entry.oid, attempt: 1 };
  const attempt = { id, number: 1, token: attemptToken(key) };
  try {
    const access = { fragment: sizedFragment(read, context), trailerKey: context.clock.key() };
    const bytes = buildPayload(read, attempt, access, context).length;
    return [{ name: 'payload', ok: true, code: null, message: `${bytes} of at most 16384 bytes`, fix: null }];
  } catch (error) {
    if (!(error instanceof EdgeError)) throw error;
    return [{ name: 'payload', ok: false, code: error.code, message: error.message, fix: error.hint }];
  }
}

/** Between the end of the command's time and the deadline of the attempt (formats.md, Dispatch). */
const MARGIN_SECONDS = 120;

function runOf(read: ReadAction, { engine, settings }: StoryContext): Plan['run'] {
  const formula = read.formula.value;
  return {
    engine: engine.kind,
    job: formula.job,
    mounts: read.action.mounts.toSorted(),
    timeout_seconds: read.timeoutSeconds,
    deadline_seconds: settings.placementSeconds + read.timeoutSeconds + MARGIN_SECONDS,
    group: formula.concurrency,
    group_limit: formula.concurrency_limit,
    ...(read.action.retry === null ? {} : { attempts: read.action.retry.attempts }),
  };
}

function checksOf(name: string, problems: readonly Problem[], good: string): readonly Check[] {
  const told = problems.map(({ code, message, severity, line, column, hint }): Check => {
    const place = line === undefined ? '' : ` (line ${line}${column === undefined ? '' : `, column ${column}`})`;
    return { name, ok: severity === 'warning', code, message: `${message}${place}`, fix: hint ?? null };
  });
  return told.some(({ ok }) => !ok) ? told : [{ name, ok: true, code: null, message: good, fix: null }, ...told];
}
