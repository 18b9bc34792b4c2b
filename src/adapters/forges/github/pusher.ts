import type { Account } from '../../../domain/change.ts';
import type { Oid } from '../../../domain/ids.ts';
import type { Move } from './activity.ts';
import type { RepoApi } from './api.ts';
import { comparisonSchema } from './schemas.ts';

type Signal = AbortSignal | undefined;

const ABSENT = /^0+$/;
/** Moves after which the branch need not hold what it held before. */
const REWRITING: readonly string[] = ['force_push', 'branch_deletion', 'branch_creation'];

/**
 * Who moved the branch first to where it holds this commit; null: the log does not tell. The log names the tip before
 * and after a push, and not what came with it: that is asked of git's own ancestry, for a few moves only. `moves`:
 * oldest first.
 */
export async function pusherAmong(
  api: RepoApi,
  moves: readonly Move[],
  commit: Oid,
  signal: Signal,
): Promise<Account | null> {
  const exact = moves.findIndex(({ after }) => after === commit);
  const index = exact === -1 ? await firstHolding(api, moves, commit, signal) : exact;
  const move = moves[index];
  if (move === undefined) return null;
  // Where it was rewritten in between, the branch may have held the commit before, by somebody else.
  const isMadeAnew = index > 0 && move.kind === 'branch_creation';
  if (isMadeAnew || (exact === -1 && moves.slice(0, index).some(isRewriting))) return null;
  if (await holds(api, move.before, commit, signal)) return null;
  return move.by;
}

const isRewriting = ({ kind }: Move, index: number): boolean => REWRITING.includes(kind) && index > 0;

/** What a branch holds it goes on holding, so that halves can be left out. */
async function firstHolding(api: RepoApi, moves: readonly Move[], commit: Oid, signal: Signal): Promise<number> {
  let [low, high] = [0, moves.length];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (await holds(api, moves[middle]?.after ?? '', commit, signal)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Whether the commit is `tip` or behind it. Objects that are gone hold nothing. */
async function holds(api: RepoApi, tip: string, commit: Oid, signal: Signal): Promise<boolean> {
  if (tip === '' || ABSENT.test(tip)) return false;
  if (tip === commit) return true;
  const call = {
    path: '/compare/{commit}...{tip}',
    values: { commit, tip },
    // The changed files come with the first page only.
    query: { per_page: 1, page: 2 },
    signal,
  };
  const status = (await api.get(call, comparisonSchema))?.status;
  return status === 'ahead' || status === 'identical';
}
