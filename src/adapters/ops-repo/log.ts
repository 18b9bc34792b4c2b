import path from 'node:path';
import { isOid, type Oid, oid } from '../../domain/ids.ts';
import type { FirstParentChange, TreeChange } from '../../ports/ops-repo.ts';
import type { Cache } from './cache.ts';
import { LATEST_SECOND } from './commit-object.ts';
import { GitFailure } from './failure.ts';
import type { Git } from './git.ts';
import { parseRawChange, rawOptions } from './tree.ts';

/**
 * Reads history. The first-parent line is what happened on the branch itself: a merge counts with all that it brought,
 * as a change against its first parent.
 */

export interface LastChange {
  readonly commit: Oid;
  readonly committedAt: string;
}

/** For each path the newest first-parent commit that changed it; reads no further back than the last one found. */
export async function lastChanged(
  git: Git,
  tip: Oid,
  paths: readonly string[],
): Promise<ReadonlyMap<string, LastChange>> {
  const wanted = new Set(paths);
  const found = new Map<string, LastChange>();
  if (wanted.size === 0) return found;
  const reader = new LogReader((commit, change) => {
    if (wanted.delete(change.path)) found.set(change.path, { commit: commit.commit, committedAt: commit.committedAt });
  });
  await git.stream(['log', ...firstParentOptions, '-t', tip, '--', ...narrow(paths)], (chunk) => {
    reader.take(chunk);
    return wanted.size > 0;
  });
  return found;
}

/** Many paths cost git more than the folders that they lie in. */
function narrow(paths: readonly string[]): string[] {
  if (paths.length <= 100) return [...paths];
  const folders = [...new Set(paths.map((file) => path.posix.dirname(file)))];
  return folders.includes('.') || folders.length > 1_000 ? [] : folders;
}

export async function firstParentChanges(
  git: Git,
  from: Oid | null,
  to: Oid,
  under: readonly string[],
): Promise<readonly FirstParentChange[]> {
  const commits: { commit: Oid; committedAt: string; changes: TreeChange[] }[] = [];
  const reader = new LogReader((header, change) => {
    const last = commits.at(-1);
    if (last?.commit === header.commit) last.changes.push(change);
    else commits.push({ ...header, changes: [change] });
  });
  const range = from === null ? [to] : [`${from}..${to}`];
  await git.stream(['log', ...firstParentOptions, '-t', ...range, '--', ...under], (chunk) => {
    reader.take(chunk);
    return true;
  });
  // Reversed here: with --reverse git would order by its own idea of time among lines that it cuts out.
  return commits.reverse();
}

const firstParentOptions = ['--first-parent', '-m', '-z', ...rawOptions, '--format=%H %ct', '--no-show-signature'];

/**
 * Takes `git log -z --raw --format='%H %ct'` piece by piece. A path may hold any byte but NUL: it is told from a header
 * by its place, since each follows its `:modes` record.
 */
class LogReader {
  readonly #tell: (commit: LastChange, change: TreeChange) => void;
  #rest = Buffer.alloc(0);
  #commit: LastChange | undefined;
  #record: string | undefined;

  constructor(tell: (commit: LastChange, change: TreeChange) => void) {
    this.#tell = tell;
  }

  take(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let start = 0;
    for (let end = bytes.indexOf(0); end !== -1; end = bytes.indexOf(0, start)) {
      this.#token(bytes.toString('utf8', start, end));
      start = end + 1;
    }
    this.#rest = Buffer.from(bytes.subarray(start));
  }

