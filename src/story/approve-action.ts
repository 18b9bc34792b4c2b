import type { ApprovalEvidence, Verdict } from '../domain/verdict.ts';
import { approvedAt, combine } from '../domain/verdict.ts';
import { RefusedError } from '../errors.ts';
import { askRules } from './ask-rules.ts';
import type { StoryContext } from './context.ts';
import type { ReadAction } from './read-action.ts';
import { subjectOf } from './subject.ts';
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

export interface Asked {
  readonly signal?: AbortSignal | undefined;
  /** For the claim: what people could have changed meanwhile is asked again. */
  readonly fresh?: boolean;
  /** Seen for so short a time that a forge may not have learned of it yet: its age alone refuses nothing. */
  readonly isNew?: boolean;
}

const FORMULA_LATER = 'the formula version that was approved with it is not in force yet';
const FORMULA_LATER_HINT = 'It goes on when the edit of its formula is approved at the high tier.';
const DAY_MS = 86_400_000;

/** Step 2: is exactly this blob approved for its tier? Throws RefusedError; answers why it waits while it can still come. */
export async function approveAction(
  read: ReadAction,
  world: World,
  context: StoryContext,
  asked: Asked = {},
): Promise<Approval | Waiting> {
  const requirement = context.settings.requirements[read.tier];
  const subject = { ...subjectOf(read, world, context), fresh: asked.fresh ?? false };
  const verdicts = await askRules(requirement, context.rules, subject, asked.signal);
  const combined = (formulaInForce: string) => combine(requirement, verdicts, { formulaInForce });
  const verdict = combined(read.formula.blob);
  const days = context.settings.approvalDays;
  if (verdict.kind !== 'allowed') {
    const formulaEdit = world.inForce.pending.find(({ path }) => path === subject.formulaPath);
    const { kind, code, message, hint } = toldOf(verdict, formulaEdit && combined(formulaEdit.blob));
    if (kind === 'refused') throw new RefusedError(code, message);
    // A fast-forward brings commits with the dates of long ago.
    const isNew = asked.isNew === true && context.forge !== null;
    if (isNew || !tooOld(read.candidate.committedAt, context)) return waiting(code, message, hint);
    throw new RefusedError('ERR_APPROVAL_EXPIRED', `not approved within ${days} days of its commit: ${message}`);
  }
  const at = approvedAt(verdict.evidence, requirement ?? undefined) ?? read.candidate.committedAt;
  if (tooOld(later(at, read.action.not_before), context)) {
    throw new RefusedError('ERR_APPROVAL_EXPIRED', `its approval of ${at} is older than ${days} days`);
  }
  return { kind: 'allowed', required: verdict.required, evidence: verdict.evidence, approvedAt: at };
}

type NotAllowed = Exclude<Verdict, { kind: 'allowed' }>;

/** `withEdit`: the verdict if the newest edit of its formula were in force, which may have come in the same change. */
function toldOf(verdict: NotAllowed, withEdit: Verdict | undefined): NotAllowed & { readonly hint?: string } {
  if (verdict.code !== 'ERR_FORMULA_CHANGED' || withEdit?.kind !== 'allowed') return verdict;
  return { ...verdict, message: FORMULA_LATER, hint: FORMULA_LATER_HINT };
}

function later(at: string, notBefore: string | null): string {
  return notBefore !== null && Date.parse(notBefore) > Date.parse(at) ? notBefore : at;
}

function tooOld(since: string, context: StoryContext): boolean {
  return context.clock.now().getTime() - Date.parse(since) > context.settings.approvalDays * DAY_MS;
}
