import type { Evidence } from '../domain/result.ts';
import type { Code } from '../errors.ts';

/** The way of an action (design.md), as far as it went. */
const STEPS = [
  'read-action',
  'approve-action',
  'grant-access',
  'claim-attempt',
  'dispatch-run',
  'follow-run',
  'revoke-access',
  'collect-output',
  'record-result',
] as const;
export type StepName = (typeof STEPS)[number];

type Fact = string | number | boolean | null | readonly (string | Readonly<Record<string, string | number | null>>)[];

/** What decides whether a sidecar works on an issue, in the order in which the daemon asks. */
export const ISSUE_STEPS = [
  'issue',
  'labels',
  'labels-set-by',
  'last-run',
  'sub-issues',
  'change',
  'formula',
  'project',
  'budget',
  'slot',
  'secrets',
  'job',
] as const;
export type IssueStepName = (typeof ISSUE_STEPS)[number];

export interface Step {
  readonly step: StepName | IssueStepName;
  /** `open`: its turn has not come, or nobody can say. */
  readonly state: 'done' | 'waiting' | 'refused' | 'open';
  readonly code: string | null;
  readonly message: string | null;
  readonly hint: string | null;
  readonly evidence: Readonly<Record<string, Fact>>;
}

export type Told = Omit<Step, 'step'>;
export type Reasoned = { readonly code: string; readonly message: string; readonly hint: string | null };

export const done = (evidence: Step['evidence']): Told => ({
  state: 'done',
  code: null,
  message: null,
  hint: null,
  evidence,
});
export const open = (evidence: Step['evidence'] = {}): Told => ({ ...done(evidence), state: 'open' });
export const stopped = (state: 'waiting' | 'refused', why: Reasoned, evidence: Step['evidence'] = {}): Told => {
  const { code, message, hint } = why;
  return { state, code, message, hint, evidence };
};

export function steps(told: Partial<Record<StepName, Told>>): readonly Step[] {
  return STEPS.map((step) => ({ step, ...(told[step] ?? open()) }));
}

export const unknownSteps = (): readonly Step[] => steps({});

/** The step at which the daemon says this, before any run. */
export const STEP_OF: Partial<Record<string, StepName>> = {
  ERR_NEEDS_APPROVAL: 'approve-action',
  ERR_APPROVAL_REFUSED: 'approve-action',
  ERR_APPROVAL_EXPIRED: 'approve-action',
  ERR_NO_RULE: 'approve-action',
  ERR_FORMULA_CHANGED: 'approve-action',
  ERR_NOT_BEFORE: 'grant-access',
  ERR_EXPIRED: 'grant-access',
  ERR_DEPENDENCY_WAITING: 'grant-access',
  ERR_DEPENDENCY_FAILED: 'grant-access',
  ERR_PAUSED: 'grant-access',
  ERR_SLOT: 'grant-access',
  ERR_GROUP: 'grant-access',
  ERR_SECRET_UNKNOWN: 'grant-access',
  ERR_ACCESS_DENIED: 'grant-access',
  ERR_ACCESS_UNAVAILABLE: 'grant-access',
  ERR_PAYLOAD_SIZE: 'grant-access',
  ERR_CANCELLED: 'claim-attempt',
  ERR_RETRY_DUE: 'claim-attempt',
  ERR_FENCED: 'claim-attempt',
  ERR_CLAIMED_ELSEWHERE: 'claim-attempt',
  ERR_ALREADY_RECORDED: 'claim-attempt',
  ERR_HISTORY_DIVERGED: 'claim-attempt',
  ERR_FOREIGN_RESULT: 'grant-access',
} satisfies Partial<Record<Code, StepName>>;

export const approvedBy = (evidence: readonly Evidence[]): Step['evidence'] => ({
  approved: evidence.map(({ rule, by, commit, at }) => ({ rule, by, commit, at })),
});
