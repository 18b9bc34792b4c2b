import { createHash } from 'node:crypto';
import { publicKeyOf } from '../adapters/ops-repo/signing-key.ts';
import type { Config } from '../config.ts';
import { EdgeError } from '../errors.ts';
import { type Finding, failed, good } from './doctor-finding.ts';

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

/** As `ssh-keygen -l` and git show it. */
function fingerprint(publicKey: string): string {
  const [, blob = ''] = publicKey.split(' ');
  const digest = createHash('sha256').update(Buffer.from(blob, 'base64')).digest('base64');
  return `SHA256:${digest.replace(/=+$/, '')}`;
}
