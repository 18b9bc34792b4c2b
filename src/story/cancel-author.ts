import type { Oid } from '../domain/ids.ts';
import { plainly } from '../domain/people.ts';
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
 * The same key made both for the same address: the signature of the commit that wrote the action and that of the commit
 * that wrote the request. The key alone may be that of a forge, for whatever is written in its editor. A merge (and the key of whoever merged) says nothing of the author, so of what a merge brought in the commits
 * that introduced it count; nor does a signature under somebody else's work, such as a forge puts under what it squashes
 * and rebases.
 */
export async function authorByKey(action: SetAction, file: CancelFile, opsRepo: OpsRepo): Promise<Author> {
  const wrote = await writersOf(action, opsRepo);
  if (wrote.length === 0) return { not: 'its author signed no commit that set the action' };
  const asked = await writersOf({ path: file.path, blob: file.entry.oid, commit: file.commit }, opsRepo);
  const same = asked.find(({ key, email }) => wrote.some((writer) => writer.key === key && writer.email === email));
  return same === undefined ? { not: 'it is not signed by the key of the author' } : { by: `author (${same.key})` };
}

/** The forge names the same account as opener of the action's change and as pusher of the request. */
export async function authorByFeed(
  action: SetAction,
  file: CancelFile,
  { forge, changes, settings, world }: StoryContext,
  signal: AbortSignal | undefined,
): Promise<Author> {
  if (forge === null || changes === null) return { not: 'there is no forge that knows who pushed it' };
  const change = await changes.of(action.commit, { path: action.path, tip: world().tips.tip }, signal);
  if (change === null || change.author.id === null) return { not: 'no change with a known author brought the action' };
  const pusher = await forge.pusherOf(file.commit, settings.branch, signal);
  if (pusher === null) return { not: 'the forge does not say (yet) who pushed it' };
  if (pusher.id !== change.author.id) return { not: `${pusher.login} pushed it, and the action is not theirs` };
  return { by: pusher.login };
}

interface Writer {
  /** Fingerprint. */
  readonly key: string;
  readonly email: string;
}

/** Whose keys signed that they wrote these bytes. */
async function writersOf({ commit, path, blob }: SetAction, opsRepo: OpsRepo): Promise<readonly Writer[]> {
  const setter = await opsRepo.commit(commit);
  const introducers = setter.parents.length > 1 ? await opsRepo.introducers(commit, path, blob) : [];
  const introduced = await Promise.all(introducers.map((each) => opsRepo.commit(each)));
  const own = (introduced.length > 0 ? introduced : [setter]).filter(isOwnWork);
  const writers: Writer[] = [];
  for (const { oid, author } of own) {
    // No key is expected: which one it is tells, not whose.
    const signature = await opsRepo.verifySignature(oid, []);
    const key = 'fingerprint' in signature ? signature.fingerprint : null;
    const email = plainly(author.email);
    if (key !== null && key !== '' && email !== '') writers.push({ key, email });
  }
  return writers;
}

function isOwnWork({ author, committer }: CommitInfo): boolean {
  return plainly(author.email) === plainly(committer.email);
}