  #token(token: string): void {
    if (this.#record !== undefined) {
      const change = parseRawChange(this.#record, token);
      this.#record = undefined;
      if (change !== null && this.#commit !== undefined) this.#tell(this.#commit, change);
    } else if (/^\n?:/.test(token)) {
      this.#record = token;
    } else {
      this.#commit = parseHeader(token);
    }
  }
}

function parseHeader(token: string): LastChange {
  const [, id = '', seconds = ''] = /^([0-9a-f]{40,64}) ([0-9]+)$/.exec(token) ?? [];
  if (!isOid(id)) throw new GitFailure('other', 'git log', 'printed what it never prints');
  return { commit: id, committedAt: new Date(Math.min(Number(seconds), LATEST_SECOND) * 1000).toISOString() };
}

/** Every path with the suffix that any commit, on any side of any merge, ever added. */
export async function everAdded(
  git: Git,
  range: { readonly from: Oid | null; readonly to: Oid },
  under: readonly string[],
  suffix: string,
): Promise<readonly string[]> {
  const options = ['--full-history', '-m', '--diff-filter=A', '--name-only', '--no-renames', '-z', '--format='];
  const commits = range.from === null ? [range.to] : [`${range.from}..${range.to}`];
  const out = await git.text(['log', ...options, '--no-show-signature', ...commits, '--', ...under]);
  return [...new Set(out.split('\0').filter((name) => name.endsWith(suffix)))];
}

/**
 * Walks back from the merged sides of `merge` as long as the blob is there. A commit that has it and got it from none of
 * its parents introduced it; one that lies on the branch before the merge is no part of the merged side.
 */
export async function introducers(cache: Cache, merge: Oid, file: string, blob: Oid): Promise<readonly Oid[]> {
  const [first, ...sides] = await parentsOf(cache, merge);
  if (first === undefined || sides.length === 0) return [];
  const out = await cache.git.text(['rev-list', '--parents', ...sides, `^${first}`]);
  const parents = new Map(
    out.split('\n').map((line) => {
      const [commit = '', ...its] = line.split(' ');
      return [commit, its] as const;
    }),
  );
  const holds = async (commit: string): Promise<boolean> => (await cache.object(`${commit}:${file}`, 0))?.oid === blob;
  if (!(await holds(merge))) return [];
  const found: Oid[] = [];
  const seen = new Set<string>();
  const open: string[] = [...sides];
  for (let commit = open.pop(); commit !== undefined; commit = open.pop()) {
    if (seen.has(commit) || !parents.has(commit) || !(await holds(commit))) continue;
    seen.add(commit);
    const holding: string[] = [];
    for (const parent of parents.get(commit) ?? []) if (await holds(parent)) holding.push(parent);
    if (holding.length === 0) found.push(oid(commit));
    open.push(...holding);
  }
  return found;
}

async function parentsOf(cache: Cache, commit: Oid): Promise<readonly string[]> {
  const out = await cache.git.text(['rev-list', '--parents', '--max-count=1', commit]);
  return out.trim().split(' ').slice(1);
}

/** False also when one of the two is not there. */
export async function isAncestor(git: Git, ancestor: Oid, descendant: Oid): Promise<boolean> {
  if (ancestor === descendant || isKnown(git, 'before', ancestor, descendant)) return true;
  const { code } = await git.run(['merge-base', '--is-ancestor', ancestor, descendant]);
  if (code === 0) note(git, 'before', ancestor, descendant);
  if (code === 0) return true;
  if (code === 1) return false;
  // A commit that is not there descends from nothing, if the clone is whole: git finds out by reading all of it.
  await git.ok(['rev-list', '--quiet', descendant]);
  return false;
}

export async function mergeBases(git: Git, one: Oid, other: Oid): Promise<readonly Oid[]> {
  const { code, stdout, stderr } = await git.run(['merge-base', '--all', one, other]);
  // 1 without a word: there is none.
  if (code > 1 || (code === 1 && stderr !== '')) throw new GitFailure('damaged', `git merge-base (exit ${code})`);
  return stdout.toString('utf8').split('\n').filter(isOid);
}

/** The first-parent root of `tip`. `known`: an older tip and its root, which is that of all that stands on it. */
export async function firstParentRoot(
  git: Git,
  tip: Oid,
  known: { readonly tip: Oid; readonly root: Oid } | null,
): Promise<Oid> {
  if (known !== null && (await standsOn(git, tip, known.tip))) return known.root;
  const out = await git.text(['rev-list', '--first-parent', '--max-parents=0', tip]);
  return oid(out.trim());
}

/**
 * True: history goes on from `base` to `tip`. A merge that was made the wrong way round (`git pull`, then a push) moves
 * what stood on the first-parent line to its side; that is let pass only where nothing `gated` is among it, because
 * whoever walks the line would find an older policy in force.
 */
export async function goesOnFrom(git: Git, base: Oid, tip: Oid, gated: readonly string[]): Promise<boolean> {
  if (await standsOn(git, tip, base)) return true;
  if (!(await isAncestor(git, base, tip))) return false;
  if (gated.length === 0) return true;
  const line = async (commit: Oid) => (await git.text(['rev-list', '--first-parent', commit])).trimEnd().split('\n');
  const kept = new Set(await line(tip));
  const fork = (await line(base)).find((commit) => kept.has(commit));
  return fork !== undefined && (await firstParentChanges(git, oid(fork), base, gated)).length === 0;
}

/** True: `base` is on the first-parent line of `tip`. */
async function standsOn(git: Git, tip: Oid, base: Oid): Promise<boolean> {
  if (tip === base || isKnown(git, 'in-line', base, tip)) return true;
  const { code, stdout } = await git.run(['rev-list', '--first-parent', '--parents', `${base}..${tip}`]);
  const [, firstParent] = stdout.toString('utf8').trimEnd().split('\n').at(-1)?.split(' ') ?? [];
  if (code !== 0 || firstParent !== base) return false;
  note(git, 'in-line', base, tip);
  note(git, 'before', base, tip);
  return true;
}

type Relation = 'before' | 'in-line';

/** One look asks several times how the same two tips stand. What was found to be so stays so: the ids say all of it. */
const relations = new WeakMap<Git, Set<string>>();
const MOST_RELATIONS = 64;

function isKnown(git: Git, relation: Relation, older: Oid, newer: Oid): boolean {
  return relations.get(git)?.has(`${older} ${relation} ${newer}`) ?? false;
}

function note(git: Git, relation: Relation, older: Oid, newer: Oid): void {
  const known = relations.get(git) ?? new Set();
  relations.set(git, known);
  if (known.size >= MOST_RELATIONS) known.clear();
  known.add(`${older} ${relation} ${newer}`);
}
