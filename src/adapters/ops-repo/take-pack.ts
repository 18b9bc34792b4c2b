import type { Oid } from '../../domain/ids.ts';
import type { Git } from './git.ts';
import { type Fetched, objectsIn } from './quick-fetch.ts';

/** As git's own fetch does it: of fewer objects each is a file of its own, until the clone is tidied up. */
const UNPACKED_BELOW = 100;

/**
 * Takes a fetched pack into the clone, as git's own fetch would: every object is hashed by git, and nothing may lack of
 * all that leads from the new tip to the old one. False: it can't be used; what was written of it is held by no ref.
 * The ref is not moved here. Within `Cache.exclusively`. Throws GitFailure when a process did not come to its end.
 */
export async function takePack(git: Git, { tip, pack }: Fetched, have: Oid, signal?: AbortSignal): Promise<boolean> {
  const args = objectsIn(pack) < UNPACKED_BELOW ? ['unpack-objects', '-q'] : ['index-pack', '--stdin', '--fix-thin'];
  const taken = await git.run(args, { input: pack, signal });
  if (taken.code !== 0) return false;
  const whole = await git.run(['rev-list', '--objects', '--quiet', `${tip}^{commit}`, `^${have}`], { signal });
  return whole.code === 0;
}
