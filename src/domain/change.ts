import type { Oid } from './ids.ts';
import type { ClaimedPerson } from './people.ts';

/** What a forge says of a change (a pull request). Its flags are never evidence: each was seen lying. */

/** An account of the forge. */
export interface Account {
  /** null: the account was deleted; nobody can be told to be it. */
  readonly id: number | null;
  readonly login: string;
  /** The forge itself says that it is no person. */
  readonly isBot: boolean;
}

export interface Change {
  readonly number: number;
  /** Its page, for people. */
  readonly url: string;
  readonly title: string;
  /** Who opened it. */
  readonly author: Account;
  /** The branch of this repo that it was opened into. */
  readonly base: string;
  readonly state: 'open' | 'merged' | 'closed';
  /** Where its branch is now; follows the branch even after the merge, so it proves nothing. */
  readonly head: Oid;
  /** Where its branch lies or lay: full name of the repo (a fork is another one) and branch; null: that repo is gone. */
  readonly source: { readonly repo: string; readonly branch: string } | null;
  /** `by` is what the forge claims; it can be forged by whoever may push (`ChangeHistory.landedBy` tells). */
  readonly merge: { readonly commit: Oid; readonly by: Account | null; readonly at: string } | null;
  readonly createdAt: string;
}

export interface Review {
  readonly by: Account;
  /** `none`: a comment, a draft, a request: no verdict. */
  readonly verdict: 'approved' | 'changes-requested' | 'none';
  readonly dismissed: boolean;
  /** As the reviewer filed it: may be any commit, also one that is not of the change, or abbreviated. */
  readonly commit: string;
  readonly at: string;
  readonly url: string;
}

/** A commit of a change, as it was before the merge. */
export interface ChangeCommit {
  readonly oid: Oid;
  readonly author: ClaimedPerson;
  readonly committer: ClaimedPerson;
  readonly coAuthors: readonly ClaimedPerson[];
  /** Accounts that the forge links with author and committer. */
  readonly accounts: readonly Account[];
}

export interface Push {
  readonly by: Account;
  /** ISO 8601. */
  readonly at: string;
}

/** What the forge's own log of events says of a change. */
export interface ChangeHistory {
  /** Pushes to its branch, also before it was opened, as far as the log goes. */
  readonly pushes: readonly Push[];
  /** Who pushed the merge commit to the base branch; null: the log does not say so, or not yet. */
  readonly landedBy: Account | null;
  /** The merge was scheduled to happen by itself, so that whoever is named as merger did not see what was merged. */
  readonly scheduled: boolean;
  /** When it was last moved to another base branch: what was shown before then was another difference. null: never. */
  readonly retargetedAt: string | null;
}
