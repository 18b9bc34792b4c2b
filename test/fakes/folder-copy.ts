import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** A folder as it was, in memory: to be written as often as it is needed. */
export interface FolderCopy {
  /** Makes it anew in `dir`, which has not to be there; in git's files named `config` its old place becomes the new. */
  writeTo(dir: string): Promise<void>;
}

interface Kept {
  readonly name: string;
  readonly mode: number;
  /** Null: a folder. */
  readonly bytes: Buffer | null;
}

/** Reads files and folders beneath `dir` with their modes; links are not looked for. */
export async function keepFolder(dir: string): Promise<FolderCopy> {
  const names = (await readdir(dir, { recursive: true })).toSorted();
  const kept = await Promise.all(names.map((name) => keep(dir, name)));
  return {
    async writeTo(to) {
      await mkdir(to, { recursive: true });
      for (const { name, bytes, mode } of kept) {
        const place = path.join(to, name);
        const moved = path.basename(name) === 'config' ? bytes?.toString('utf8').replaceAll(dir, to) : bytes;
        if (bytes === null) await mkdir(place, { recursive: true, mode });
        else await writeFile(place, moved ?? bytes, { mode });
        await chmod(place, mode);
      }
    },
  };
}

async function keep(dir: string, name: string): Promise<Kept> {
  const place = path.join(dir, name);
  const found = await stat(place);
  return { name, mode: found.mode & 0o777, bytes: found.isDirectory() ? null : await readFile(place) };
}
