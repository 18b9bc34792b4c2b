import type { ApprovalEvidence, RuleVerdict } from '../domain/verdict.ts';
import { approvedAt, combine } from '../domain/verdict.ts';
import { RefusedError } from '../errors.ts';
import type { StoryContext } from './context.ts';
import type { ReadAction } from './read-action.ts';
import { type Waiting, waiting } from './waiting.ts';
import type { World } from './world.ts';

/** Exactly this blob may run: who said so, and since when. */
export interface Approval {
  readonly kind: 'allowed';
  readonly required: readonly string[];
  readonly evidence: readonly ApprovalEvidence[];
  /** When the last needed approval was given; with no rule, when the bytes were committed. */
  readonly approvedAt: string;
}

const DAY_MS = 86_400_000;

/** Step 2: is exactly this blob approved for its tier? Throws RefusedError; answers why it waits while it can still come. */
export async function approveAction(
  read: ReadAction,
  world: World,
  context: StoryContext,
  signal?: AbortSignal,
): Promise<Approval | Waiting> {
  const requirement = context.settings.requirements[read.tier];
  const verdicts = await askRules(read, world, context, signal);
  const verdict = combine(requirement, verdicts, { formulaInForce: read.formula.blob });
  const days = context.settings.approvalDays;
  if (verdict.kind !== 'allowed') {
    const { kind, code, message } = verdict;
    if (kind === 'refused') throw new RefusedError(code, message);
    if (!tooOld(read.candidate.committedAt, context)) return waiting(code, message);
    throw new RefusedError('ERR_APPROVAL_EXPIRED', `not approved within ${days} days of its commit: ${message}`);
  }
  const at = approvedAt(verdict.evidence, requirement ?? undefined) ?? read.candidate.committedAt;
  if (tooOld(later(at, read.action.not_before), context)) {
    throw new RefusedError('ERR_APPROVAL_EXPIRED', `its approval of ${at} is older than ${days} days`);
  }
  return { kind: 'allowed', required: verdict.required, evidence: verdict.evidence, approvedAt: at };
}

/** Rules that are not there stay without a verdict, and a tier that needs one waits. */
async function askRules(read: ReadAction, world: World, context: StoryContext, signal: AbortSignal | undefined) {
  const requirement = context.settings.requirements[read.tier];
  const subject = {
    path: read.candidate.file.path,
    blob: read.candidate.file.entry.oid,
    tip: world.tips.tip,
    setBy: { commit: read.candidate.commit, committedAt: read.candidate.committedAt },
    formulaPath: `${context.settings.formulasDir}/${read.formula.name}.toml`,
    approvers: world.inForce.policy?.policy.approvers ?? [],
    selfApprove: requirement?.selfApprove ?? false,
  };
  const verdicts = new Map<string, RuleVerdict>();
  for (const name of new Set([...(requirement?.all ?? []), ...(requirement?.any ?? [])])) {
    const rule = context.rules.get(name);
    if (rule !== undefined) verdicts.set(name, await rule.evaluate(subject, signal));
  }
  return verdicts;
}

function later(at: string, notBefore: string | null): string {
  return notBefore !== null && Date.parse(notBefore) > Date.parse(at) ? notBefore : at;
}

function tooOld(since: string, context: StoryContext): boolean {
  return context.clock.now().getTime() - Date.parse(since) > context.settings.approvalDays * DAY_MS;
}
