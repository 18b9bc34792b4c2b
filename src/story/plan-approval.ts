import type { Check } from '../domain/check.ts';
import type { PlannedApproval, PlannedRule } from '../domain/plan.ts';
import { CODES, type Code, EdgeError } from '../errors.ts';
import { approveAction } from './approve-action.ts';
import { ruleNames } from './ask-rules.ts';
import type { StoryContext } from './context.ts';
import { noOrNotYet } from './no-or-not-yet.ts';
import type { Planned } from './planned.ts';
import type { ReadAction } from './read-action.ts';
import { subjectOf } from './subject.ts';
import { isWaiting } from './waiting.ts';

/** Each rule of its tier, and whether it is met now. Of bytes that are not on the branch: not yet. */
export async function planApproval(
  read: ReadAction,
  planned: Planned,
  context: StoryContext,
): Promise<PlannedApproval> {
  const required = context.settings.requirements[read.tier];
  const rules: PlannedRule[] = [];
  for (const rule of ruleNames(required)) {
    rules.push(planned.committed ? await askRule(rule, read, context) : notYet(rule, context));
  }
  const approvers = context.world().inForce.policy?.policy.approvers.map(({ name }) => name) ?? [];
  return { required, rules, approvers };
}

/** Each rule as a check, and the verdict of all. */
export async function approvalChecks(
  { required, rules }: PlannedApproval,
  read: ReadAction,
  planned: Planned,
  context: StoryContext,
): Promise<readonly Check[]> {
  if (required === null) {
    const fix = 'The operator has to set a rule for this tier in [approval].';
    const message = `no rule is configured for ${read.tier}: it waits for ever`;
    return [{ name: 'approval', ok: false, code: 'ERR_NO_RULE', message, fix }];
  }
  if (rules.length === 0)
    return [{ name: 'approval', ok: true, code: null, message: `${read.tier} needs nobody`, fix: null }];
  const each = rules.map(({ rule, met, code, message, fix }): Check => {
    return { name: 'approval', ok: met, code, message: `${rule}: ${message}`, fix };
  });
  if (!planned.committed) return each;
  const verdict = await verdictCheck(read, planned, context);
  // One rule says it all, unless its evidence does not count (another formula, too old).
  return each.length === 1 && each[0]?.code === verdict.code ? each : [...each, verdict];
}

/** People can have approved nothing that is not there: nobody is asked about bytes that are not on the branch. */
export function withoutPeople(context: StoryContext): StoryContext {
  const rules = [...context.rules].map(([name, rule]) => {
    if (!rule.countsPeople) return [name, rule] as const;
    const evaluate = () =>
      Promise.resolve({ kind: 'waiting' as const, code: 'ERR_NEEDS_APPROVAL' as const, message: NOT_THERE });
    return [name, { name, countsPeople: true, evaluate }] as const;
  });
  return { ...context, rules: new Map(rules) };
}

const NOT_THERE = 'not yet, these bytes are not on the branch';

function notYet(rule: string, context: StoryContext): PlannedRule {
  const needsPeople = context.rules.get(rule)?.countsPeople !== false;
  const fix = needsPeople ? 'Commit it, have these very bytes approved, and push it.' : 'Commit it and push it.';
  return { rule, met: false, code: 'ERR_NEEDS_APPROVAL', message: NOT_THERE, fix };
}

async function askRule(name: string, read: ReadAction, context: StoryContext): Promise<PlannedRule> {
  const no = (code: Code, message: string, fix: string | null): PlannedRule => {
    return { rule: name, met: false, code, message, fix };
  };
  const rule = context.rules.get(name);
  if (rule === undefined) return no('ERR_NO_RULE', 'this version has no such rule', null);
  try {
    const verdict = await rule.evaluate(subjectOf(read, context.world(), context));
    if (verdict.kind !== 'met') return no(verdict.code, verdict.message, CODES[verdict.code].hint);
    const by = verdict.evidence.map((each) => `${each.by} (${each.commit.slice(0, 12)})`).join(', ');
    return { rule: name, met: true, code: null, message: by, fix: null };
  } catch (error) {
    if (error instanceof EdgeError) return no(error.code, error.message, error.hint);
    throw error;
  }
}

async function verdictCheck(read: ReadAction, planned: Planned, context: StoryContext): Promise<Check> {
  try {
    const approval = await approveAction(read, context.world(), context);
    if (!isWaiting(approval)) {
      return { name: 'approval', ok: true, code: null, message: `${read.tier} is approved`, fix: null };
    }
    const { code, message, hint } = approval.reason;
    return { name: 'approval', ok: false, code, message: `${read.tier}: ${message}`, fix: hint };
  } catch (error) {
    if (planned.candidate === null) throw error;
    const { code, message, hint } = noOrNotYet(error, planned.candidate).reason;
    return { name: 'approval', ok: false, code, message, fix: hint };
  }
}
