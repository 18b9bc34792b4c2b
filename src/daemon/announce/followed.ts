import type { Change, ChangeCommit } from '../../domain/change.ts';
import type { Oid } from '../../domain/ids.ts';
import type { Plan } from '../../domain/plan.ts';
import type { World } from '../../story/world.ts';
import type { Beside } from './beside.ts';
import type { Reviews } from './reviews.ts';
import { countOf, type Touched } from './touched.ts';

/** A change that is told of, with what was read of it. Times are monotonic, in milliseconds. */
export interface Followed {
  change: Change;
  /** What of it concerns us, at which commit; null: not looked at yet. */
  looked: { readonly commit: Oid; readonly touched: Touched } | null;
  /** Of a merged one, kept for a while: who waits is not planned anew at each step of another. */
  plans: { readonly at: number; readonly inForce: World['inForce']; readonly plans: readonly Plan[] } | null;
  /** Of this head: what a change of the world or of the branch does not alter is not asked for again. */
  commits: { readonly head: Oid; readonly commits: readonly ChangeCommit[] } | null;
  reviews: { readonly at: number; readonly head: Oid; readonly reviews: Reviews } | null;
  /** Beside which commits a status stands, for this head and state. */
  beside: (Pick<Change, 'head' | 'state'> & { readonly commits: Beside }) | null;
  /** Heads of which something was told. */
  readonly heads: Set<Oid>;
  /** When it was described last, in which world. */
  told: { readonly at: number; readonly world: World } | null;
  /** When the forge was asked for it by itself, because the list of the open ones does not hold it. */
  missedAt: number;
}

export function follow(change: Change): Followed {
  const nothing = { looked: null, plans: null, commits: null, reviews: null, beside: null, told: null };
  return { ...nothing, change, heads: new Set(), missedAt: -Infinity };
}

/** Open, and there is something of ours in it. */
export function isOpenAndOurs({ change, looked }: Followed): boolean {
  return change.state === 'open' && looked !== null && countOf(looked.touched) > 0;
}
