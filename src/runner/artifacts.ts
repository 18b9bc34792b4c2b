import { createHash } from 'node:crypto';
import { constants, readlinkSync, realpathSync } from 'node:fs';
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { createRedactor, type Redactor, type Secret } from '../domain/redact.ts';
import type { Trailer } from '../domain/trailer.ts';
import { artifactPaths } from './artifact-paths.ts';

type Artifact = Trailer['artifacts'][number];

export interface Collection {
  /** Where the command worked; nothing of it runs any more. */
  readonly work: string;
  /** The formula's patterns. */
  readonly patterns: readonly string[];
  readonly secrets: readonly Secret[];
  /** Largest file that is taken, in bytes. */
  readonly maxBytes: number;
  /** Where copies go, beneath their own paths; null: this engine keeps none. */
  readonly target: string | null;
  /** Aborted: the rest is named and withheld. */
  readonly stop: AbortSignal;
}

/** Most that are listed. */
export const MAX_ARTIFACTS = 1_000;
/** Of a path as JSON, so that all of them fit into the trailer. */
const MAX_PATH_BYTES = 257;
const CHUNK_BYTES = 1 << 16;

/**
 * Lists the regular files beneath the work directory that the patterns name, and copies them to `target`. What is not
 * handed over is named with the reason: too large, a secret inside, hard-linked, not readable. Symbolic links are never
 * followed, neither at the end of a path nor on the way. Never throws for what the command left there.
 */
export async function collectArtifacts(collection: Collection): Promise<Artifact[]> {
  const artifacts: Artifact[] = [];
  if (collection.patterns.length === 0) return artifacts;
  const redactor = createRedactor(collection.secrets);
  for await (const name of artifactPaths(collection.work, collection.patterns)) {
    if (artifacts.length === MAX_ARTIFACTS - 1) {
      return [...artifacts, withheld('…', `more than ${MAX_ARTIFACTS - 1} artifacts: the rest is not listed`)];
    }
    artifacts.push(await collect(name, collection, redactor));
  }
  return artifacts;
}

function withheld(name: string, why: string, bytes = 0): Artifact {
  return { path: name, bytes, sha256: '', withheld: why };
}

async function collect(name: string, collection: Collection, redactor: Redactor): Promise<Artifact> {
  const masked = scrubName(name, redactor);
  if (masked !== null) return withheld(shortened(masked), 'a secret is in its name');
  if (shortened(name) !== name) return withheld(shortened(name), 'its path is too long');
  if (collection.stop.aborted) return withheld(name, 'there was no time left');
  try {
    const file = await open(path.join(collection.work, name), READ_NO_LINK);
    try {
      return await examine(name, file, collection, redactor);
    } finally {
      await file.close();
    }
  } catch {
    return withheld(name, "it can't be read or kept");
  }
}

// O_NONBLOCK: what has become a FIFO since it was listed is not waited for.
const READ_NO_LINK = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

async function examine(name: string, file: FileHandle, collection: Collection, redactor: Redactor): Promise<Artifact> {
  const { work, maxBytes } = collection;
  const status = await file.stat();
  // The kernel says where it really is: a directory on the way may have become a link since it was listed.
  const isHere = readlinkSync(`/proc/self/fd/${file.fd}`) === path.join(realpathSync(work), name);
  if (!status.isFile() || !isHere) return withheld(name, 'it is no regular file');
  if (status.nlink > 1) return withheld(name, 'it has another name (hard link)', status.size);
  if (status.size > maxBytes) return withheld(name, `it is larger than ${maxBytes} bytes`, status.size);
  return await copy(name, file, collection, redactor);
}

/** Looks for secrets in the very bytes that it copies. */
async function copy(name: string, file: FileHandle, collection: Collection, redactor: Redactor): Promise<Artifact> {
  const { target, maxBytes } = collection;
  const before = total(redactor);
  const scrubber = redactor.stream();
  const hash = createHash('sha256');
  const kept = target === null ? null : await openCopy(path.join(target, name));
  let bytes = 0;
  try {
    for await (const chunk of chunksOf(file)) {
      bytes += chunk.length;
      if (bytes > maxBytes) break;
      scrubber.write(chunk);
      hash.update(chunk);
      await kept?.writeFile(chunk);
    }
  } finally {
    await kept?.close();
  }
  scrubber.end();
  const hasSecret = total(redactor) > before;
  if (hasSecret || bytes > maxBytes) {
    if (target !== null) await rm(path.join(target, name));
    return withheld(name, hasSecret ? 'a secret is inside' : `it is larger than ${maxBytes} bytes`, bytes);
  }
  const artifact = { path: name, bytes, sha256: hash.digest('hex') };
  return target === null ? { ...artifact, withheld: 'this engine collects no artifacts' } : artifact;
}

async function openCopy(file: string): Promise<FileHandle> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  return await open(file, 'wx', 0o600);
}

async function* chunksOf(file: FileHandle): AsyncGenerator<Uint8Array> {
  for (;;) {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(CHUNK_BYTES), 0, CHUNK_BYTES, null);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

/** A name goes into the trailer. null: no secret is in it. */
function scrubName(name: string, redactor: Redactor): string | null {
  const before = total(redactor);
  const scrubber = redactor.stream();
  const text = Buffer.concat([scrubber.write(Buffer.from(name)), scrubber.end()]);
  return total(redactor) > before ? text.toString('utf8') : null;
}

function total(redactor: Redactor): number {
  return Object.values(redactor.masked()).reduce((sum, count) => sum + count, 0);
}

function shortened(name: string): string {
  let short = name;
  while (Buffer.byteLength(JSON.stringify(short)) > MAX_PATH_BYTES) short = `${short.slice(0, -2)}…`;
  return short;
}
