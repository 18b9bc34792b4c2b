import { open, stat } from 'node:fs/promises';
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

export interface SigningKeyOptions {
  readonly file: string;
  /** As it was at the start, of the form that `publicKeyOf` gives; absent: whatever the file holds may sign. */
  readonly publicKey?: string | undefined;
  /** Where ssh-keygen is looked up. */
  readonly searchPath: string;
}

/** Whose public half our own results are known by: a key that came into the file later would make results nobody's. */
export class SigningKey {
  readonly file: string;
  readonly #publicKey: string | undefined;
  readonly #searchPath: string;
  /** Of the file, when it last held the key. */
  #state: string | undefined;

  constructor({ file, publicKey, searchPath }: SigningKeyOptions) {
    this.file = path.resolve(file);
    this.#publicKey = publicKey;
    this.#searchPath = searchPath;
  }

  /** To be asked before each signature. Errors: those of `publicKeyOf`; StalledError too when it is another key. */
  async check(): Promise<void> {
    await checkSigningKey(this.file);
    if (this.#publicKey === undefined) return;
    const state = await stateOf(this.file);
    if (state !== null && state === this.#state) return;
    if ((await publicKeyOf(this.file, this.#searchPath)) !== this.#publicKey) {
      const hint = 'Restart the dispatcher with the new key, and put the earlier public key into ops_repo.result_keys.';
      throw unusable('was changed', hint);
    }
    if (state !== null) this.#state = state;
  }

  /** What is wrong with it, thrown as by `publicKeyOf`; nothing, if it could sign. */
  async examine(): Promise<void> {
    await publicKeyOf(this.file, this.#searchPath);
  }
}

/** The time of the last change of the inode can't be set by anybody, as that of the content can. */
async function stateOf(file: string): Promise<string | null> {
  const found = await stat(file, { bigint: true }).catch(() => null);
  return found === null ? null : [found.ino, found.size, found.mtimeNs, found.ctimeNs].join(' ');
}

/** Throws StalledError (ERR_SIGNING_KEY) when the file can't be read, or others than its owner may. */
async function checkSigningKey(file: string): Promise<void> {
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
function unusable(what: string, hint?: string): StalledError {
  const details = hint === undefined ? {} : { hint };
  return new StalledError('ERR_SIGNING_KEY', `the key file that result commits are signed with ${what}`, details);
}

export function noSshKeygen(): TransientError {
  const hint = 'Install OpenSSH 8.2 or newer where the dispatcher runs.';
  return new TransientError('ERR_GIT_UNAVAILABLE', 'ssh-keygen, which makes and checks signatures, could not be run', {
    hint,
  });
}
