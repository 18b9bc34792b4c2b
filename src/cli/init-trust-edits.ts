import { isOid, type Oid } from '../domain/ids.ts';
import { type Io, paint, printLine, quoted } from './io.ts';
import type { OpsRepoFolder } from './ops-repo-files.ts';
import { userGit } from './user-git.ts';

/** A commit of the branch that touched a policy, formula or project file. */
interface TrustedEdit {
  readonly commit: Oid;
  /** As git quotes it. */
  readonly path: string;
}

/**
 * What touched policy, formulas and project files on the way to `commit`, newest first: since the commit that was trusted before, or,
 * where there was none or this clone does not know it, since the beginning. Whether each was approved is not known here,
 * for the evidence may lie on a forge. Throws StalledError when there is no git.
 */
export async function editsUpTo(
  io: Io,
  { root, paths, sidecars }: OpsRepoFolder,
  { former, commit }: { readonly former: string | null; readonly commit: Oid },
): Promise<readonly TrustedEdit[]> {
  const log = (range: string) => {
    const show = ['--first-parent', '-m', '--no-renames', '--name-only', '--format=%H', '--end-of-options'];
    const projects = sidecars.map(({ project }) => project);
    const gated = [paths.policyFile, paths.formulasDir, ...projects].map((path) => `:(top,literal)${path}`);
    return userGit(io, root, ['-c', 'log.showSignature=false', 'log', ...show, range, '--', ...gated]);
  };
  const since = former !== null && isOid(former) ? await log(`${former}..${commit}`) : null;
  const edits: TrustedEdit[] = [];
  let current: Oid | null = null;
  for (const line of (since ?? (await log(commit)) ?? '').split('\n')) {
    if (isOid(line)) current = line;
    else if (line !== '' && current !== null) edits.push({ commit: current, path: line });
  }
  return edits;
}

/** Trusting a commit is an approval of all that led to it, and has to be seen to be one. */
export function printEdits(io: Io, edits: readonly TrustedEdit[]): void {
  if (edits.length === 0) return;
  const said =
    'All that this commit holds comes into force, edits that nobody approved included. Look at each of these:';
  printLine(io, `\n${paint(io, 'yellow', said)}`);
  for (const { commit, path } of edits.slice(0, SHOWN)) printLine(io, `  ${commit.slice(0, 12)}  ${quoted(path)}`);
  if (edits.length > SHOWN) printLine(io, `  and ${edits.length - SHOWN} older ones (--json lists them all)`);
}

const SHOWN = 20;
