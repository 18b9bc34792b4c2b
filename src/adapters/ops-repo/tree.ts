import { type Oid, oid } from '../../domain/ids.ts';
import type { EntryKind, TreeChange, TreeEntry } from '../../ports/ops-repo.ts';
import { GitFailure } from './failure.ts';
import type { Git } from './git.ts';

/** Reads trees of the clone: whole folders, the difference of two commits, single entries. */

export async function listTree(git: Git, commit: Oid, under: readonly string[]): Promise<readonly TreeEntry[]> {
  // -t shows trees too: one that is named like a file is what `list` has to tell.
  const out = await git.text(['ls-tree', '-r', '-t', '-z', '--full-tree', commit, '--', ...under.map(plainPath)]);
  return parseTree(out).filter(isTold);
}

export async function entriesAt(
  git: Git,
  commit: Oid,
  paths: readonly string[],
): Promise<ReadonlyMap<string, TreeEntry>> {
  const found = new Map<string, TreeEntry>();
  for (let at = 0; at < paths.length; at += PATHS_A_CALL) {
    const some = paths.slice(at, at + PATHS_A_CALL).map(plainPath);
    const out = await git.ok(['ls-tree', '-z', '--full-tree', commit, '--', ...some]);
    for (const entry of parseTree(out.toString('utf8'))) found.set(entry.path, entry);
  }
  return found;
}

/** Well below what the system takes as arguments. */
const PATHS_A_CALL = 500;

export async function diffTrees(
  git: Git,
  from: Oid,
  to: Oid,
  under: readonly string[],
): Promise<readonly TreeChange[]> {
  if (from === to) return [];
  const out = await git.text(['diff-tree', '-r', '-t', '-z', ...rawOptions, from, to, '--', ...under.map(plainPath)]);
  return parseRawChanges(out.split('\0'));
}

/** Options of the raw form that `parseRawChanges` reads. */
export const rawOptions = ['--raw', '--no-abbrev', '--no-renames', '--ignore-submodules=none'];

/** Records of `--raw -z`: `:mode mode oid oid status` and a path, each ended by NUL. */
function parseRawChanges(tokens: readonly string[]): TreeChange[] {
  const changes: TreeChange[] = [];
  for (let at = 0; at + 1 < tokens.length; at += 2) {
    const change = parseRawChange(tokens[at] ?? '', tokens[at + 1] ?? '');
    if (change !== null) changes.push(change);
  }
  return changes;
}

/** null: a change of a folder as such, which nobody is told of. */
export function parseRawChange(head: string, path: string): TreeChange | null {
  const [, modeBefore = '', modeAfter = '', before = '', after = ''] = RAW.exec(head) ?? [];
  if (modeBefore === '' || path === '') throw new GitFailure('other', 'git diff-tree', 'printed what it never prints');
  const change = { path, before: side(path, modeBefore, before), after: side(path, modeAfter, after) };
  return change.before === null && change.after === null ? null : change;
}

const RAW = /^\n?:([0-7]{6}) ([0-7]{6}) ([0-9a-f]+) ([0-9a-f]+) [A-Z]/;

function side(path: string, mode: string, id: string): TreeEntry | null {
  if (mode === '000000') return null;
  const entry = { path, kind: kindOf(mode), oid: oid(id) };
  return isTold(entry) ? entry : null;
}

function parseTree(out: string): TreeEntry[] {
  return out.split('\0').flatMap((record) => {
    const [, mode = '', id = '', path = ''] = /^([0-7]{6}) [a-z]+ ([0-9a-f]+)\t([^]*)$/.exec(record) ?? [];
    return mode === '' ? [] : [{ path, kind: kindOf(mode), oid: oid(id) }];
  });
}

function kindOf(mode: string): EntryKind {
  switch (mode) {
    case '040000':
      return 'tree';
    case '120000':
      return 'symlink';
    case '160000':
      return 'submodule';
    case '100755':
      return 'executable';
    default:
      return 'file';
  }
}

/** Files, and folders that pretend to be one. */
function isTold(entry: TreeEntry): boolean {
  return entry.kind !== 'tree' || /\.(?:toml|json)$/.test(entry.path);
}

/** Git takes a slash at the end for "beneath", and a path is the entry itself here. */
function plainPath(path: string): string {
  return path.replace(/\/+$/, '');
}
