import { sidecarId } from '../domain/ids.ts';
import type { Reason } from '../domain/run.ts';
import type { SidecarRule } from '../domain/sidecar.ts';
import { EdgeError, UsageError } from '../errors.ts';
import { reasonOf } from '../story/reasons.ts';
import { lastNumber, SidecarResults } from '../story/sidecar/past-runs.ts';
import { type InspectedIssue, type SidecarSettings, Sidecars } from '../story/sidecar/sidecars.ts';
import type { Explained } from './explain-action.ts';
import type { Observed } from './observe.ts';
import { judgeAll, shown } from './observed-action.ts';
import { describeIssue, NOTHING_UNDER_WAY, reasonOf as reasonOfVerdict, tierOfRule } from './observed-sidecars.ts';
import { type AskedIssue, stepsOfIssue } from './why-issue-steps.ts';

/** What holds for an issue and one formula now, and how the last runs ended. */
export interface ExplainedIssue extends Explained {
  readonly results: readonly EndedRun[];
}

interface EndedRun {
  readonly id: string;
  readonly outcome: string;
  readonly exit_code: number;
  readonly ended: string;
}

const RESULTS = 5;

/** Asks the forge; that it is away is told. Throws UsageError (ERR_NOT_FOUND) for an issue that there is not. */
export async function explainIssue(
  rule: SidecarRule,
  issue: number,
  observed: Observed,
  signal: AbortSignal,
): Promise<ExplainedIssue> {
  const { sidecars: settings } = observed;
  if (settings === null) throw new Error('a rule without rules');
  const asked = await ask(rule, issue, { settings, observed, signal });
  const action = 'away' in asked ? unseen(rule, issue, asked.away, observed) : describe(rule, asked, observed);
  return {
    ...action,
    steps: await stepsOfIssue(rule, issue, asked, observed),
    results: await lastResults(rule, issue, observed),
  };
}

interface Asking {
  readonly settings: SidecarSettings;
  readonly observed: Observed;
  readonly signal: AbortSignal;
}

async function ask(rule: SidecarRule, number: number, { settings, observed, signal }: Asking): Promise<AskedIssue> {
  const sidecars = new Sidecars(settings, observed.context);
  try {
    const seen = await sidecars.inspect(rule, number, signal);
    if (seen === null) throw noIssue(rule, number, observed);
    const setters = await settersOf(rule, seen, { settings, observed, signal });
    return { seen, setters, why: await reasonNow(seen, sidecars, observed, signal) };
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof UsageError || !(error instanceof EdgeError)) throw error;
    return { away: reasonOf(error) };
  }
}

function noIssue({ repo, formula }: SidecarRule, issue: number, { world }: Observed): UsageError {
  const last = lastNumber(world(), formula, issue);
  const runs = last === 0 ? '' : ` Its last run was ${sidecarId({ formula, issue, n: last })}.`;
  const hint = `Changes (pull requests) are no issues, and a moved one has another number.${runs}`;
  return new UsageError('ERR_NOT_FOUND', `there is no issue #${issue} in ${repo}`, { hint });
}

async function settersOf(rule: SidecarRule, { issue, facts }: InspectedIssue, { settings, signal }: Asking) {
  const setters = await settings.trackers.get(rule.repo)?.labelledBy(issue.number, signal);
  return rule.labels.flatMap((label) => {
    if (!issue.labels.includes(label)) return [];
    const by = setters?.get(label)?.login ?? null;
    return [{ label, by, may_write: facts.proven.has(label) ? 'yes' : by === null ? null : 'no' }];
  });
}

/** Of an issue that could run now, what slots, pause and services say; null: nothing. */
async function reasonNow(
  { verdict }: InspectedIssue,
  sidecars: Sidecars,
  observed: Observed,
  signal: AbortSignal,
): Promise<Reason | null> {
  if (verdict.kind !== 'ready') return 'why' in verdict ? verdict.why.reason : null;
  const { ready, waiting } = await sidecars.judge(NOTHING_UNDER_WAY);
  const held = waiting.get(verdict.id);
  if (held !== undefined) return held;
  const own = ready.filter(({ read }) => read.candidate.id === verdict.id);
  return reasonOfVerdict((await judgeAll([], observed, signal, own)).get(verdict.id));
}

type SeenIssue = Exclude<AskedIssue, { readonly away: Reason }>;

function describe(rule: SidecarRule, { seen, why }: SeenIssue, observed: Observed) {
  const { issue, verdict } = seen;
  const id = 'id' in verdict ? verdict.id : `sidecar/${rule.formula}-${issue.number}`;
  const described = describeIssue({ id, rule, issue, why }, observed.world());
  if (verdict.kind === 'other') return { ...described, state: 'unmatched', since: null };
  // `live`: its run has ended, but perhaps not all of it.
  const rests = verdict.kind === 'rests' || verdict.kind === 'live';
  return rests ? { ...described, state: 'resting', since: null } : described;
}

function unseen(rule: SidecarRule, number: number, away: Reason, { world }: Observed) {
  return {
    id: `sidecar/${rule.formula}-${number}`,
    state: 'pending',
    reason: shown(away),
    since: null,
    tier: tierOfRule(rule, world()),
    formula: rule.formula,
    blob: world().inForce.projects.get(rule.project_toml)?.blob ?? null,
    attempt: null,
    run: null,
    issue: { repo: rule.repo, number, url: null },
  };
}

async function lastResults(rule: SidecarRule, issue: number, { world, context }: Observed) {
  const results = new SidecarResults(context);
  const found: EndedRun[] = [];
  for (let n = lastNumber(world(), rule.formula, issue); n > 0 && found.length < RESULTS; n -= 1) {
    const result = await results.of(sidecarId({ formula: rule.formula, issue, n }), world());
    if (result === null) continue;
    const { id, outcome, exit_code, times } = result;
    found.push({ id, outcome, exit_code, ended: times.finished ?? times.recorded });
  }
  return found;
}
