import type { AnnouncedAction, Announcement, Progress } from '../../src/domain/announcement.ts';
import { emptyPlan, type Plan } from '../../src/domain/plan.ts';

/** A plan in which every text that others write is this one. */
export function samplePlan(text: string, more: Partial<Plan> = {}): Plan {
  return {
    ...emptyPlan({ id: null, path: text, blob: 'a'.repeat(40), committed: false }),
    checks: [
      { name: 'action', ok: true, code: null, message: text, fix: null },
      { name: 'formula', ok: false, code: 'ERR_INPUT', message: text, fix: text },
    ],
    context: text,
    formula: { name: text, blob: 'b'.repeat(40) },
    tier: { tier: 'high', because: [text] },
    approval: {
      required: { all: [text], any: [], atLeast: 1, selfApprove: false },
      rules: [{ rule: text, met: false, code: 'ERR_NEEDS_APPROVAL', message: text, fix: text }],
      approvers: [text, text],
    },
    access: { policies: [text], secrets: [{ name: text, state: text, place: text }] },
    command: { kind: 'prompt', argv: [text], first_line: text, lines: 3 },
    run: {
      engine: text,
      job: text,
      mounts: [text],
      timeout_seconds: 60,
      deadline_seconds: 780,
      group: text,
      group_limit: 1,
    },
    last: { id: text, outcome: text, timestamp: text, changed: [{ field: text, before: text, after: text }] },
    ...more,
  };
}

/** In every state that an action of a change can be in. */
function everyProgress(text: string): readonly Progress[] {
  const reason = { code: text, message: text };
  const ended = {
    kind: 'ended',
    outcome: text,
    exitCode: 1,
    reason,
    at: text,
    approvedBy: [text],
    // An address of ours: `link` is tested by itself.
    page: null,
  } as const;
  return [
    { kind: 'proposed' },
    { kind: 'waiting', ...reason, hint: text },
    { kind: 'running', step: 'running' },
    { ...ended, path: text },
    { kind: 'withdrawn' },
    { kind: 'replaced', by: { ...ended, path: text } },
  ];
}

export function sampleAnnouncement(text: string): Announcement {
  const actions = everyProgress(text).map((progress): AnnouncedAction => ({ plan: samplePlan(text), progress }));
  const difference = { what: 'approver', name: text, before: text, after: text };
  return {
    root: '0123456789abcdef'.repeat(3).slice(0, 40),
    state: 'open',
    actions,
    files: [
      {
        path: text,
        kind: 'policy',
        standing: 'proposed',
        message: text,
        differences: [difference, { ...difference, before: null }, { ...difference, after: null }],
      },
    ],
    omitted: 0,
  };
}
