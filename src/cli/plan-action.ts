import { parseAction } from '../domain/action.ts';
import { checkAgainstFormula } from '../domain/action-check.ts';
import type { Check } from '../domain/check.ts';
import { formulaTier } from '../domain/formula.ts';
import { tierOf } from '../domain/policy.ts';
import type { Tier } from '../domain/tier.ts';
import { EdgeError, type Problem } from '../errors.ts';
import type { OpsRepo } from '../ports/ops-repo.ts';
import { buildPayload, sizedFragment } from '../story/build-payload.ts';
import type { StoryContext } from '../story/context.ts';
import { type ReadAction, readAction } from '../story/read-action.ts';
import { isWaiting } from '../story/waiting.ts';
import type { Candidate, World } from '../story/world.ts';
import type { Observed } from './observe.ts';
import { approvalChecks } from './plan-approval.ts';
import type { Planned } from './plan-file.ts';
import { type LastRun, lastRunOf } from './plan-last-run.ts';
import { turnChecks } from './plan-turn.ts';

export interface Plan {
  readonly checks: readonly Check[];
  readonly id: string | null;
  readonly path: string;
  readonly blob: string;
  /** These very bytes lie on the branch. */
  readonly committed: boolean;
  readonly tier: { readonly tier: Tier; readonly because: readonly string[] } | null;
  readonly access: {
    readonly policies: readonly string[];
    readonly secrets: readonly { readonly name: string; readonly state: string }[];
  } | null;
  readonly run: {
    readonly engine: string;
    readonly job: string;
    readonly mounts: readonly string[];
    readonly timeout_seconds: number;
    /** From the claim: placement, command and margin. */
    readonly deadline_seconds: number;
    readonly group: string | null;
    readonly group_limit: number;
  } | null;
  readonly last: LastRun | null;
}

/** What the daemon would do with these bytes, by its own judgement; nothing is written anywhere. */
export async function planAction(planned: Planned, observed: Observed, signal: AbortSignal): Promise<Plan> {
  const { path, blob, committed, id } = planned;
  const none: Plan = { checks: [], id, path, blob, committed, tier: null, access: null, run: null, last: null };
  const parsed = parseAction(planned.bytes, path);
  const problems = parsed.ok ? parsed.warnings : parsed.problems;
  const checks = [...checksOf('action', problems, 'a valid action')];
  if (planned.candidate === null || !parsed.ok) return { ...none, checks };
  const inForce = observed.world().inForce.formulas.get(parsed.value.formula)?.formula ?? null;
  const tooMuch = inForce === null ? [] : checkAgainstFormula(parsed.value, inForce, path);
  const view = hypothetical(planned.candidate, planned.bytes, observed);
  const read = await readPlannedAction(planned.candidate, view);
  checks.push(...formulaChecks(read, tooMuch, parsed.value.formula));
  if (!('tier' in read))
    return { ...none, checks: [...checks, ...(await turnChecks(planned, view, { checks, read: null, signal }))] };
  const access = await accessOf(read, view);
  checks.push(...(await approvalChecks(read, planned, view)), ...access.checks, ...engineChecks(read, observed));
  checks.push(...sizeChecks(read, view), ...(await turnChecks(planned, view, { checks, read, signal })));
  const { secrets } = access;
  return {
    ...none,
    checks,
    tier: { tier: read.tier, because: becauseOf(read, observed) },
    access: { policies: ['edge-run', ...read.action.secrets.map((name) => `runner-${name}`)], secrets },
    run: runOf(read, observed),
    last: await lastRunOf(read, observed),
  };
}

/** The world right after a push of these bytes; of what lies on the branch already, the world as it is. */
function hypothetical(candidate: Candidate, bytes: Uint8Array, observed: Observed): StoryContext {
  const world = observed.world();
  const { oid } = candidate.file.entry;
  const changed: World = { ...world, candidates: new Map(world.candidates).set(candidate.id, candidate) };
  const opsRepo = withBlob(observed.context.opsRepo, oid, bytes);
  return { ...observed.context, opsRepo, world: () => changed };
}

/** The ops repo with one more blob. */
function withBlob(opsRepo: OpsRepo, blob: string, bytes: Uint8Array): OpsRepo {
  const read: OpsRepo['read'] = (asked) => (asked === blob ? Promise.resolve(bytes) : opsRepo.read(asked));
  return new Proxy(opsRepo, {
    get(target, name) {
      if (name === 'read') return read;
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

type No = { readonly code: Check['code']; readonly message: string; readonly hint: string | null };

async function readPlannedAction(candidate: Candidate, context: StoryContext): Promise<ReadAction | No> {
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

function becauseOf(read: ReadAction, observed: Observed): readonly string[] {
  const { policy } = observed.world().inForce;
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
function engineChecks(read: ReadAction, { config }: Observed): readonly Check[] {
  return read.action.mounts.map((mount) => {
    const there = Object.hasOwn(config.mounts, mount);
    const fix = there ? null : `Add [mounts.${mount}] to the configuration of the dispatcher.`;
    const message = there ? `${mount} is configured` : `there is no [mounts.${mount}]`;
    return { name: 'mount', ok: there, code: there ? null : 'ERR_ENGINE_DENIED', message, fix };
  });
}

/** Digits that do not compress stand for what is minted later, as the story itself measures it. */
function sizeChecks(read: ReadAction, context: StoryContext): readonly Check[] {
  const { id } = read.candidate;
  const attempt = { id, number: 1, token: context.world().tips.root.slice(0, 32) as never };
  try {
    const access = { fragment: sizedFragment(read, context), trailerKey: context.clock.key() };
    const bytes = buildPayload(read, attempt, access, context).length;
    return [{ name: 'payload', ok: true, code: null, message: `${bytes} of at most 16384 bytes`, fix: null }];
  } catch (error) {
    if (!(error instanceof EdgeError)) throw error;
    return [{ name: 'payload', ok: false, code: error.code, message: error.message, fix: error.hint }];
  }
}

function runOf(read: ReadAction, { context }: Observed): Plan['run'] {
  const formula = read.formula.value;
  const margin = 120;
  return {
    engine: context.engine.kind,
    job: formula.job,
    mounts: read.action.mounts.toSorted(),
    timeout_seconds: read.timeoutSeconds,
    deadline_seconds: context.settings.placementSeconds + read.timeoutSeconds + margin,
    group: formula.concurrency,
    group_limit: formula.concurrency_limit,
  };
}

function checksOf(name: string, problems: readonly Problem[], good: string): readonly Check[] {
  const told = problems.map(({ code, message, severity, line, column, hint }): Check => {
    const place = line === undefined ? '' : ` (line ${line}${column === undefined ? '' : `, column ${column}`})`;
    return { name, ok: severity === 'warning', code, message: `${message}${place}`, fix: hint ?? null };
  });
  return told.some(({ ok }) => !ok) ? told : [{ name, ok: true, code: null, message: good, fix: null }, ...told];
}
