import { formulaTier } from '../domain/formula.ts';
import type { Issue } from '../domain/issue.ts';
import { tierOf } from '../domain/policy.ts';
import type { Reason } from '../domain/run.ts';
import type { SidecarRule } from '../domain/sidecar.ts';
import { highestTier, type Tier } from '../domain/tier.ts';
import { runsOf } from '../story/sidecar/past-runs.ts';
import { formulaOf } from '../story/sidecar/read-sidecar.ts';
import { type JudgedIssue, Sidecars, type UnderWay, type Wanted } from '../story/sidecar/sidecars.ts';
import type { World } from '../story/world.ts';
import type { Observed } from './observe.ts';
import { type ObservedAction, shown, type Verdict } from './observed-action.ts';

/** How one rule stands, as `status` tells it. */
export interface SidecarSummary {
  readonly formula: string;
  readonly repo: string;
  /** Open issues that it wants to work on, now or later; null, as below: the forge is away. */
  readonly matching: number | null;
  readonly in_flight: number;
  readonly in_flight_limit: number;
  readonly waiting: number | null;
  /** In their cool-down, or unchanged since their last run. */
  readonly resting: number | null;
  /** Runs that are live, or ended within a day. */
  readonly runs_today: number;
  readonly runs_per_day: number;
  /** Why the issues can't be seen. */
  readonly outage: { readonly code: string; readonly message: string; readonly hint: string | null } | null;
}

/** The issues as the forge shows them now, and what the rules make of them. */
export interface SeenIssues {
  readonly judged: readonly JudgedIssue[];
  readonly wanted: Wanted;
  readonly summaries: readonly SidecarSummary[];
}

/** The daemon's tasks are not known here. */
export const NOTHING_UNDER_WAY: UnderWay = { isBusy: () => false, resting: () => null, ids: [] };

/** Nothing is asked where no sidecar is configured. An outage of the forge is told, not thrown. */
export async function seeIssues(observed: Observed, signal: AbortSignal): Promise<SeenIssues> {
  const { sidecars: settings, context } = observed;
  if (settings === null) return { judged: [], wanted: { ready: [], waiting: new Map() }, summaries: [] };
  const sidecars = new Sidecars(settings, context);
  await sidecars.poll(signal, Infinity);
  const judged = await sidecars.judged();
  const outages = new Map(sidecars.outages().map(({ repo, reason }) => [repo, reason] as const));
  return {
    judged,
    wanted: await sidecars.judge(NOTHING_UNDER_WAY),
    summaries: settings.rules.map((rule) =>
      summaryOf(rule, { judged, observed, outage: outages.get(rule.repo) ?? null }),
    ),
  };
}

interface Seen {
  readonly judged: readonly JudgedIssue[];
  readonly observed: Observed;
  readonly outage: Reason | null;
}

function summaryOf(rule: SidecarRule, { judged, observed, outage }: Seen): SidecarSummary {
  const { formula, repo, in_flight: limit, runs_per_day } = rule;
  const kinds = judged.filter((one) => one.rule === rule).map(({ verdict }) => verdict.kind);
  const count = (...wanted: readonly string[]) =>
    outage === null ? kinds.filter((kind) => wanted.includes(kind)).length : null;
  return {
    formula,
    repo,
    matching: count('live', 'rests', 'unknown', 'waits', 'ready'),
    in_flight: inFlightOf(rule, observed),
    in_flight_limit: limit,
    waiting: count('waits', 'ready'),
    resting: count('rests'),
    runs_today: runsWithinADay(rule, observed),
    runs_per_day,
    outage: outage === null ? null : shown(outage),
  };
}

const DAY_MS = 86_400_000;

export function inFlightOf({ formula }: SidecarRule, { world, context }: Observed): number {
  return runsOf(world(), formula, context.clock.now()).live.size;
}

/** As the budget counts them. */
export function runsWithinADay({ formula }: SidecarRule, { world, context }: Observed): number {
  const now = context.clock.now();
  const { live, ended } = runsOf(world(), formula, now);
  return live.size + ended.filter((at) => at > now.getTime() - DAY_MS).length;
}

/** Those that want to run: with the verdict of `judgeAll` for what is ready, else with the reason why it waits. */
export function describeWanted(
  { judged, wanted }: SeenIssues,
  verdicts: ReadonlyMap<string, Verdict>,
  { world }: Observed,
): readonly ObservedAction[] {
  return judged.flatMap(({ rule, issue, verdict }) => {
    if (verdict.kind !== 'ready' && verdict.kind !== 'waits') return [];
    const { id } = verdict;
    return [describeIssue({ id, rule, issue, why: wanted.waiting.get(id) ?? reasonOf(verdicts.get(id)) }, world())];
  });
}

/** null: nothing stands against it. A no that only the services say is none for good: no file asked for it. */
export function reasonOf(verdict: Verdict | undefined): Reason | null {
  return verdict === undefined || verdict.kind === 'ready' ? null : verdict.reason;
}

interface Described {
  readonly id: string;
  readonly rule: SidecarRule;
  readonly issue: Issue;
  readonly why: Reason | null;
}

export function describeIssue({ id, rule, issue, why }: Described, world: World): ObservedAction {
  return {
    id,
    state: why === null ? 'ready' : 'pending',
    reason: why === null ? null : shown(why),
    since: issue.updatedAt,
    tier: tierOfRule(rule, world),
    formula: rule.formula,
    blob: world.inForce.projects.get(rule.project_toml)?.blob ?? null,
    attempt: null,
    run: null,
    issue: { repo: rule.repo, number: issue.number, url: issue.url },
  };
}

/** null: its formula or the policy is not in force. */
export function tierOfRule(rule: SidecarRule, world: World): Tier | null {
  const found = formulaOf(rule, world);
  const { policy } = world.inForce;
  if ('kind' in found || policy === null) return null;
  return highestTier(tierOf(policy.policy, rule.formula), formulaTier(found.formula));
}
