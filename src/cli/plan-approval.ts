import type { Check } from '../domain/check.ts';
import { CODES, EdgeError } from '../errors.ts';
import { approveAction } from '../story/approve-action.ts';
import type { StoryContext } from '../story/context.ts';
import { noOrNotYet } from '../story/no-or-not-yet.ts';
import type { ReadAction } from '../story/read-action.ts';
import { isWaiting } from '../story/waiting.ts';
import type { Planned } from './plan-file.ts';

/** Each rule of its tier, and whether it is met now; then the verdict of all. Of bytes that nobody could see: not yet. */
export async function approvalChecks(
  read: ReadAction,
  planned: Planned,
  context: StoryContext,
): Promise<readonly Check[]> {
  const requirement = context.settings.requirements[read.tier];
  if (requirement === null) {
    const fix = 'The operator has to set a rule for this tier in [approval].';
    const message = `no rule is configured for ${read.tier}: it waits for ever`;
    return [{ name: 'approval', ok: false, code: 'ERR_NO_RULE', message, fix }];
  }
  const rules = [...new Set([...requirement.all, ...requirement.any])];
  if (rules.length === 0)
    return [{ name: 'approval', ok: true, code: null, message: `${read.tier} needs nobody`, fix: null }];
  if (!planned.committed) return rules.map((rule) => notYet(rule, context));
  const each: Check[] = [];
  for (const rule of rules) each.push(await ruleCheck(rule, read, context));
  const verdict = await verdictCheck(read, planned, context);
  // One rule says it all, unless its evidence does not count (another formula, too old).
  return each.length === 1 && each[0]?.code === verdict.code ? each : [...each, verdict];
}

function notYet(rule: string, context: StoryContext): Check {
  const message = `${rule}: not yet, these bytes are not on the branch`;
  const needsPeople = context.rules.get(rule)?.countsPeople !== false;
  const fix = needsPeople ? 'Commit it, have these very bytes approved, and push it.' : 'Commit it and push it.';
  return { name: 'approval', ok: false, code: 'ERR_APPROVAL_WAITING', message, fix };
}

async function ruleCheck(name: string, read: ReadAction, context: StoryContext): Promise<Check> {
  const rule = context.rules.get(name);
  if (rule === undefined) {
    return { name: 'approval', ok: false, code: 'ERR_NO_RULE', message: `this version has no rule ${name}`, fix: null };
  }
  const world = context.world();
  try {
    const verdict = await rule.evaluate({
      path: read.candidate.file.path,
      blob: read.candidate.file.entry.oid,
      tip: world.tips.tip,
      formulaPath: `${context.settings.formulasDir}/${read.formula.name}.toml`,
      approvers: world.inForce.policy?.policy.approvers ?? [],
      selfApprove: context.settings.requirements[read.tier]?.selfApprove ?? false,
    });
    if (verdict.kind !== 'met') {
      return {
        name: 'approval',
        ok: false,
        code: verdict.code,
        message: `${name}: ${verdict.message}`,
        fix: CODES[verdict.code].hint,
      };
    }
    const by = verdict.evidence.map((each) => `${each.by} (${each.commit.slice(0, 12)})`).join(', ');
    return { name: 'approval', ok: true, code: null, message: `${name}: ${by}`, fix: null };
  } catch (error) {
    if (!(error instanceof EdgeError)) throw error;
    return { name: 'approval', ok: false, code: error.code, message: `${name}: ${error.message}`, fix: error.hint };
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
