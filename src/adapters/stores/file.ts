import { createHash, randomUUID } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { z } from 'zod';
import { EdgeError, TransientError, toError } from '../../errors.ts';
import type { Store, StoredObject } from '../../ports/store.ts';
import { mkdirDurably, syncDirectory } from '../durable-file.ts';
import type { Tools } from '../factory.ts';
import { isRegularBeneath, readRegular } from '../regular-file.ts';

const options = z.strictObject({
  url: z.string().refine((url) => rootOf(url) !== null, 'must be file:/// and a directory beneath the root'),
});

/** A directory of this machine. Beneath it each key is a file; `.tmp` holds what is being written. */
export const file = {
  options,
  create: ({ url }: z.output<typeof options>, _tools: Tools): Store => {
    const root = rootOf(url);
    if (root === null) throw new Error('not a file URL of an absolute directory');
    return new FileStore(root);
  },
};

const TEMPORARY = '.tmp';
// What a file system takes for one name.
const SEGMENT_MAX_BYTES = 255;

class FileStore implements Store {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /** Throws a plain Error for a key that is none. Errors of `content` come out as they are, and nothing is kept. */
  async put(key: string, content: AsyncIterable<Uint8Array>): Promise<StoredObject> {
    const target = path.join(this.#root, checkedKey(key));
    const temporary = path.join(this.#root, TEMPORARY, randomUUID());
    try {
      await orUnavailable(() => mkdirDurably(path.dirname(temporary)));
      const handle = await orUnavailable(() => open(temporary, 'wx', 0o600));
      const written = await fill(handle, content);
      await orUnavailable(() => place(temporary, target));
      return { uri: pathToFileURL(target).href, ...written };
    } finally {
      // It is gone already, or what is left of it does no harm.
      await rm(temporary, { force: true }).catch(() => undefined);
    }
  }

  async get(uri: string): Promise<AsyncIterable<Uint8Array> | null> {
    const target = localPath(uri);
    if (target === null || !(await orUnavailable(() => isRegularBeneath(target, this.#root)))) return null;
    return read(target);
  }
}

async function fill(handle: FileHandle, content: AsyncIterable<Uint8Array>) {
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    for await (const chunk of content) {
      hash.update(chunk);
      bytes += chunk.length;
      await orUnavailable(() => writeAll(handle, chunk));
    }
    await orUnavailable(() => handle.sync());
  } finally {
    await handle.close();
  }
  return { bytes, sha256: hash.digest('hex') };
}

async function writeAll(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    const { bytesWritten } = await handle.write(chunk, done);
    done += bytesWritten;
  }
}

async function place(temporary: string, target: string): Promise<void> {
  await mkdirDurably(path.dirname(target));
  await rename(temporary, target);
  await syncDirectory(path.dirname(target));
}

async function* read(target: string): AsyncGenerator<Uint8Array> {
  try {
    yield* readRegular(target, 0);
  } catch (error) {
    throw unavailable(error);
  }
}

function checkedKey(key: string): string {
  const segments = key.split('/');
  const isGood = segments.every(isGoodSegment) && segments[0] !== TEMPORARY;
  if (!isGood) throw new Error(`not a key of a store: ${JSON.stringify(key)}`);
  return key;
}

function isGoodSegment(segment: string): boolean {
  if (segment === '' || segment === '.' || segment === '..') return false;
  return !segment.includes('\0') && Buffer.byteLength(segment) <= SEGMENT_MAX_BYTES;
}

function rootOf(url: string): string | null {
  const root = url.startsWith('file:///') ? localPath(url) : null;
  return root === null || path.resolve(root) === '/' ? null : path.resolve(root);
}

function localPath(uri: string): string | null {
  try {
    return fileURLToPath(uri);
  } catch {
    return null;
  }
}

async function orUnavailable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw unavailable(error);
  }
}

function unavailable(error: unknown): EdgeError {
  if (error instanceof EdgeError) return error;
  return new TransientError('ERR_STORE_UNAVAILABLE', `the store: ${toError(error).message}`, { cause: error });
}
