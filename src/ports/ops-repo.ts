import type { Oid } from '../domain/ids.ts';

export type EntryKind = 'file' | 'executable' | 'symlink' | 'submodule' | 'tree';

export interface TreeEntry {
  /** Path from the root of the repo; bytes that are no UTF-8 are shown as U+FFFD. */
  readonly path: string;
  readonly kind: EntryKind;
  readonly oid: Oid;
}

/** `after` is null for a deletion, `before` for an addition. Renames are a deletion and an addition. */
export interface TreeChange {
  readonly path: string;
  readonly before: TreeEntry | null;
  readonly after: TreeEntry | null;
}

export interface CommitInfo {
  readonly oid: Oid;
  readonly parents: readonly Oid[];
  readonly author: Person;
  readonly committer: Person;
  /** From Co-authored-by lines. */
  readonly coAuthors: readonly Person[];
  /** Committer date, ISO 8601 in UTC. Claimed by whoever made the commit. */
  readonly committedAt: string;
  /** The trailer of the dispatcher's own result commits is how it knows them; null: not one of ours. */
  readonly subject: string;
}

export interface Person {
  readonly name: string;
  readonly email: string;
}

/** A commit of the first-parent line and what it changed against its first parent, among the paths asked for. */
export interface FirstParentChange {
  readonly commit: Oid;
  readonly committedAt: string;
  readonly changes: readonly TreeChange[];
}

export interface Tips {
  readonly tip: Oid;
  /** Object id of the first-parent root commit: names the repo whatever its URL. */
  readonly root: Oid;
  /** False: the tip does not descend from the one that was seen (and accepted) before. */
  readonly descends: boolean;
}

export type SignatureVerdict =
  | { readonly kind: 'good'; readonly principal: string; readonly fingerprint: string }
  /** `fingerprint` is of the key that made it, whose it may be; null: the signature is of a kind that is not looked at. */
  | { readonly kind: 'unknown-key'; readonly fingerprint: string | null }
  | { readonly kind: 'unsigned' | 'bad' };

/** An annotated tag beneath `refs/tags/approve/`. */
export interface ApprovalTag {
  /** Of the tag object. */
  readonly oid: Oid;
  /** Full name of the ref. */
  readonly ref: string;
  /** The commit that it names; a tag of anything else is left out. */
  readonly commit: Oid;
  /** Without the signature. Over 64 KiB: cut. */
  readonly message: string;
  readonly tagger: Person;
  /** ISO 8601 in UTC. Claimed by whoever made the tag. */
  readonly taggedAt: string;
}

/** One file to be written by a result commit. Create-only. */
export interface NewFile {
  readonly path: string;
  readonly content: Uint8Array;
}

/** `conflict`: other content lies there (its blob id); nothing was overwritten. */
export type PublishAnswer =
  | { readonly kind: 'landed'; readonly commit: Oid }
  | { readonly kind: 'conflict'; readonly blob: Oid };

/**
 * The branch of the ops repo that actions, formulas, policy and results lie on; read and written by git plumbing on a
 * bare clone. Reads answer from the clone, and only `refresh` and `publish` talk to the server. All calls may run at the
 * same time; all are safe to repeat. Errors: TransientError (ERR_GIT_UNAVAILABLE, ERR_CACHE_DAMAGED), StalledError
 * (ERR_GIT_DENIED, ERR_GIT_NOT_FOUND, ERR_GIT_HOST_KEY, ERR_PUSH_FORBIDDEN).
 */
export interface OpsRepo {
  /** Asks the server for the branch tip and fetches what is new: one request when nothing has changed. */
  refresh(signal?: AbortSignal): Promise<Tips>;
  /** Makes the present tip the accepted one after it was found not to descend. */
  acceptHistory(): Promise<void>;
  /** All entries (files and what pretends to be one, no trees but such as are named like files) beneath the folders. */
  list(commit: Oid, under: readonly string[]): Promise<readonly TreeEntry[]>;
  changes(from: Oid, to: Oid, under: readonly string[]): Promise<readonly TreeChange[]>;
  /** The entry at one path, null if none. */
  entryAt(commit: Oid, path: string): Promise<TreeEntry | null>;
  /** Content of a blob, by one long-lived batch process. Blobs over 1 MiB are refused with ERR_FILE_SIZE. */
  read(blob: Oid): Promise<Uint8Array>;
  commit(commit: Oid): Promise<CommitInfo>;
  /** For each path the newest first-parent commit (of `tip`) that changed it; absent if none ever did. One process. */
  lastChanged(
    tip: Oid,
    paths: readonly string[],
  ): Promise<ReadonlyMap<string, { readonly commit: Oid; readonly committedAt: string }>>;
  /** First-parent commits of (from, to] that change one of the paths or folders, oldest first. `from` null: all. */
  firstParentChanges(from: Oid | null, to: Oid, under: readonly string[]): Promise<readonly FirstParentChange[]>;
  /**
   * The commits on the merged side of `merge` that introduced `blob` at `path` (followed through nested merges); empty
   * when `merge` is no merge or made the blob itself.
   */
  introducers(merge: Oid, path: string, blob: Oid): Promise<readonly Oid[]>;
  /** Paths of all files ending in `suffix` that any commit reachable from `to` (and not from `from`) ever added. */
  everAdded(from: Oid | null, to: Oid, under: readonly string[], suffix: string): Promise<readonly string[]>;
  isAncestor(ancestor: Oid, descendant: Oid): Promise<boolean>;
  /** Where two lines parted: their best common ancestors, several after criss-cross merges; empty: they have none. */
  mergeBases(one: Oid, other: Oid): Promise<readonly Oid[]>;
  /** Object id of the first-parent root of this commit: for one on the branch `root` of `Tips`, without asking the server. */
  root(commit: Oid): Promise<Oid>;
  /**
   * Checked by git itself (ssh-keygen) against these keys only; `principal` is the one given with the key. `object` is a
   * commit or an annotated tag.
   */
  verifySignature(object: Oid, keys: readonly AllowedSigner[]): Promise<SignatureVerdict>;
  /**
   * Makes these commits readable, also such as are on no branch: asks the server by id for those that the clone lacks.
   * Answers which of them are there now; the server definitely has not got the others. Errors as `refresh`.
   */
  obtain(commits: readonly Oid[], signal?: AbortSignal): Promise<ReadonlySet<Oid>>;
  /** The tags beneath `refs/tags/approve/` as the server has them now, ordered by ref. Errors as `refresh`. */
  approvalTags(signal?: AbortSignal): Promise<readonly ApprovalTag[]>;
  /**
   * Commits new files on top of the newest tip and pushes by plain fast-forward; rebuilt when the branch moved. Answers
   * when it has landed for good. Equal content that is already there has landed too. Where a key is configured the commit
   * is signed with it, or nothing is pushed: StalledError (ERR_SIGNING_KEY).
   */
  publish(file: NewFile, message: string): Promise<PublishAnswer>;
  /** Ends the batch process and whatever else is open. */
  close(): Promise<void>;
}

export interface AllowedSigner {
  /** Without spaces, commas, wildcards; unique per approver. */
  readonly principal: string;
  /** `ssh-ed25519 AAAA…` */
  readonly key: string;
}
