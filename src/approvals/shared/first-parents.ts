import type { Oid } from '../../domain/ids.ts';
import type { OpsRepo } from '../../ports/ops-repo.ts';

/** The first-parent line of the branch, read forwards. */
export interface FirstParents {
  /** The commits that follow `from` on the line to `tip`, oldest first, at most `most`; empty: it is not on that line. */
  after(from: Oid, tip: Oid, most: number): Promise<readonly Oid[]>;
}

/** Farther back than this nothing is looked for. */
const LONGEST = 50_000;

/** Keeps what it read: a branch that moves on costs its new commits. */
export function createFirstParents(opsRepo: OpsRepo): FirstParents {
  let line: { readonly tip: Oid | null; readonly next: Map<Oid, Oid> } = { tip: null, next: new Map() };

  /** Goes back from `tip` until something known, or `from`, is found; a line that it does not meet is forgotten. */
  async function extend(tip: Oid, from: Oid): Promise<void> {
    if (line.tip === tip && line.next.has(from)) return;
    const next = new Map<Oid, Oid>();
    let commit = tip;
    for (let steps = 0; steps < LONGEST && commit !== from && commit !== line.tip; steps += 1) {
      const [parent] = (await opsRepo.commit(commit)).parents;
      if (parent === undefined) break;
      next.set(parent, commit);
      commit = parent;
    }
    const isSame = commit === line.tip;
    if (isSame) for (const [parent, child] of line.next) next.set(parent, child);
    line = { tip, next };
    // What was known may begin after `from`.
    if (isSame && !next.has(from) && from !== tip) {
      line = { tip: null, next: new Map() };
      await extend(tip, from);
    }
  }

  let turn: Promise<void> = Promise.resolve();
  return {
    async after(from, tip, most) {
      const extended = turn.then(() => extend(tip, from));
      turn = extended.catch(() => undefined);
      await extended;
      const { next } = line;
      const found: Oid[] = [];
      for (let at = next.get(from); at !== undefined && found.length < most; at = next.get(at)) found.push(at);
      return found;
    },
  };
}
