import type { Oid } from '../domain/ids.ts';
import { InvalidError } from '../errors.ts';
import type { OpsRepo, TreeEntry } from '../ports/ops-repo.ts';
import { type Edit, editsOf, type GatedPaths, isGated } from './gated-files.ts';

/** The first-parent line from the trusted commit to a tip, as far as it is about gated files. */
export interface GatedLine {
  /**
   * Follows the branch to this tip: reads what is new of it, or all of it when the branch was rewritten. False: the
   * trusted commit is not on the first-parent line of the tip. Errors: those of the ops repo, which leave all as it was.
   */
  follow(tip: Oid): Promise<boolean>;
  /** What lies in the trusted commit, by path; nothing without one. */
  readonly start: ReadonlyMap<string, TreeEntry>;
  /** Of each commit that edited a gated file its edits, oldest first. */
  readonly edits: readonly (readonly Edit[])[];
}

export interface GatedLineDeps {
  readonly opsRepo: OpsRepo;
  readonly trustedCommit: Oid | null;
  readonly paths: GatedPaths;
}

export function createGatedLine({ opsRepo, trustedCommit, paths }: GatedLineDeps): GatedLine {
  const under = [paths.policyFile, paths.formulasDir, ...paths.projectFiles];
  let seen: Oid | null = null;
  let start: ReadonlyMap<string, TreeEntry> = new Map();
  let edits: readonly (readonly Edit[])[] = [];

  async function startAt(commit: Oid | null): Promise<ReadonlyMap<string, TreeEntry>> {
    const entries = commit === null ? [] : await opsRepo.list(commit, under);
    return new Map(entries.filter(({ path }) => isGated(path, paths)).map((entry) => [entry.path, entry]));
  }

  async function editsAfter(from: Oid | null, tip: Oid): Promise<readonly (readonly Edit[])[]> {
    const changes = await opsRepo.firstParentChanges(from, tip, under);
    return changes.map((change) => editsOf(change, paths)).filter((some) => some.length > 0);
  }

  return {
    async follow(tip) {
      if (seen === tip) return true;
      if (seen !== null && (await isOnFirstParentLine(opsRepo, seen, tip))) {
        edits = [...edits, ...(await editsAfter(seen, tip))];
      } else {
        if (trustedCommit !== null && !(await isOnFirstParentLine(opsRepo, trustedCommit, tip))) return false;
        [start, edits] = await Promise.all([startAt(trustedCommit), editsAfter(trustedCommit, tip)]);
      }
      seen = tip;
      return true;
    },
    get start() {
      return start;
    },
    get edits() {
      return edits;
    },
  };
}

/** A merge can put what was the branch on its merged side: being an ancestor is not enough. */
async function isOnFirstParentLine(opsRepo: OpsRepo, base: Oid, tip: Oid): Promise<boolean> {
  if (!(await opsRepo.isAncestor(base, tip))) return false;
  try {
    let commit: Oid | undefined = tip;
    while (commit !== undefined && commit !== base) [commit] = (await opsRepo.commit(commit)).parents;
    return commit === base;
  } catch (error) {
    // A commit too large to be read: what can't be followed is not trusted.
    if (error instanceof InvalidError) return false;
    throw error;
  }
}
