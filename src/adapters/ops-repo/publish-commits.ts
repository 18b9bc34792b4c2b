import type { Oid } from '../../domain/ids.ts';
import { StalledError } from '../../errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { NewFile, TreeEntry } from '../../ports/ops-repo.ts';
import type { Cache } from './cache.ts';
import { commitTree, writeTree } from './commit.ts';
import type { CloneOptions } from './git.ts';
import { isAncestor } from './log.ts';
import { type PushAnswer, push } from './push.ts';
import { SigningKey } from './signing-key.ts';
import { entriesAt } from './tree.ts';

export interface PublisherOptions extends CloneOptions {
  /** Private SSH key that the commits are signed with, without passphrase and of mode 0600; absent or empty: none are. */
  readonly signingKeyFile?: string;
  /** Public half of it that our results are known by; absent: any. With another key in the file nothing is published. */
  readonly signingPublicKey?: string | undefined;
}

/** The branch as git keeps it, for who adds files to it. Errors of the port. */
export interface BranchCommits {
  /** For messages: which branch of which repo, without credentials. */
  readonly place: string;
  /** Aborted when the clone is closed. */
  readonly closing: AbortSignal;
  /** The newest tip, fetched; null: the remote has no such branch. */
  refresh(): Promise<Oid | null>;
  missing(): StalledError;
  isIn(tip: Oid, commit: Oid): Promise<boolean>;
  /** What lies at these paths; absent: nothing. */
  entriesAt(tip: Oid, paths: readonly string[]): Promise<ReadonlyMap<string, TreeEntry>>;
  /** One commit with these files added on top of `tip`, pushed as a plain fast-forward. Landed, the clone stands there too. */
  write(
    files: readonly NewFile[],
    tip: Oid,
    message: string,
  ): Promise<{ readonly commit: Oid; readonly answer: PushAnswer }>;
}

export function gitBranchCommits(cache: Cache, options: PublisherOptions, clock: Clock): BranchCommits {
  const { git } = cache;
  const { signingKeyFile: file = '', signingPublicKey: publicKey, author, branch } = options;
  const signingKey = file === '' ? undefined : new SigningKey({ file, publicKey, searchPath: git.path });
  const commitAndPush = async (files: readonly NewFile[], tip: Oid, message: string) => {
    const tree = await writeTree(git, tip, files);
    const commit = await commitTree(git, { tree, parents: [tip], message, author, date: clock.now(), signingKey });
    const answer = await push(git, { commit, ref: `refs/heads/${branch}` });
    if (answer.kind === 'landed') await cache.landed(commit);
    return { commit, answer };
  };
  return {
    place: `${git.shown}, branch ${branch}`,
    closing: git.closing,
    refresh: () => cache.refresh(),
    missing: () => branchMissing(git.shown, branch),
    isIn: (tip, commit) => cache.whole(() => isAncestor(git, commit, tip)),
    entriesAt: (tip, paths) => cache.whole(() => entriesAt(git, tip, paths)),
    write: (files, tip, message) => cache.whole(() => cache.exclusively(() => commitAndPush(files, tip, message))),
  };
}

export function branchMissing(shown: string, branch: string): StalledError {
  const hint = 'Check url and branch of [ops_repo]; a new repo needs a first commit on the branch.';
  return new StalledError('ERR_GIT_NOT_FOUND', `${shown} has no branch ${branch}`, { hint });
}
