import type { Change } from '../../domain/change.ts';
import type { Oid } from '../../domain/ids.ts';
import { TransientError } from '../../errors.ts';
import type { ApprovalSubject } from '../../ports/approval.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Forge } from '../../ports/forge.ts';
import type { OpsRepo } from '../../ports/ops-repo.ts';
import { createFirstParents } from './first-parents.ts';
import { createMemory } from './remember.ts';

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

export type MergedChange = Change & { readonly merge: NonNullable<Change['merge']> };

export type Bringing =
  | { readonly kind: 'change'; readonly change: MergedChange }
  /** The forge maps the commit to this change, which does not touch the path: somebody may have marked it as merged. */
  | { readonly kind: 'unrelated'; readonly change: MergedChange }
  /** `isSure`: everything that may belong to it was looked at. */
  | { readonly kind: 'none'; readonly isSure: boolean };

export interface BringingChanges {
  /** The merged change that brought the commit which set the bytes at a path, as far as the forge knows now. */
  of(
    setter: Oid,
    subject: Pick<ApprovalSubject, 'path' | 'tip' | 'branchTip'>,
    signal?: AbortSignal,
  ): Promise<Bringing>;
}

/** Commits of one change that may lie on the branch after the one that set the bytes. */
const WALK = 100;
const MOST = 10_000;
const AGAIN_MS = 600_000;

/**
 * Forges map a merged change to one commit, the last one that it put on the branch. With a rebase or a fast-forward of
 * several commits that is a later one than the commit in question, so the first-parent line is followed. The change has to
 * touch the path itself: a direct push followed by somebody's merge is no part of that merge.
 */
export function createBringingChanges({ opsRepo, forge, branch, clock, graceMs }: EvidenceDeps): BringingChanges {
  const line = createFirstParents(opsRepo);
  const found = new Map<Oid, MergedChange>();
  const files = createMemory<readonly string[]>(1_000);
  /** Commits that are mapped to nothing. */
  const nothing = new Map<Oid, { readonly since: number; readonly askedAt: number }>();

  async function changeOf(commit: Oid, signal?: AbortSignal): Promise<MergedChange | null> {
    const known = found.get(commit);
    if (known !== undefined) return known;
    const now = clock.monotonic();
    const { since, askedAt } = nothing.get(commit) ?? { since: now, askedAt: -Infinity };
    // After the grace only marking it as merged by hand can change it: that is asked about now and then.
    if (now - since >= graceMs && now - askedAt < AGAIN_MS) return null;
    const change = await forge.changeOf(commit, signal);
    if (change === null) keep(nothing, commit, { since, askedAt: now });
    const merged = change === null ? null : mergedInto(change, branch);
    if (merged !== null) keep(found, commit, merged);
    return merged;
  }

  async function touches({ number, merge }: MergedChange, path: string): Promise<boolean> {
    return (await files.recall(`${number} ${merge.commit}`, () => forge.files(number))).includes(path);
  }

  return {
    async of(setter, { path, tip, branchTip = tip }, signal) {
      const direct = await changeOf(setter, signal);
      if (direct !== null) {
        const isOurs = (await isOnLine(direct.merge.commit, setter, branchTip)) && (await touches(direct, path));
        return { kind: isOurs ? 'change' : 'unrelated', change: direct };
      }
      const later = await line.after(setter, branchTip, WALK);
      for (const commit of later) {
        const change = await changeOf(commit, signal);
        if (change === null || change.merge.commit !== commit) continue;
        return (await touches(change, path)) ? { kind: 'change', change } : none(setter, true, signal);
      }
      return none(setter, later.length < WALK, signal);
    },
  };

  /** A forge that never saw the commit (a mirror that lags, another repository) can't say that nobody proposed it. */
  async function none(setter: Oid, isSure: boolean, signal?: AbortSignal): Promise<Bringing> {
    if (await forge.hasCommit(setter, signal)) return { kind: 'none', isSure };
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
