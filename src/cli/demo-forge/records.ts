import type { Identity } from './git-store.ts';

/** What the fake forge remembers, in no forge's dialect. Times are ISO 8601, to the second. */

export type Role = 'none' | 'read' | 'write' | 'admin';
/** As a forge answers it: owners, administrators by a team and of the site are all `owner`. */
export type Permission = Role | 'owner';

export interface User {
  readonly id: number;
  readonly login: string;
  readonly email: string;
  readonly isBot: boolean;
  readonly isSiteAdmin: boolean;
  readonly createdAt: string;
  /** The account was deleted. */
  gone: boolean;
}

export type MergeStyle = 'merge' | 'rebase' | 'rebase-merge' | 'squash' | 'fast-forward-only';

export interface Pull {
  /** Unique on the whole forge; `number` only in the repository. */
  readonly id: number;
  readonly number: number;
  readonly opener: User;
  readonly title: string;
  /** Branch of the repository. */
  base: string;
  /** `fork`: login of the fork's owner; null: a branch of the repository itself. */
  readonly head: { readonly fork: string | null; readonly branch: string };
  state: 'open' | 'closed';
  merge: Merge | null;
  /** `refs/pull/<number>/head`: may lag behind the branch, and stays at the merge. */
  knownHead: string;
  /** As it was found when the forge looked last; stays at the merge. */
  mergeBase: string;
  readonly createdAt: string;
  updatedAt: string;
  closedAt: string | null;
  scheduled: { readonly by: User; readonly style: MergeStyle } | null;
}

interface Merge {
  readonly commit: string;
  /** As the forge claims; forged where `autodetectManualMerge` is on. */
  readonly by: User;
  readonly at: string;
  /** False while the forge has not learned of it (`hold.mapping`). */
  mapped: boolean;
}

export type ReviewState = 'approved' | 'changes-requested' | 'comment' | 'pending' | 'requested';

export interface Review {
  readonly id: number;
  /** Of the entry of the timeline. */
  readonly eventId: number;
  readonly pull: number;
  readonly by: User;
  state: ReviewState;
  body: string;
  /** As it was sent, perhaps abbreviated; empty for a request. */
  commit: string;
  stale: boolean;
  official: boolean;
  dismissed: boolean;
  readonly createdAt: string;
  updatedAt: string;
}

type EventKind =
  | 'push'
  | 'review'
  | 'review-request'
  | 'merge'
  | 'schedule'
  | 'comment'
  | 'close'
  | 'reopen'
  | 'retarget'
  | 'title'
  | 'label';

export interface TimelineEvent {
  readonly id: number;
  readonly kind: EventKind;
  /** Number of the change, or of the issue. */
  readonly pull: number;
  readonly by: User;
  readonly at: string;
  body: string;
  readonly push: { readonly commits: readonly string[]; readonly forced: boolean } | null;
  /** 0: none. */
  readonly review: number;
  readonly label: Labelling | null;
}

/** It may be renamed. */
export interface Label {
  readonly id: number;
  name: string;
}

interface Labelling {
  readonly label: Label;
  /** As it was called then. */
  readonly name: string;
  readonly isAdded: boolean;
}

/** One line of the log of events of the repository. */
export interface FeedEntry {
  readonly id: number;
  readonly kind: 'push' | 'merge' | 'scheduled-merge' | 'open';
  readonly by: User;
  readonly at: string;
  readonly pull: Pull | null;
  /** Of a push; a push that made a branch has a first entry without it. */
  readonly push: FeedPush | null;
  /** Full name; empty where it is no push. */
  readonly ref: string;
  /** False while `hold.feed` kept it back. */
  visible: boolean;
}

export interface FeedPush {
  readonly before: string;
  readonly after: string;
  /** Newest first, all of them. */
  readonly commits: readonly string[];
}

export interface Comment {
  readonly id: number;
  /** Of the change or the issue. */
  readonly number: number;
  readonly by: User;
  body: string;
  readonly createdAt: string;
  updatedAt: string;
}

export interface Status {
  readonly id: number;
  readonly commit: string;
  readonly state: string;
  readonly context: string;
  readonly description: string;
  readonly url: string;
  readonly by: User;
  readonly at: string;
}

export interface Issue {
  readonly id: number;
  readonly number: number;
  readonly author: User;
  title: string;
  body: string;
  readonly labels: Label[];
  state: 'open' | 'closed';
  /** The forge lists it with the issues, and it is none. */
  isChange: boolean;
  readonly createdAt: string;
  updatedAt: string;
}

/** Rules for one branch; what is not set is not asked for. */
export interface Protection {
  /** Logins that may push directly. */
  readonly pushers?: readonly string[];
  /** Logins that may force-push; nobody else. */
  readonly forcePushers?: readonly string[];
  readonly requiredApprovals?: number;
  readonly dismissStaleApprovals?: boolean;
}

export interface CommitInput {
  /** Content by path; null removes the file. Everything else is as in the parents. */
  readonly files?: Readonly<Record<string, string | null>>;
  readonly message?: string;
  /** Default: the user. */
  readonly author?: Identity;
  /** Default: the author. */
  readonly committer?: Identity;
  readonly coAuthors?: readonly Identity[];
  /** Private SSH key file; the commit is signed with it. */
  readonly signKey?: string;
  /** Default: the tip of the branch, of a new one that of the default branch. Two make a merge commit. */
  readonly parents?: readonly string[];
}

export type RefusalCode =
  | 'no-access'
  | 'unknown-commit'
  | 'own-approval'
  | 'own-rejection'
  | 'no-repo-admin'
  | 'no-push'
  | 'protected-branch'
  | 'protected-from-force'
  | 'not-fast-forward'
  | 'no-merge-right'
  | 'merged-already'
  | 'not-enough-approvals'
  | 'conflict'
  | 'cannot-fast-forward'
  | 'head-out-of-date'
  | 'closed-pull'
  | 'nothing-there';

/** The forge says no; `code` is for whoever speaks its dialect. */
export class ForgeRefusal extends Error {
  override readonly name = 'ForgeRefusal';
  readonly code: RefusalCode;

  constructor(code: RefusalCode) {
    super(`the forge refuses: ${code}`);
    this.code = code;
  }
}
