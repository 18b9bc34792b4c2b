import { opendir } from 'node:fs/promises';
import path from 'node:path';
import { type Positions, startOf, step } from './glob.ts';

/** Directory entries looked at in all; a command may have made any number. */
const MAX_ENTRIES = 100_000;

/**
 * Paths of the regular files beneath `root` that the patterns name, relative to it, in the order of names. Symbolic
 * links are neither listed nor followed. Directories that can't be read have no files.
 */
export async function* artifactPaths(root: string, patterns: readonly string[]): AsyncGenerator<string> {
  yield* walk({ root, left: MAX_ENTRIES }, '', startOf(patterns));
}

interface Walk {
  readonly root: string;
  left: number;
}

async function* walk(state: Walk, below: string, positions: Positions): AsyncGenerator<string> {
  if (positions.length === 0) return;
  for (const { name, isFile, isDirectory } of await entriesOf(state, below)) {
    const inner = below === '' ? name : `${below}/${name}`;
    const next = step(positions, name);
    if (isFile && next.isMatch) yield inner;
    if (isDirectory) yield* walk(state, inner, next.below);
  }
}

interface Entry {
  readonly name: string;
  readonly isFile: boolean;
  readonly isDirectory: boolean;
}

async function entriesOf(state: Walk, below: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  try {
    for await (const entry of await opendir(path.join(state.root, below))) {
      if (state.left <= 0) break;
      state.left -= 1;
      entries.push({ name: entry.name, isFile: entry.isFile(), isDirectory: entry.isDirectory() });
    }
  } catch {
    // Closed to us, or gone: there is nothing to list.
  }
  return entries.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
