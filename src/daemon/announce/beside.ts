import type { Change, ChangeCommit } from '../../domain/change.ts';
import type { Oid } from '../../domain/ids.ts';
import type { OpsRepo } from '../../ports/ops-repo.ts';
import type { Touched } from './touched.ts';

/** The commits of a change beside which a status stands, by what it is to say. */
export interface Beside {
  /** Where the change is, or what it was merged as. */
  readonly current: readonly Oid[];
  /** Hold the same bytes; a status that was left pending there follows. */
  readonly same: readonly Oid[];
  /** The change has gone on, or was closed; a status that was left pending there is ended. */
  readonly left: readonly Oid[];
}

export interface BesideTools {
  /** Commits of the change, as the forge lists them. */
  readonly own: readonly ChangeCommit[];
  readonly opsRepo: OpsRepo;
  /** Heads that the change had, as far as they were seen. */
  readonly heads: Iterable<Oid>;
  /** Commits that say where another change is. */
  readonly others: ReadonlySet<Oid>;
}

/** Each commit that was left behind costs a call: of a change with more commits only the heads that were seen. */
const MOST = 20;

/** The head can move after the merge: it counts while it holds the same bytes. Errors: those of the ops repo. */
export async function besideOf(
  { state, head, merge }: Change,
  touched: Touched,
  { own, opsRepo, heads, others }: BesideTools,
  signal: AbortSignal,
): Promise<Beside> {
  const seen = new Set([...(own.length > MOST ? [] : own.map(({ oid }) => oid)), ...heads]);
  const earlier = [...seen].filter((commit) => commit !== head && commit !== merge?.commit && !others.has(commit));
  if (state === 'open') return { current: [head], same: [], left: earlier };
  const all = others.has(head) ? earlier : [head, ...earlier];
  if (merge === null) return { current: [], same: [], left: all };
  const there = await opsRepo.obtain([...new Set([head, ...earlier])], signal);
  const same: Oid[] = [];
  for (const commit of there) if (await holds(commit, touched, opsRepo)) same.push(commit);
  return {
    current: same.includes(head) ? [head, merge.commit] : [merge.commit],
    same: same.filter((commit) => commit !== head),
    left: all.filter((commit) => !same.includes(commit)),
  };
}

async function holds(commit: Oid, { actions, gated }: Touched, opsRepo: OpsRepo): Promise<boolean> {
  const files = [...actions.map((entry) => ({ path: entry.path, entry })), ...gated];
  for (const { path, entry } of files) {
    if ((await opsRepo.entryAt(commit, path))?.oid !== entry?.oid) return false;
  }
  return true;
}
