import type { Plan } from './plan.ts';

/** What people are told on a change: one comment, and one line beside its commits. */
export interface Announcement {
  /** Object id of the branch's first-parent root commit. */
  readonly root: string;
  readonly state: 'open' | 'merged' | 'closed';
  readonly actions: readonly AnnouncedAction[];
  readonly files: readonly AnnouncedFile[];
  /** Actions and gated files of the change that were not even looked at. */
  readonly omitted: number;
}

export interface AnnouncedAction {
  readonly plan: Plan;
  readonly progress: Progress;
}

/**
 * `proposed`: not on the branch; `withdrawn`: not any more; `replaced`: other bytes lie at its place now, and this is what
 * becomes of those.
 */
export type Progress =
  | { readonly kind: 'proposed' | 'withdrawn' }
  | { readonly kind: 'replaced'; readonly by: Fate }
  | Fate;

/** Of an action that is on the branch, or was when it was claimed. */
export type Fate =
  | { readonly kind: 'waiting'; readonly code: string; readonly message: string; readonly hint: string | null }
  | { readonly kind: 'running'; readonly step: string }
  | {
      readonly kind: 'ended';
      readonly outcome: string;
      readonly exitCode: number;
      readonly reason: { readonly code: string; readonly message: string } | null;
      readonly at: string;
      readonly approvedBy: readonly string[];
      /** Page of the result file; null: it is known where it lies, not how the forge shows it. */
      readonly page: string | null;
      readonly path: string;
    };

/** Policy, formula or project file of sidecars: gated itself. */
export interface AnnouncedFile {
  readonly path: string;
  readonly kind: 'policy' | 'formula' | 'project file';
  readonly standing: 'proposed' | 'waiting' | 'in force' | 'invalid' | 'deleted' | 'replaced';
  /** Why it is not in force; null: nothing is to be said. */
  readonly message: string | null;
  readonly differences: readonly Difference[];
}

/** `what` is ours (`approver`), the rest is theirs. */
export interface Difference {
  readonly what: string;
  readonly name: string;
  readonly before: string | null;
  readonly after: string | null;
}

/** First line of the comment; what it is found again by. */
export function markerOf(root: string): string {
  return `<!-- edge-dispatcher:${root.slice(0, 12)} -->`;
}
