import type { Account } from '../domain/change.ts';
import type { Check } from '../domain/check.ts';
import type { Issue, IssueComment } from '../domain/issue.ts';

/**
 * The issues of one repository of the forge: what sidecars work on. Asked for facts only; which of them are work is
 * decided by the rules (`[[sidecar]]`).
 *
 * null means that there definitely is no such thing, and is answered only after the repository itself answered with the
 * same token (a forge says 404 for "no access" too). All lists are read to their last page. Changes (pull requests) are
 * no issues here, also where the forge counts them as such. All calls may run at the same time; all are safe to repeat.
 * Errors: TransientError (ERR_FORGE_UNAVAILABLE, with `retryAfterMs` where the forge names a time): away, 5xx, rate
 * limit, an answer that can't be read; StalledError (ERR_FORGE_DENIED): the token may not.
 */
export interface IssueTracker {
  /** `owner/name` of the repository. */
  readonly repo: string;
  /** What has to hold before anything depends on it: repository, rights to read issues. Never throws for a bad answer. */
  check(signal?: AbortSignal): Promise<readonly Check[]>;
  /**
   * Open and closed issues that changed at or after `since` (an `updatedAt` of this very tracker), each once, by number;
   * null: all there are. Whatever the forge filters is not relied upon. With nothing new one request.
   */
  changedSince(since: string | null, signal?: AbortSignal): Promise<readonly Issue[]>;
  /** As it is now; null: deleted, moved away, or a change. */
  issue(number: number, signal?: AbortSignal): Promise<Issue | null>;
  /** Of one issue, oldest first. Empty for one that is gone. */
  comments(number: number, signal?: AbortSignal): Promise<readonly IssueComment[]>;
  /**
   * By whom each label that the issue carries now was put there last, by the forge's log of events. A label of which the
   * log does not tell is missing in the answer.
   */
  labelledBy(number: number, signal?: AbortSignal): Promise<ReadonlyMap<string, Account>>;
  /** Whether this account may write to the repository now, as far as the token can see; false for one that is gone. */
  mayWrite(account: Account, signal?: AbortSignal): Promise<boolean>;
  /** The account of our own token. */
  self(signal?: AbortSignal): Promise<Account>;
  /** As `Forge.comment`, on an issue: exactly one comment of ours that holds `marker`. */
  comment(issue: number, marker: string, body: string, signal?: AbortSignal): Promise<void>;
}
