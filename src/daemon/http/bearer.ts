import { createHash, timingSafeEqual } from 'node:crypto';
import { open } from 'node:fs/promises';
import { toError } from '../../errors.ts';
import type { Log } from '../../ports/log.ts';

/** Whether the value of an Authorization header is the token. */
export type Guard = (authorization: string | undefined) => Promise<boolean>;

/**
 * Asks for `Bearer <token>`. `readToken` is called at each use, so that the token may change; while it can't be read, or
 * says nothing, nobody is let in. The comparison takes the same time whatever was given.
 */
export function bearerGuard(readToken: () => Promise<string>, log: Log): Guard {
  return async (authorization) => {
    const given = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
    if (given === undefined) return false;
    try {
      return timingSafeEqual(digest(given), digest(await readToken()));
    } catch (error) {
      log.warn('cannot read the token of [http]', { err: toError(error) });
      return false;
    }
  };
}

/** The first line of a file. Throws Node's own errors. */
export async function readTokenFile(file: string): Promise<string> {
  const handle = await open(file);
  try {
    const { bytesRead, buffer } = await handle.read({ buffer: Buffer.alloc(LONGEST) });
    const [line = ''] = buffer.toString('utf8', 0, bytesRead).split(/[\r\n]/);
    return line.trim();
  } finally {
    await handle.close();
  }
}

const LONGEST = 4096;

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
