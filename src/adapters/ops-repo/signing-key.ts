import { open } from 'node:fs/promises';
import path from 'node:path';
import { StalledError, TransientError } from '../../errors.ts';
import { isErrno } from '../durable-file.ts';
import { defaultPath } from './environment.ts';
import { runProcess } from './process.ts';

/** The SSH key that result commits are signed with. Of its file only ssh-keygen reads more than the mode. */

const OTHERS = 0o077;
const TIMEOUT_MS = 10_000;

/**
 * The public key (`ssh-ed25519 AAAA…`, without comment) that belongs to a private one, derived from it anew each time.
 * `searchPath`: where ssh-keygen is looked up. Throws StalledError (ERR_SIGNING_KEY) when the file can't be read, or holds
 * no private key, or one with a passphrase; TransientError (ERR_GIT_UNAVAILABLE) when ssh-keygen can't be run.
 */
export async function publicKeyOf(signingKeyFile: string, searchPath = defaultPath): Promise<string> {
  const file = path.resolve(signingKeyFile);
  await checkSigningKey(file);
  const end = await runProcess('ssh-keygen', ['-y', '-P', '', '-f', file], {
    env: { PATH: searchPath, LC_ALL: 'C' },
    timeoutMs: TIMEOUT_MS,
    signal: new AbortController().signal,
  });
  if (end.kind === 'not-started') throw noSshKeygen();
  const [type = '', key = ''] = end.kind === 'exited' && end.code === 0 ? end.stdout.toString('utf8').split(/\s+/) : [];
  if (key === '') throw unusable('is no private SSH key, or one with a passphrase');
  return `${type} ${key}`;
}

/** Throws StalledError (ERR_SIGNING_KEY) when the file can't be read, or others than its owner may. */
export async function checkSigningKey(file: string): Promise<void> {
  const handle = await open(file, 'r').catch((error: unknown) => {
    const isGone = isErrno(error, 'ENOENT', 'ENOTDIR');
    throw unusable(isGone ? 'is not there' : 'can not be read');
  });
  try {
    const { mode } = await handle.stat();
    if ((mode & OTHERS) !== 0) throw unusable('may be read by others than its owner');
  } finally {
    await handle.close();
  }
}

/** Names no path: somebody may have written the key itself where its file belongs. */
function unusable(what: string): StalledError {
  return new StalledError('ERR_SIGNING_KEY', `the key file that result commits are signed with ${what}`);
}

export function noSshKeygen(): TransientError {
  const hint = 'Install OpenSSH 8.2 or newer where the dispatcher runs.';
  return new TransientError('ERR_GIT_UNAVAILABLE', 'ssh-keygen, which makes and checks signatures, could not be run', {
    hint,
  });
}
