import { chmod, lstat, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { RUN_FILES } from '../../../domain/run-directory.ts';
import { isErrno } from '../../durable-file.ts';
import { isRegularBeneath, readRegular } from '../../regular-file.ts';

/** A collected artifact; null when there is none at this path, or the path leads out of the artifacts. */
export async function readArtifact(directory: string, artifact: string): Promise<AsyncIterable<Uint8Array> | null> {
  const root = path.join(directory, RUN_FILES.artifacts);
  const file = path.join(root, artifact);
  if (artifact.includes('\0') || !(await isRegularBeneath(file, root))) return null;
  return readRegular(file, 0);
}

/** Removes a tree, also where a command took away its own rights to it. */
export async function removeTree(directory: string): Promise<void> {
  const remove = () => rm(directory, { recursive: true, force: true, maxRetries: 3 });
  try {
    await remove();
  } catch (error) {
    if (!isErrno(error, 'EACCES', 'EPERM')) throw error;
    await openUp(directory);
    await remove();
  }
}

async function openUp(file: string): Promise<void> {
  if (!(await lstat(file)).isDirectory()) return;
  await chmod(file, 0o700);
  for (const name of await readdir(file)) await openUp(path.join(file, name));
}
