import type { Change } from '../../domain/change.ts';
import type { Oid } from '../../domain/ids.ts';
import { TransientError } from '../../errors.ts';
import type { ApprovalSubject } from '../../ports/approval.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Forge } from '../../ports/forge.ts';
import type { OpsRepo } from '../../ports/ops-repo.ts';
import { createFirstParents } from './first-parents.ts';

export interface EvidenceDeps {
  readonly opsRepo: OpsRepo;
  readonly forge: Forge;
  readonly clock: Clock;
  /** The branch of the ops repo. */
  readonly branch: string;
  /** Administrators of the repository are entitled too. */
  readonly forgeAdmins: boolean;
  /** How long the forge may be behind git before "no change brought it" is final, in milliseconds. */
  readonly graceMs: number;
}

type MergedChange = Change & { readonly merge: NonNullable<Change['merge']> };

export interface BringingChanges {
  /** The merged change that brought the commit which set these bytes; null: none did, as far as the forge knows now. */
  of(setter: Oid, subject: ApprovalSubject, signal?: AbortSignal): Promise<MergedChange | null>;
}

/** Commits of one change that may lie on the branch after the one that set the bytes. */
const WALK = 50;
const MOST = 10_000;

/**
 * Forges map a merged change to one commit, the last one that it put on the branch. With a rebase or a fast-forward of
 * several commits that is a later one than the commit in question, so the first-parent line is followed. The first change
 * that is found there has to touch the path itself: a direct push followed by somebody's merge is no part of that merge.
 */
export function createBringingChanges({ opsRepo, forge, branch, clock, graceMs }: EvidenceDeps): BringingChanges {
  const line = createFirstParents(opsRepo);
  const found = new Map<Oid, MergedChange>();
  /** Since when a commit is known to be mapped to nothing. */
  const nothing = new Map<Oid, number>();

  async function changeOf(commit: Oid, signal?: AbortSignal): Promise<MergedChange | null> {
    const known = found.get(commit);
    if (known !== undefined) return known;
    const now = clock.monotonic();
    const since = nothing.get(commit);
    if (since !== undefined && now - since >= graceMs) return null;
    const change = await forge.changeOf(commit, signal);
    if (change === null) {
      if (since === undefined) keep(nothing, commit, now);
      return null;
    }
    const merged = mergedInto(change, branch);
    if (merged !== null) keep(found, commit, merged);
    return merged;
  }

  return {
    async of(setter, { path, tip, branchTip = tip }, signal) {
      const direct = await changeOf(setter, signal);
      // A forge that maps every commit of a change says itself that it brought this one.
      if (direct !== null) {
        return (await isOnLine(direct.merge.commit, setter, branchTip)) ? direct : none(setter, signal);
      }
      for (const commit of await line.after(setter, branchTip, WALK)) {
        const change = await changeOf(commit, signal);
        if (change === null || change.merge.commit !== commit) continue;
        return (await forge.files(change.number, signal)).includes(path) ? change : none(setter, signal);
      }
      return none(setter, signal);
    },
  };

  /** A forge that never saw the commit (a mirror that lags, another repository) can't say that nobody proposed it. */
  async function none(setter: Oid, signal?: AbortSignal): Promise<null> {
    if (await forge.hasCommit(setter, signal)) return null;
    const message = `the forge does not know commit ${setter.slice(0, 12)} (yet)`;
    throw new TransientError('ERR_FORGE_UNAVAILABLE', message, { hint: 'Check that repo of [forge] is the ops repo.' });
  }

  /** A change whose merge does not stand on the branch at or after the commit brought something else. */
  async function isOnLine(merge: Oid, setter: Oid, tip: Oid): Promise<boolean> {
    return merge === setter || (await line.after(setter, tip, WALK)).includes(merge);
  }
}

function mergedInto(change: Change, branch: string): MergedChange | null {
  const { state, base, merge } = change;
  return state === 'merged' && base === branch && merge !== null ? { ...change, merge } : null;
}

function keep<T>(map: Map<Oid, T>, key: Oid, value: T): void {
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > MOST && oldest !== undefined) map.delete(oldest);
}
