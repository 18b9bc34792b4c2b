import type { Oid } from '../domain/ids.ts';
import type { CommitInfo, OpsRepo } from '../ports/ops-repo.ts';
import type { StoryContext } from './context.ts';
import type { CancelFile } from './world.ts';

/*
 * Whether a cancel request is from the author of the action: whoever proposed an action may take it back, approved or
 * not. Two ways to tell, and neither believes what a commit claims.
 */

/** An action by the commit that set its bytes. */
export interface SetAction {
  readonly path: string;
  readonly blob: Oid;
  readonly commit: Oid;
}

/** Who asks, as a result names them; or why it is not the author, as far as this way can tell. */
export type Author = { readonly by: string } | { readonly not: string };

/**
 * The same key made both: the signature of the commit that wrote the action and that of the commit that wrote the
 * request. A merge (and the key of whoever merged) says nothing of the author, so of what a merge brought in the commits
 * that introduced it count; nor does a signature under somebody else's work, such as a forge puts under what it squashes
 * and rebases.
 */
export async function authorByKey(action: SetAction, file: CancelFile, opsRepo: OpsRepo): Promise<Author> {
  const wrote = await keysOf(action, opsRepo);
  if (wrote.length === 0) return { not: 'its author signed no commit that set the action' };
  const asked = await keysOf({ path: file.path, blob: file.entry.oid, commit: file.commit }, opsRepo);
  const same = asked.find((key) => wrote.includes(key));
  return same === undefined ? { not: 'it is not signed by the key of the author' } : { by: `author (${same})` };
}

/** The forge names the same account as opener of the action's change and as pusher of the request. */
export async function authorByFeed(
  action: SetAction,
  file: CancelFile,
  { forge, settings }: StoryContext,
  signal: AbortSignal | undefined,
): Promise<Author> {
  if (forge === null) return { not: 'there is no forge that knows who pushed it' };
  const change = await forge.changeOf(action.commit, signal);
  // A change into another branch, opened on top of somebody else's commit, does not make that commit its own.
  if (change?.base !== settings.branch || change.author.id === null) {
    return { not: 'no change with a known author brought the action' };
  }
  const pusher = await forge.pusherOf(file.commit, settings.branch, signal);
  if (pusher === null) return { not: 'the forge does not say (yet) who pushed it' };
  if (pusher.id !== change.author.id) return { not: `${pusher.login} pushed it, and the action is not theirs` };
  return { by: pusher.login };
}

/** Fingerprints of the keys whose holders wrote these bytes. */
async function keysOf({ commit, path, blob }: SetAction, opsRepo: OpsRepo): Promise<readonly string[]> {
  const setter = await opsRepo.commit(commit);
  const introducers = setter.parents.length > 1 ? await opsRepo.introducers(commit, path, blob) : [];
  const introduced = await Promise.all(introducers.map((each) => opsRepo.commit(each)));
  const own = (introduced.length > 0 ? introduced : [setter]).filter(isOwnWork);
  const keys: string[] = [];
  for (const { oid } of own) {
    // No key is expected: which one it is tells, not whose.
    const signature = await opsRepo.verifySignature(oid, []);
    const fingerprint = 'fingerprint' in signature ? signature.fingerprint : null;
    if (fingerprint !== null && fingerprint !== '') keys.push(fingerprint);
  }
  return keys;
}

function isOwnWork({ author, committer }: CommitInfo): boolean {
  return author.email.toLowerCase() === committer.email.toLowerCase();
}
