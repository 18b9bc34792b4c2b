import { access, constants, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import type { SecretState } from '../../../ports/access.ts';
import { isErrno } from '../../durable-file.ts';

const NAME = /^[A-Z][A-Z0-9_]{0,63}$/;
const OTHERS = 0o077;

export const isSecretName = (name: string): boolean => NAME.test(name);

/** Where the value of a name lies. Throws a plain Error for what is no name: it would be a path of its own choice. */
export function secretFile(directory: string, name: string): string {
  if (!isSecretName(name)) throw new Error('not a name of a secret');
  return path.join(directory, name);
}

/**
 * `denied`: something is there and may not be used: a directory, unreadable, or readable by others. Looks at the file's
 * metadata only. Throws Node's own errors when the disk does not answer.
 */
export async function secretState(directory: string, name: string): Promise<SecretState> {
  if (!isSecretName(name)) return 'missing';
  const file = secretFile(directory, name);
  try {
    const found = await stat(file);
    if (!found.isFile() || (found.mode & OTHERS) !== 0) return 'denied';
    await access(file, constants.R_OK);
    return 'present';
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return 'missing';
    if (isErrno(error, 'EACCES', 'EPERM', 'ELOOP')) return 'denied';
    throw error;
  }
}

/** Names of all secrets that are there but may not be used. */
export async function deniedSecrets(directory: string): Promise<readonly string[]> {
  const names = (await readdir(directory)).filter(isSecretName).sort();
  const states = await Promise.all(names.map((name) => secretState(directory, name)));
  return names.filter((_, index) => states[index] === 'denied');
}
