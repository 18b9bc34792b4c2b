import { createHash } from 'node:crypto';
import { publicKeyOf } from '../adapters/ops-repo/signing-key.ts';
import type { Config } from '../config.ts';
import { EdgeError } from '../errors.ts';
import { isResultPath } from '../story/own-results.ts';
import { type Finding, failed, good, warning } from './doctor-finding.ts';
import type { Observed } from './observe.ts';

/** Whether result commits can be signed, and by which key; nothing where they are not to be. */
export async function signingFindings(
  opsRepo: Pick<Config['ops_repo'], 'signing_key_file' | 'result_keys'>,
): Promise<readonly Finding[]> {
  const { signing_key_file: file, result_keys: others } = opsRepo;
  if (file === null) {
    if (others.length === 0) return [];
    return [
      good('signing', `WARNING: results count by ${others.length} keys, and this dispatcher has none to sign with`),
    ];
  }
  try {
    const more =
      others.length === 0 ? '' : `; ${others.length} other ${others.length === 1 ? 'key counts' : 'keys count'}`;
    return [good('signing', `results are signed with ${fingerprint(await publicKeyOf(file))}${more}`)];
  } catch (error) {
    if (error instanceof EdgeError) return [failed('signing', error)];
    throw error;
  }
}

/** Where results are signed: how many at the tip are not, as all those are that are older than the key. */
export async function olderResultFindings(
  { config, context, world }: Pick<Observed, 'config' | 'context' | 'world'>,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const { opsRepo, ownResults } = context;
  if (!ownResults.areSigned) return [];
  const { tip } = world().tips;
  try {
    const entries = (await opsRepo.list(tip, [config.ops_repo.actions_dir])).filter(({ path }) => isResultPath(path));
    const setters = await opsRepo.lastChanged(
      tip,
      entries.map(({ path }) => path),
    );
    const age = ({ path }: { readonly path: string }) => setters.get(path)?.committedAt ?? '';
    const newest = entries.toSorted((one, other) => age(other).localeCompare(age(one))).slice(0, LOOKED_AT);
    const judged = [...(await ownResults.judge(tip, newest, signal)).values()];
    const count = judged.filter((whose) => whose.kind === 'foreign' && whose.signature === 'unsigned').length;
    if (count === 0) return [];
    const among = entries.length > LOOKED_AT ? ` among the newest ${LOOKED_AT}` : '';
    const message = `${count} older ${count === 1 ? 'result is' : 'results are'} not signed${among}`;
    const fix = 'Look at them, then `init --trust <commit>` with a commit that holds them.';
    return [warning('signing', 'ERR_FOREIGN_RESULT', message, fix)];
  } catch (error) {
    if (error instanceof EdgeError) return [failed('signing', error)];
    throw error;
  }
}

/** Each takes three short processes. */
const LOOKED_AT = 200;

/** As `ssh-keygen -l` and git show it. */
function fingerprint(publicKey: string): string {
  const [, blob = ''] = publicKey.split(' ');
  const digest = createHash('sha256').update(Buffer.from(blob, 'base64')).digest('base64');
  return `SHA256:${digest.replace(/=+$/, '')}`;
}
