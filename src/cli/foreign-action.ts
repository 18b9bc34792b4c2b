import { sidecarNameOf } from '../domain/ids.ts';
import type { TreeEntry } from '../ports/ops-repo.ts';
import { foreignReason } from '../story/foreign-reason.ts';
import type { ForeignResult } from '../story/own-results.ts';
import type { Observed } from './observe.ts';
import { formulaOf, type ObservedAction, readResult, shown } from './observed-action.ts';
import { done, open, type Step, steps, stopped } from './why-steps.ts';

/** Those of these results at the tip that no dispatcher signed, by their paths. */
export async function foreignAmong(
  entries: readonly TreeEntry[],
  { world, context }: Observed,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, ForeignResult>> {
  const judged = await context.ownResults.judge(world().tips.tip, entries, signal);
  return new Map([...judged].flatMap(([path, whose]) => (whose.kind === 'foreign' ? [[path, whose] as const] : [])));
}

/** It is not run again, because a commit holds a result of it, and has not ended, because nobody of ours said so. */
export async function describeForeign(id: string, foreign: ForeignResult, observed: Observed): Promise<ObservedAction> {
  const [file] = observed.world().catalogue.files(id);
  return {
    id,
    state: 'pending',
    reason: shown(foreignReason(foreign)),
    since: foreign.committedAt,
    tier: null,
    formula:
      file === undefined ? (sidecarNameOf(id)?.formula ?? null) : await formulaOf(file.entry.oid, file.path, observed),
    blob: file?.entry.oid ?? null,
    attempt: null,
    run: null,
  };
}

/** What the file says is told as its claim alone: no step is done because of it. */
export async function stepsOfForeign(id: string, foreign: ForeignResult, observed: Observed): Promise<readonly Step[]> {
  const [file] = observed.world().catalogue.files(id);
  const claims = await readResult({ path: foreign.path, kind: 'file', oid: foreign.blob }, observed);
  return steps({
    'read-action': file === undefined ? open() : done({ path: file.path, blob: file.entry.oid }),
    'record-result': stopped('waiting', shown(foreignReason(foreign)), {
      path: foreign.path,
      blob: foreign.blob,
      commit: foreign.commit,
      author: foreign.author,
      committed: foreign.committedAt,
      signature: foreign.signature,
      claims: claims === null ? 'what lies there is no result' : claims.outcome,
    }),
  });
}
