import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import type { Formula } from '../domain/formula.ts';
import { errorCode, RunnerError } from './runner-error.ts';

/** Holds the programs outside the repo against what was approved of them. Throws RunnerError (ERR_DIGEST). */
export async function checkProgramFiles(files: Formula['files']): Promise<void> {
  for (const { path, sha256 } of files) {
    const found = await sha256OfFile(path);
    if (found !== sha256) throw new RunnerError('ERR_DIGEST', `${path} is not the file that the formula names`);
  }
}

async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(path), hash);
  } catch (error) {
    throw new RunnerError(
      'ERR_DIGEST',
      `${path} of the formula's files can't be read (${errorCode(error) ?? 'error'})`,
    );
  }
  return hash.digest('hex');
}
