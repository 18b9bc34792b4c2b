import type { AnnouncedAction, Progress } from './announcement.ts';
import { codeBlock, codeSpan, codeSpans, link } from './markdown.ts';
import { commandLine, type LastRun, type Plan, requirementText } from './plan.ts';

/** One action of a change, as its comment tells it. Whatever others wrote is code (`markdown.ts`). */

export function announcedAction({ plan, progress }: AnnouncedAction): string {
  const lines = [`### action ${codeSpan(plan.id ?? plan.path)}`, ''];
  lines.push(...progressLines(progress, plan).map((line) => `- ${line}`));
  // What was planned is of no use any more once it has ended.
  if (['ended', 'withdrawn', 'replaced'].includes(progress.kind)) return lines.join('\n');
  lines.push(...planLines(plan).map((line) => `- ${line}`));
  if (plan.context !== null) lines.push('- why, in the words of its author:', '', codeBlock(plan.context, CONTEXT));
  return lines.join('\n');
}

const CONTEXT = { lines: 12, units: 1200 };

/** Of what there is no room for in full. */
export function oneLine({ plan, progress }: AnnouncedAction): string {
  return `- ${codeSpan(plan.id ?? plan.path)}: ${progressLines(progress, plan)[0] ?? ''}`;
}

function progressLines(progress: Progress, plan: Plan): readonly string[] {
  switch (progress.kind) {
    case 'proposed':
      return proposedLines(plan);
    case 'withdrawn':
      return ['withdrawn: it is not on the branch any more, and nothing runs'];
    case 'replaced':
      return [REPLACED, ...progressLines(progress.by, plan).map((line) => `of the others: ${line}`)];
    case 'waiting': {
      const { code, message, hint } = progress;
      return [`**waiting** ${codeSpan(code)}: ${codeSpan(message, 500)}`, ...(hint === null ? [] : [codeSpan(hint)])];
    }
    case 'running':
      return [`**under way**: ${progress.step}`];
    case 'ended':
      return endedLines(progress);
  }
}

const REPLACED = '**replaced**: other bytes than those of this change lie on the branch, and its own never run';

/** What is wrong with it first; what has only to come is said with the rules. */
function proposedLines({ checks }: Plan): readonly string[] {
  const bad = checks.filter(({ ok, name }) => !ok && name !== 'approval');
  if (bad.length === 0) return ['nothing is wrong with it'];
  return bad.map(({ name, code, message, fix }) => {
    const hint = fix === null || fix === '' ? '' : ` ${codeSpan(fix)}`;
    return `${name}: ${code === null ? '' : `${codeSpan(code)} `}${codeSpan(message, 500)}${hint}`;
  });
}

function endedLines(ended: Extract<Progress, { kind: 'ended' }>): readonly string[] {
  const { outcome, exitCode, reason, at, approvedBy, page, path } = ended;
  const by = approvedBy.length === 0 ? [] : [`approved by ${codeSpans(approvedBy)}`];
  return [
    `**${WORDS[outcome] ?? 'ended'}** with ${exitCode} at ${codeSpan(at)}: ${link('result', page)} ${codeSpan(path)}`,
    ...(reason === null ? [] : [`${codeSpan(reason.code)}: ${codeSpan(reason.message, 500)}`]),
    ...by,
  ];
}

const WORDS: Partial<Record<string, string>> = {
  succeeded: 'succeeded',
  failed: 'failed',
  timed_out: 'timed out',
  cancelled: 'cancelled',
  lost: 'lost',
  unknown: 'unknown',
  invalid: 'invalid',
  refused: 'refused',
};

function planLines({ tier, formula, approval, access, command, run, last }: Plan): readonly string[] {
  return [
    ...(formula === null ? [] : [formulaLine(formula)]),
    ...(tier === null ? [] : [`tier **${tier.tier}**: ${codeSpans(tier.because)}`]),
    ...(approval === null ? [] : approvalLines(approval)),
    ...(access === null ? [] : secretLines(access)),
    ...(command === null ? [] : [`runs ${codeSpan(commandLine(command), 500)}`]),
    ...(run === null ? [] : runLines(run)),
    ...(last === null ? [] : lastLines(last)),
  ];
}

function formulaLine({ name, blob }: NonNullable<Plan['formula']>): string {
  const which = blob === null ? 'not in force' : `file ${codeSpan(blob.slice(0, 12))}`;
  return `formula ${codeSpan(name)}, ${which}`;
}

function approvalLines({ required, rules, approvers }: NonNullable<Plan['approval']>): readonly string[] {
  const names = approvers.length === 0 ? 'nobody' : codeSpans(approvers);
  const whose = rules.length === 0 ? '' : `; whose approval counts: ${names}`;
  return [
    `needs ${codeSpan(requirementText(required), 500)}${whose}`,
    ...rules.map(({ rule, met, message }) => {
      return `rule ${codeSpan(rule)} **${met ? 'met' : 'not met'}**: ${codeSpan(message, 500)}`;
    }),
  ];
}

function secretLines({ secrets, policies }: NonNullable<Plan['access']>): readonly string[] {
  if (secrets.length === 0) return ['no secrets'];
  return [
    ...secrets.map(({ name, state, place }) => `secret ${codeSpan(name)} (${codeSpan(state)}) at ${codeSpan(place)}`),
    `policies ${codeSpans(policies)}`,
  ];
}

function runLines({
  engine,
  job,
  mounts,
  timeout_seconds,
  deadline_seconds,
  group,
  group_limit,
}: NonNullable<Plan['run']>) {
  const grouped = group === null ? '' : `, ${group_limit} at a time in group ${codeSpan(group)}`;
  return [
    `job ${codeSpan(job)} on ${codeSpan(engine)}, ${mounts.length === 0 ? 'no mounts' : `mounts ${codeSpans(mounts)}`}${grouped}`,
    `${timeout_seconds / 60} min for the command; over ${deadline_seconds / 60} min after its claim at the latest`,
  ];
}

function lastLines({ id, outcome, timestamp, changed }: LastRun): readonly string[] {
  const head = `last run of this formula: ${codeSpan(id)}, ${codeSpan(outcome)} at ${codeSpan(timestamp)}`;
  if (changed === null) return [`${head}; what it asked for can not be compared`];
  if (changed.length === 0) return [`${head}; nothing but the id differs`];
  return [
    head,
    ...changed.map(
      ({ field, before, after }) => `since then ${codeSpan(field)}: ${codeSpan(before)} → ${codeSpan(after)}`,
    ),
  ];
}
