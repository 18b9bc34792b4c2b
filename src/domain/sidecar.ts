import { createHash } from 'node:crypto';
import type { Action } from './action.ts';
import type { Formula } from './formula.ts';
import type { ActionId, SidecarId } from './ids.ts';
import type { Issue, IssueComment } from './issue.ts';
import type { SidecarWork } from './payload.ts';

/** The engine job of all sidecars; what else has it is no action. */
export const SIDECAR_JOB = 'sidecar';

/** `[[sidecar]]` of the configuration: which issues a formula works on. */
export interface SidecarRule {
  readonly formula: string;
  /** `owner/name` of the repository with the issues. */
  readonly repo: string;
  /** All of these have to be there, each put there by somebody who may write. */
  readonly labels: readonly string[];
  /** None of these may be there. */
  readonly without: readonly string[];
  /** What else has to hold; null: nothing. */
  readonly when: 'sub-issues-closed' | null;
  /** Path of the project file in the ops repo, which is gated like a formula. */
  readonly project_toml: string;
  readonly cool_down_minutes: number;
  readonly in_flight: number;
  readonly runs_per_day: number;
  /** Tell the end of each run in a comment on the issue. */
  readonly comment: boolean;
}

/** Rules that go by the name of their formula, where the configuration says nothing else (requirements.md, S2.2). */
export const SIDECAR_DEFAULTS: Readonly<Record<string, Pick<SidecarRule, 'labels' | 'without' | 'when'>>> = {
  reproduce: {
    labels: ['bug-report'],
    without: ['in-progress', 'in-triage', 'rejected', 'blocked'],
    when: null,
  },
  triage: { labels: ['bug-report', 'in-triage'], without: [], when: null },
  verify: { labels: ['bug-report', 'in-progress'], without: [], when: 'sub-issues-closed' },
};

/** An open issue whose labels are those of the rule. Its labels are looked at here, whatever a forge filtered. */
export function hasLabelsOf(rule: SidecarRule, issue: Issue): boolean {
  const { labels } = issue;
  return (
    issue.state === 'open' &&
    rule.labels.every((label) => labels.includes(label)) &&
    !rule.without.some((label) => labels.includes(label))
  );
}

const DECOMPOSED = /\bDecomposed from #([1-9]\d{0,8})(?!\d)/g;

/** Numbers of the issues that this one says to be a part of. */
export function decomposedFrom({ body }: Pick<Issue, 'body'>): readonly number[] {
  return [...body.matchAll(DECOMPOSED)].map(([, number]) => Number(number));
}

/** The address of an issue's page as it may stand in an environment and a result; empty: what the forge says is none. */
export function pageOf({ url }: Pick<Issue, 'url'>): string {
  return /^https?:\/\/[\w./:%~@+,=&?#[\]-]{1,500}$/.test(url) ? url : '';
}

const DAY_MS = 86_400_000;

/** How long an issue rests after its `n`-th run, in milliseconds: doubles with each, up to a day. */
export function coolDownMs({ cool_down_minutes }: Pick<SidecarRule, 'cool_down_minutes'>, n: number): number {
  return Math.min(DAY_MS, cool_down_minutes * 60_000 * 2 ** Math.min(n - 1, 40));
}

/** What a digest is of: all that people said about an issue. */
export interface IssueSubject {
  readonly issue: Pick<Issue, 'title' | 'body' | 'labels'>;
  readonly subIssues: readonly Pick<Issue, 'number' | 'state'>[];
  /** Those of people who may write; never of a bot. */
  readonly comments: readonly IssueComment[];
}

/** SHA-256, hex, of what people said about an issue: another one means that there is something new to work on. */
export function issueDigest({ issue, subIssues, comments }: IssueSubject): string {
  const parts = {
    title: issue.title,
    body: issue.body,
    labels: issue.labels.toSorted(),
    sub_issues: subIssues.toSorted((a, b) => a.number - b.number).map(({ number, state }) => [number, state]),
    comments: comments.toSorted((a, b) => a.id - b.id).map(({ id, author, body }) => [id, author.id, body]),
  };
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

/**
 * What a sidecar asks for, in the form of an action: all that its formula lists, because nobody named less. Nothing of it
 * comes from the issue, which anybody may have written.
 */
export function sidecarAction(id: SidecarId, formula: Formula, { repo, issue }: SidecarWork): Action {
  return {
    // Never the stem of a file: it has a slash.
    id: id as string as ActionId,
    formula: formula.name,
    context: `issue #${issue} of ${repo}`,
    secrets: [...formula.secrets],
    mounts: [...formula.mounts],
    model: null,
    tools: [...formula.tools],
    timeout_minutes: formula.timeout_minutes,
    blast_radius: null,
    dispatch_mode: null,
    inputs: {},
    depends_on: [],
    not_before: null,
    expires_at: null,
    // After every action that somebody waits for (those have 1 to 100).
    priority: 0,
    retry: null,
  };
}
