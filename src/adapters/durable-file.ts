import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';

/**
 * Replaces `file` as a whole: a reader, and whoever comes after a crash, finds the old or the new content. On disk when
 * it answers. Safe to repeat and to call at the same time. `mode` counts whatever the umask is.
 * Throws Node's own errors; nothing is left behind then.
 */
export async function writeDurably(file: string, content: Uint8Array | string, mode = 0o600): Promise<void> {
  await viaTemporary(file, content, mode, (temporary) => rename(temporary, file));
}

/** Like writeDurably, but makes the file only if there is none. False: there was one, it is untouched. */
export async function createDurably(file: string, content: Uint8Array | string, mode = 0o600): Promise<boolean> {
  try {
    await viaTemporary(file, content, mode, (temporary) => link(temporary, file));
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw error;
  }
}

async function viaTemporary(
  file: string,
  content: Uint8Array | string,
  mode: number,
  place: (temporary: string) => Promise<void>,
): Promise<void> {
  const temporary = `${file}.${randomUUID()}.tmp`;
  try {
    const handle = await open(temporary, 'wx', mode);
    try {
      await handle.chmod(mode);
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await place(temporary);
  } finally {
    await rm(temporary, { force: true });
  }
  await syncDirectory(path.dirname(file));
}

const TEMPORARY = /\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tmp$/;

/** Removes what a crash left of half-done writes here. Only while nobody writes here; a missing directory is no error. */
export async function sweepTemporaries(directory: string): Promise<void> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  });
  const left = names.filter((name) => TEMPORARY.test(name));
  await Promise.all(left.map((name) => rm(path.join(directory, name), { force: true })));
}

/** Makes the directory and its parents, all with `mode`, and puts their names on disk. */
export async function mkdirDurably(directory: string, mode = 0o700): Promise<void> {
  const first = await mkdir(directory, { recursive: true, mode });
  if (first === undefined) return;
  for (let made = directory; made.length >= first.length; made = path.dirname(made)) {
    await syncDirectory(path.dirname(made));
  }
}

/** Puts the names in this directory on disk (after a rename, a link or an unlink). */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** True for an error of the operating system with one of these names (`ENOENT`). */
export function isErrno(error: unknown, ...names: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && names.includes(error.code);
}
