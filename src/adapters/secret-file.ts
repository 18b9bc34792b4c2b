import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { SecretText } from '../domain/secret-text.ts';
import { isErrno } from './durable-file.ts';

const OTHERS = 0o077;
const LONGEST = 4096;

export type SecretLine =
  | { readonly ok: true; readonly secret: SecretText }
  /** `problem` goes on after the name of the key: `is not there`. It never quotes the file or its path. */
  | { readonly ok: false; readonly problem: string };

/**
 * The first line of a file that only its owner may read, at most 4 KiB. Read anew at each call, so that the secret may be
 * replaced. Never throws.
 */
export async function readSecretLine(file: string): Promise<SecretLine> {
  try {
    // A pipe in its place is not waited for.
    const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stat = await handle.stat();
      if (!stat.isFile()) return no('is no file');
      if ((stat.mode & OTHERS) !== 0) return no('may be read by others than its owner (chmod 600)');
      const { bytesRead, buffer } = await handle.read({ buffer: Buffer.alloc(LONGEST + 1), position: 0 });
      const [line = ''] = buffer.toString('utf8', 0, bytesRead).split(/[\r\n]/);
      if (Buffer.byteLength(line) > LONGEST) return no('holds a line of more than 4 KiB');
      return line.trim() === '' ? no('is empty') : { ok: true, secret: new SecretText(line.trim()) };
    } finally {
      await handle.close();
    }
  } catch (error) {
    return no(isErrno(error, 'ENOENT', 'ENOTDIR') ? 'is not there' : 'can not be read');
  }
}

const no = (problem: string): SecretLine => ({ ok: false, problem });
