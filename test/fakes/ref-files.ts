import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { type Oid, oid } from '../../src/domain/ids.ts';

/** Refs of a repo as git keeps them in files: read and moved without a process, by git's own rules. */

/** Id that a ref has; null: there is none. */
export async function readRef(repo: string, ref: string): Promise<Oid | null> {
  const loose = await textOf(path.join(repo, ref));
  if (loose !== null) return oid(loose.trim());
  const packed = (await textOf(path.join(repo, 'packed-refs'))) ?? '';
  const line = packed.split('\n').find((one) => one.endsWith(` ${ref}`));
  return line === undefined ? null : oid(line.slice(0, line.indexOf(' ')));
}

/** The branch that HEAD is on, as a whole ref, or the commit that it is at. */
export async function headRef(repo: string): Promise<string> {
  return (await readFile(path.join(repo, 'HEAD'), 'utf8')).trim().replace(/^ref: /, '');
}

/** Moves a ref (made: `from` is null) under git's lock. Throws when it is locked or no longer at `from`. */
export async function moveRef(
  repo: string,
  ref: string,
  move: { readonly from: Oid | null; readonly to: Oid },
): Promise<void> {
  const file = path.join(repo, ref);
  const lock = `${file}.lock`;
  await mkdir(path.dirname(file), { recursive: true });
  const handle = await open(lock, 'wx');
  try {
    await handle.writeFile(`${move.to}\n`);
    await handle.close();
    const at = await readRef(repo, ref);
    if (at !== move.from) throw new Error(`${ref} is at ${at ?? 'nothing'}, no longer at ${move.from ?? 'nothing'}`);
    await rename(lock, file);
  } catch (error) {
    await rm(lock, { force: true });
    throw error;
  }
}

async function textOf(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // A ref's name may be a folder of other refs.
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR') return null;
    throw error;
  }
}
