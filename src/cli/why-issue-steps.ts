import { sidecarId } from '../domain/ids.ts';
import type { Issue } from '../domain/issue.ts';
import type { Reason } from '../domain/run.ts';
import { coolDownMs, hasLabelsOf, SIDECAR_JOB, type SidecarRule } from '../domain/sidecar.ts';
import { EdgeError } from '../errors.ts';
import { pauseReason } from '../story/pause.ts';
import { reason, reasonOf } from '../story/reasons.ts';
import {
  budgetOf,
  coolDown,
  labelsMessage,
  partsMessage,
  UNCHANGED,
  unprovenMessage,
} from '../story/sidecar/judge-issue.ts';
import { lastNumber, lastRun, SidecarResults } from '../story/sidecar/past-runs.ts';
import { formulaOf, projectMissing, readSidecar } from '../story/sidecar/read-sidecar.ts';
import type { InspectedIssue } from '../story/sidecar/sidecars.ts';
import { isWaiting } from '../story/waiting.ts';
import type { Observed } from './observe.ts';
import { inFlightOf, runsWithinADay, tierOfRule } from './observed-sidecars.ts';
import {
  done,
  ISSUE_STEPS,
  type IssueStepName,
  open,
  type Reasoned,
  type Step,
  stopped,
  type Told,
} from './why-steps.ts';
import { accessOf } from './why-waiting.ts';

/** What the forge said of an issue; or why it said nothing. */
export type AskedIssue =
  | {
      readonly seen: InspectedIssue;
      readonly setters: readonly LabelSetter[];
      /** What holds it back by the daemon's own judgement; null: nothing, or that it is no work. */
      readonly why: Reason | null;
    }
  | { readonly away: Reason };

interface LabelSetter {
  readonly [key: string]: string | null;
  readonly label: string;
  readonly by: string | null;
  readonly may_write: string | null;
}

/** Each step is asked for itself, so that one look shows all that is missing. */
export async function stepsOfIssue(
  rule: SidecarRule,
  number: number,
  asked: AskedIssue,
  observed: Observed,
): Promise<readonly Step[]> {
  const told: Record<IssueStepName, Told> = {
    ...(await stepsByForge(rule, number, asked, observed)),
    'last-run': await stepOfLastRun(rule, number, observed),
    ...stepsInForce(rule, observed),
    ...(await stepsOfTurn(rule, number, asked, observed)),
  };
  return ISSUE_STEPS.map((step) => ({ step, ...told[step] }));
}

// What the forge knows

async function stepsByForge(rule: SidecarRule, number: number, asked: AskedIssue, observed: Observed) {
  if ('away' in asked) {
    const issue = stopped('waiting', asked.away, { issue: `${rule.repo}#${number}` });
    return { issue, labels: open(), 'labels-set-by': open(), 'sub-issues': open(), change: open() };
  }
  const { seen, setters } = asked;
  const { title, url, state, updatedAt } = seen.issue;
  const facts = { issue: `${rule.repo}#${number}`, title, url, state, updated: updatedAt };
  return {
    issue: state === 'open' ? done(facts) : held('it is closed', facts),
    labels: stepOfLabels(rule, seen.issue),
    'labels-set-by': stepOfSetters(rule, seen, setters),
    'sub-issues': stepOfParts(rule, seen),
    change: await stepOfChange(rule, seen, observed),
  };
}

/** Waits for what no code stands for. */
const held = (message: string, evidence: Step['evidence'], hint: string | null = null): Told => ({
  ...done(evidence),
  state: 'waiting',
  message,
  hint,
});

function stepOfLabels(rule: SidecarRule, issue: Issue): Told {
  const evidence = { needs: rule.labels, without: rule.without, has: issue.labels };
  const labels = { ...issue, state: 'open' as const };
  if (hasLabelsOf(rule, labels)) return done(evidence);
  return held(labelsMessage(rule, labels), evidence, labelsHint(rule, issue));
}

function labelsHint({ labels, without }: SidecarRule, issue: Issue): string {
  const missing = labels.filter((label) => !issue.labels.includes(label));
  const bad = without.filter((label) => issue.labels.includes(label));
  const todo = [
    ...(missing.length === 0 ? [] : [`somebody who may write puts ${missing.join(', ')} on it`]),
    ...(bad.length === 0 ? [] : [`${bad.join(', ')} is taken off it`]),
  ];
  return `It is looked at when ${todo.join(' and ')}.`;
}

function stepOfSetters({ labels }: SidecarRule, { issue, facts }: InspectedIssue, set: readonly LabelSetter[]): Told {
  const there = labels.filter((label) => issue.labels.includes(label));
  if (there.length === 0) return open();
  const unproven = there.filter((label) => !facts.proven.has(label));
  if (unproven.length === 0) return done({ set });
  return stopped('waiting', reason('ERR_ISSUE_LABELS', unprovenMessage(unproven)), { set });
}

/** Those of authors who may not write are told, and do not count. */
function stepOfParts(rule: SidecarRule, { facts, parts }: InspectedIssue): Told {
  const counting = new Set(facts.subIssues.map(({ number }) => number));
  const sub_issues = parts.map(({ number, state, author }) => {
    const counts = counting.has(number) ? null : `no: ${author.login} may not write`;
    return { 'sub-issue': `#${number}`, state, counts };
  });
  const message = partsMessage(rule, facts);
  if (message !== null) return held(message, { sub_issues }, 'All sub-issues have to be closed.');
  return rule.when === null && parts.length === 0 ? open() : done({ sub_issues });
}

