import { constants } from 'node:fs';
import { type FileHandle, open, realpath } from 'node:fs/promises';
import path from 'node:path';
import { isErrno } from './durable-file.ts';

// Whoever may write beside it can put a link or a pipe in the place of a file: neither is followed or waited for.
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const NOT_THERE = ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO', 'ENAMETOOLONG'] as const;
const CHUNK_BYTES = 64 * 1024;

/** Bytes of a file from `offset` up to its present end; nothing when there is none. Throws Node's own errors. */
export async function* readRegular(file: string, offset: number, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const handle = await openRegular(file);
  if (handle === null) return;
  try {
    const { size } = await handle.stat();
    for (let position = offset; position < size && !signal?.aborted; ) {
      const buffer = Buffer.alloc(Math.min(CHUNK_BYTES, size - position));
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
      if (bytesRead === 0) return;
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

/** True for a regular file whose real place is beneath the directory, whatever links lie on the way. */
export async function isRegularBeneath(file: string, directory: string): Promise<boolean> {
  try {
    if (!file.startsWith(`${directory}${path.sep}`)) return false;
    if (!(await realpath(file)).startsWith(`${await realpath(directory)}${path.sep}`)) return false;
    const handle = await openRegular(file);
    await handle?.close();
    return handle !== null;
  } catch (error) {
    if (isErrno(error, ...NOT_THERE)) return false;
    throw error;
  }
}

async function openRegular(file: string): Promise<FileHandle | null> {
  try {
    const handle = await open(file, READ);
    if ((await handle.stat()).isFile()) return handle;
    await handle.close();
    return null;
  } catch (error) {
    if (isErrno(error, ...NOT_THERE)) return null;
    throw error;
  }
}
