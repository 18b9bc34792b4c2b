import type { Account, Change, ChangeCommit, ChangeHistory, Review } from '../domain/change.ts';
import type { Check } from '../domain/check.ts';
import type { Oid } from '../domain/ids.ts';

export interface CommitStatus {
  /** One status a context is shown; a new one replaces it. */
  readonly context: string;
  readonly state: 'pending' | 'success' | 'failure' | 'error';
  /** One line, at most 140 characters. */
  readonly description: string;
  /** null: no link. */
  readonly url: string | null;
  /** Set only where the newest status of its context is in this state now. Absent: always. */
  readonly over?: 'pending';
}

/**
 * The forge that the ops repo lies on, as far as it is a witness: who proposed, looked at, pushed and merged what. It is
 * asked for facts only; what they prove is decided by the rules.
 *
 * null means that the forge definitely has no such thing, and is answered only after the repository itself answered with
 * the same token (a forge says 404 for "no access" too). All lists are read to their last page. Answers may be some
 * seconds behind git. All calls may run at the same time; all are safe to repeat.
 * Errors: TransientError (ERR_FORGE_UNAVAILABLE, with `retryAfterMs` where the forge names a time): away, 5xx, rate
 * limit, an answer that can't be read; StalledError (ERR_FORGE_DENIED): the token may not.
 */
export interface Forge {
  readonly kind: string;
  /** Its address in the form of `forge.url` of an approver (policy.toml): no slash at the end. */
  readonly url: string;
  /** What has to hold before anything depends on it: address, token, repository, rights. Never throws for a bad answer. */
  check(signal?: AbortSignal): Promise<readonly Check[]>;
  /** The merged change that brought exactly this commit onto its base branch, by the forge's own mapping. */
  changeOf(commit: Oid, signal?: AbortSignal): Promise<Change | null>;
  /** Whether the forge knows this commit at all: where it does not, it has no word about it. */
  hasCommit(commit: Oid, signal?: AbortSignal): Promise<boolean>;
  change(number: number, signal?: AbortSignal): Promise<Change | null>;
  /** Open changes into this branch, newest activity first; at most 200. */
  openChanges(base: string, signal?: AbortSignal): Promise<readonly Change[]>;
  /** Oldest first. */
  reviews(change: number, signal?: AbortSignal): Promise<readonly Review[]>;
  /** Paths that the change touches (of a rename both), as they were at its merge. */
  files(change: number, signal?: AbortSignal): Promise<readonly string[]>;
  commits(change: number, signal?: AbortSignal): Promise<readonly ChangeCommit[]>;
  history(change: Change, signal?: AbortSignal): Promise<ChangeHistory>;
  /** Who pushed this commit to the branch, by the log of events; null: the log does not say so, or not yet. */
  pusherOf(commit: Oid, branch: string, signal?: AbortSignal): Promise<Account | null>;
  /** Whether this account may administer the repository now. Needs `admin_token_file`. False for accounts that are gone. */
  isAdmin(account: Account, signal?: AbortSignal): Promise<boolean>;
  /** The newest status of its context; sent again, nothing changes. A message to people, never evidence. */
  setStatus(commit: Oid, status: CommitStatus, signal?: AbortSignal): Promise<void>;
  /**
   * Exactly one comment of ours on the change that holds `marker` (an HTML comment, one line): found again by marker and
   * our own account, edited where its text differs, made where there is none.
   */
  comment(change: number, marker: string, body: string, signal?: AbortSignal): Promise<void>;
}