async function stepOfChange(rule: SidecarRule, { issue, facts }: InspectedIssue, { world, context }: Observed) {
  const last = await lastRun(world(), rule, issue.number, new SidecarResults(context));
  if (last === null) return open();
  if (last.digest === facts.digest) return stopped('waiting', UNCHANGED.reason);
  return done({ since_last_run: last.digest === null ? 'not known; counts as changed' : 'changed' });
}

// What git knows

async function stepOfLastRun(rule: SidecarRule, issue: number, { world, context }: Observed): Promise<Told> {
  const n = lastNumber(world(), rule.formula, issue);
  if (n === 0) return done({ runs: 0 });
  const results = new SidecarResults(context);
  const last = await lastRun(world(), rule, issue, results);
  const id = sidecarId({ formula: rule.formula, issue, n });
  const result = await results.of(id, world());
  const endedAt = last?.endedAt ?? null;
  const facts = {
    run: id,
    outcome: result?.outcome ?? null,
    exit_code: result?.exit_code ?? null,
    ended: endedAt === null ? null : timeOf(endedAt),
    rests_until: endedAt === null ? null : timeOf(endedAt + coolDownMs(rule, n)),
  };
  const lost = heldUntil(id, { world, context });
  if (lost !== null) return held(`something of it may still run until ${lost}`, facts);
  const rest = coolDown(rule, n, last, context);
  return rest === null ? done(facts) : stopped('waiting', rest.reason, facts);
}

const timeOf = (ms: number) => new Date(ms).toISOString();

/** Of a run of which nobody knows whether it has ended. */
function heldUntil(id: string, { world, context }: Pick<Observed, 'world' | 'context'>): string | null {
  const until = world().journal.ended.get(id)?.held_until;
  return until !== undefined && Date.parse(until) > context.clock.now().getTime() ? until : null;
}

function stepsInForce(rule: SidecarRule, { world }: Observed) {
  const { inForce } = world();
  const found = formulaOf(rule, world());
  const project = inForce.projects.get(rule.project_toml);
  const at = { path: rule.project_toml };
  const { policyProblem } = inForce;
  return {
    formula:
      policyProblem !== null
        ? stopped('waiting', { ...policyProblem, hint: null }, { formula: rule.formula })
        : 'kind' in found
          ? stopped('waiting', found.reason, { formula: rule.formula })
          : done({ formula: rule.formula, blob: found.blob, tier: tierOfRule(rule, world()), unattended: true }),
    project:
      project === undefined || project.problem !== null
        ? stopped('waiting', projectMissing(rule, world()).reason, at)
        : done({ ...at, blob: project.blob, commit: project.commit }),
  };
}

// Whose turn it is

async function stepsOfTurn(rule: SidecarRule, issue: number, asked: AskedIssue, observed: Observed) {
  const { context, world } = observed;
  const counted = { within_a_day: `${runsWithinADay(rule, observed)} of ${rule.runs_per_day}` };
  const spent = budgetOf(rule, world(), context.clock.now());
  return {
    budget: spent === null ? done(counted) : stopped('waiting', spent.reason, counted),
    slot: await stepOfSlot(rule, asked, observed),
    ...(await stepsByServices(rule, issue, observed)),
  };
}

const OF_SLOT: readonly string[] = ['ERR_SLOT', 'ERR_GROUP', 'ERR_PAUSED'];

async function stepOfSlot(rule: SidecarRule, asked: AskedIssue, { world, context, ...rest }: Observed): Promise<Told> {
  const taken = inFlightOf(rule, { world, context, ...rest });
  const facts = { in_flight: `${taken} of ${rule.in_flight}` };
  const own = 'why' in asked && asked.why !== null && OF_SLOT.includes(asked.why.code) ? asked.why : null;
  const full =
    taken < rule.in_flight
      ? null
      : reason('ERR_SLOT', `${rule.formula} has ${taken} of ${rule.in_flight} runs on issues`);
  const why = own ?? (await pauseReason(world(), context)) ?? full;
  return why === null ? done(facts) : stopped('waiting', why, facts);
}

/** Secrets by name, and whether the engine has the job; nothing is asked of either without formula and project file. */
async function stepsByServices(rule: SidecarRule, issue: number, observed: Observed) {
  const { context, world } = observed;
  const id = sidecarId({ formula: rule.formula, issue, n: lastNumber(world(), rule.formula, issue) + 1 });
  const wish = { repo: rule.repo, issue, url: '', project: rule.project_toml, digest: '', since: '' };
  const read = await readSidecar(id, wish, rule, context);
  if (isWaiting(read)) return { secrets: open(), job: open() };
  const facts = { engine: context.engine.kind, job: SIDECAR_JOB, mounts: read.action.mounts };
  const no = await orReason(() => context.engine.ready({ job: read.job, mounts: read.action.mounts }));
  return {
    secrets: await accessOf(read, observed),
    job: no === null ? done(facts) : stopped('waiting', no, facts),
  };
}

async function orReason(work: () => Promise<void>): Promise<Reasoned | null> {
  try {
    await work();
    return null;
  } catch (error) {
    if (error instanceof EdgeError) return reasonOf(error);
    throw error;
  }
}
