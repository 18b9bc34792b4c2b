import { tagCommand } from '../domain/approval-tag.ts';
import { isOid } from '../domain/ids.ts';
import { commandLine, type Plan, requirementText } from '../domain/plan.ts';
import { pauseReason } from '../story/pause.ts';
import { planAction } from '../story/plan-action.ts';
import { afterPush, type Planned } from '../story/planned.ts';
import { type Io, paint, printLine, quoted } from './io.ts';
import { printBeside } from './layout.ts';
import type { Observed } from './observe.ts';
import { classOf } from './observed-action.ts';

/** The facts of a plan, as `plan` tells them of a file and `why` of an action that waits. */

export const NAME_COLUMN = 13;
export const FACT_MARGIN = NAME_COLUMN + 8;

/** What the daemon would do with these bytes right after a push of them alone. */
export async function planOne(planned: Planned, { config, context }: Observed, signal: AbortSignal): Promise<Plan> {
  const paused = await pauseReason(context.world(), context);
  const tools = { mounts: Object.keys(config.mounts), paused, signal };
  return planAction(planned, afterPush([planned], context), tools);
}

/** Tier, approval, secrets, command, time, and what differs from the last run. */
export function printFacts(io: Io, { tier, approval, access, command, run, last }: Plan): void {
  if (tier !== null) printFact(io, 'tier', `${tier.tier}: ${tier.because.join(', ')}`);
  if (approval !== null) printFact(io, 'needs', needsOf(approval));
  if (access !== null) printFact(io, 'policies', access.policies.join(', '));
  for (const { name, place } of access?.secrets ?? [])
    if (place !== name) printFact(io, 'secret', `${name} at ${place}`);
  if (command !== null) printFact(io, 'command', commandLine(command));
  if (run !== null) printRun(io, run);
  if (last !== null) printLast(io, last);
}

/** What an approver can run now, in one line that is never wrapped, because people copy it. */
export function printTagCommand(io: Io, plan: Plan, { world }: Observed): void {
  if (!isTagWanted(plan) || !isOid(plan.blob)) return;
  const { tip, root } = world().tips;
  printLine(io, '\nTo approve it by a signed tag, an approver runs in a clone:');
  printLine(io, `  ${quoted(tagCommand({ repo: root, path: plan.path, blob: plan.blob }, tip))}`);
}

/** A rule that is met can still bring more people; approved beside another formula, a tag of the same name is there. */
function isTagWanted({ committed, approval, checks }: Plan): boolean {
  const rule = approval?.rules.find((each) => each.rule === 'signed-tag');
  if (!committed || rule === undefined || !isOpen(checks)) return false;
  return !rule.met || (approval?.required?.atLeast ?? 0) > 0;
}

/** The verdict of all rules is the last of their checks. */
function isOpen(checks: Plan['checks']): boolean {
  const verdict = checks.findLast(({ name }) => name === 'approval');
  if (verdict === undefined || verdict.ok || verdict.code === null) return false;
  return verdict.code !== 'ERR_FORMULA_CHANGED' && classOf(verdict.code) === 'waiting';
}

function printRun(io: Io, run: NonNullable<Plan['run']>): void {
  const mounts = run.mounts.length === 0 ? '' : `, mounts ${run.mounts.join(', ')}`;
  const group = run.group === null ? '' : `, ${run.group_limit} at a time in group ${run.group}`;
  printFact(io, 'run', `job ${run.job} on ${run.engine}${mounts}${group}`);
  const [timeout, whole] = [run.timeout_seconds / 60, run.deadline_seconds / 60];
  printFact(io, 'time', `${timeout} min for the command; over ${whole} min after its claim at the latest`);
  if (run.attempts !== undefined) printFact(io, 'attempts', `at most ${run.attempts}, while they fail`);
}

function needsOf({ required, rules, approvers }: NonNullable<Plan['approval']>): string {
  const whose = rules.length === 0 ? '' : `; whose approval counts: ${approvers.join(', ') || 'nobody'}`;
  return `${requirementText(required)}${whose}`;
}

function printLast(io: Io, last: NonNullable<Plan['last']>): void {
  printFact(io, 'last run', `${last.id}, ${last.outcome} at ${last.timestamp}`);
  if (last.changed === null) return printFact(io, 'changed since', 'its bytes are not in the clone');
  if (last.changed.length === 0) printFact(io, 'changed since', 'nothing but the id');
  for (const { field, before, after } of last.changed) printFact(io, 'changed since', `${field}: ${before} → ${after}`);
}

function printFact(io: Io, name: string, text: string): void {
  printBeside(io, { head: `       ${paint(io, 'dim', name.padEnd(NAME_COLUMN))} `, width: FACT_MARGIN }, text);
}
