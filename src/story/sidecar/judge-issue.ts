import { isSidecarId, type SidecarId, sidecarId, sidecarNameOf } from '../../domain/ids.ts';
import type { Issue } from '../../domain/issue.ts';
import { coolDownMs, hasLabelsOf, pageOf, type SidecarRule } from '../../domain/sidecar.ts';
import type { StoryContext } from '../context.ts';
import type { ReadAction } from '../read-action.ts';
import { isWaiting, type Waiting, waiting } from '../waiting.ts';
import type { World } from '../world.ts';
import type { IssueBook, IssueFacts } from './issue-book.ts';
import { type LastRun, lastNumber, lastRun, runsOf, type SidecarResults } from './past-runs.ts';
import { readSidecar } from './read-sidecar.ts';

/*
 * Is this issue work for this formula now? In the order of what it costs to know: its labels, its last run, what the forge
 * has to be asked, what is in force.
 */

/** Everything but `ready` and `waits` is no pending work: nothing is said of it unless somebody asks. */
export type IssueVerdict =
  /** Closed, other labels, or its parts are not done. */
  | { readonly kind: 'other'; readonly message: string }
  /** A run of it is live, or may be. */
  | { readonly kind: 'live'; readonly id: SidecarId }
  /** Its last run was not long ago, or nothing has changed since. */
  | { readonly kind: 'rests'; readonly why: Waiting }
  /** The forge has to be asked first. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'waits'; readonly id: SidecarId; readonly why: Waiting }
  | { readonly kind: 'ready'; readonly id: SidecarId; readonly read: ReadAction };

export interface IssueTools {
  readonly book: IssueBook;
  readonly results: SidecarResults;
  readonly context: StoryContext;
}

const DAY_MS = 86_400_000;
const MOST_IN_VAIN_MS = 2 * 3_600_000;

/** Asks git only. Errors: those of the ops repo. */
export async function judgeIssue(rule: SidecarRule, issue: Issue, tools: IssueTools): Promise<IssueVerdict> {
  const { context, book } = tools;
  const world = context.world();
  if (!hasLabelsOf(rule, issue)) return { kind: 'other', message: labelsMessage(rule, issue) };
  const live = liveRun(rule, issue, context);
  if (live !== null) return { kind: 'live', id: live };
  const last = await lastRun(world, rule, issue.number, tools.results);
  const rest = coolDown(rule, lastNumber(world, rule.formula, issue.number), last, context);
  if (rest !== null) return { kind: 'rests', why: rest };
  const facts = book.facts(issue);
  if (facts === null) return { kind: 'unknown' };
  const parts = partsMessage(rule, facts);
  if (parts !== null) return { kind: 'other', message: parts };
  if (last !== null && isUnchanged(last, issue, facts)) return { kind: 'rests', why: UNCHANGED };
  return judgeWork(rule, issue, facts, context);
}

async function judgeWork(
  rule: SidecarRule,
  issue: Issue,
  facts: IssueFacts,
  context: StoryContext,
): Promise<IssueVerdict> {
  const world = context.world();
  const id = `sidecar/${rule.formula}-${issue.number}-${lastNumber(world, rule.formula, issue.number) + 1}`;
  // Whoever may push to the branch or the journal can plant a run of the highest number there is.
  if (!isSidecarId(id)) return { kind: 'other', message: `${id} can be no id: a number in it is too large` };
  const waits = (why: Waiting): IssueVerdict => ({ kind: 'waits', id, why });
  const unproven = rule.labels.filter((label) => !facts.proven.has(label));
  if (unproven.length > 0) return waits(waiting('ERR_ISSUE_LABELS', unprovenMessage(unproven)));
  if (!world.tips.descends) {
    const message = 'the branch was rewritten: its tip does not descend from the last one seen';
    return waits(waiting('ERR_HISTORY_DIVERGED', message));
  }
  const { repo, project_toml: project } = rule;
  const { digest } = facts;
  const wish = { repo, issue: issue.number, url: pageOf(issue), project, digest, since: issue.updatedAt };
  const read = await readSidecar(id, wish, rule, context);
  if (isWaiting(read)) return waits(read);
  const spent = budgetOf(rule, world, context.clock.now());
  return spent === null ? { kind: 'ready', id, read } : waits(spent);
}

function liveRun({ formula }: SidecarRule, { number }: Issue, { world, clock }: StoryContext): SidecarId | null {
  for (const id of runsOf(world(), formula, clock.now()).live) {
    const name = sidecarNameOf(id);
    if (name?.issue === number) return sidecarId(name);
  }
  return null;
}

export function coolDown(rule: SidecarRule, n: number, last: LastRun | null, { clock }: StoryContext): Waiting | null {
  if (last === null || last.endedAt === null) return null;
  const rest = coolDownMs(rule, n);
  // What never began is tried again soon after the trouble is over, however often it was in vain.
  const until = last.endedAt + (last.began ? rest : Math.min(rest, MOST_IN_VAIN_MS));
  const now = clock.now().getTime();
  // By a clock that was wrong by more than a day, or by whoever planted it.
  if (now >= until || last.endedAt - now > DAY_MS) return null;
  return waiting('ERR_COOL_DOWN', `rests after run ${n} until ${new Date(until).toISOString()}`);
}

/** Without a digest the forge's own time has to do: then at least nothing begins that nothing at all has happened to. */
function isUnchanged({ digest, endedAt, isUntold }: LastRun, { updatedAt }: Issue, facts: IssueFacts): boolean {
  return isUntold ? endedAt !== null && Date.parse(updatedAt) <= endedAt : digest === facts.digest;
}

export const UNCHANGED = waiting(
  'ERR_ISSUE_UNCHANGED',
  'nobody who may write has said or changed anything since its last run',
);

/**
 * Runs that are live and those that ended within a day, as far as the journal remembers. `taken`: how many are live where
 * more is known than the journal says.
 */
export function budgetOf(
  { formula, runs_per_day }: SidecarRule,
  world: World,
  now: Date,
  taken?: number,
): Waiting | null {
  const { live, ended } = runsOf(world, formula, now);
  const lately = ended.filter((at) => at > now.getTime() - DAY_MS && at < now.getTime() + DAY_MS).length;
  const spent = (taken ?? live.size) + lately;
  if (spent < runs_per_day) return null;
  return waiting('ERR_SIDECAR_BUDGET', `${formula} ran ${spent} times within a day, and may ${runs_per_day} times`);
}

export function labelsMessage({ labels, without }: SidecarRule, issue: Issue): string {
  if (issue.state === 'closed') return 'it is closed';
  const missing = labels.filter((label) => !issue.labels.includes(label));
  const bad = without.filter((label) => issue.labels.includes(label));
  const said = [
    ...(missing.length === 0 ? [] : [`it lacks ${missing.join(', ')}`]),
    ...(bad.length === 0 ? [] : [`it has ${bad.join(', ')}`]),
  ];
  return said.join('; ');
}

export function partsMessage({ when }: SidecarRule, { subIssues }: IssueFacts): string | null {
  if (when === null) return null;
  if (subIssues.length === 0) return 'it has no sub-issues';
  const open = subIssues.filter(({ state }) => state === 'open').map(({ number }) => `#${number}`);
  return open.length === 0 ? null : `its sub-issues ${open.join(', ')} are open`;
}

export function unprovenMessage(labels: readonly string[]): string {
  const [noun, verb] = labels.length === 1 ? ['label', 'was'] : ['labels', 'were'];
  return `the ${noun} ${labels.join(', ')} ${verb} not put there by anybody who may write, as far as the forge tells`;
}
