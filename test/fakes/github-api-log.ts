import { commitsBetween, isAncestor } from '../../src/cli/demo-forge/git-history.ts';
import { visibleFeed } from '../../src/cli/demo-forge/reading.ts';
import type { FeedEntry, FeedPush, Pull, TimelineEvent, User } from '../../src/cli/demo-forge/records.ts';
import type { ForgeState } from '../../src/cli/demo-forge/state.ts';

/** What the model remembers of pushes and merges, as GitHub tells it. */

/** The push that brought a merged pull onto its base branch; null: the log does not hold it. */
export function landingOf({ feed }: ForgeState, { base, merge }: Pull): { by: User; push: FeedPush } | null {
  if (merge === null) return null;
  const ref = `refs/heads/${base}`;
  const entry = feed.find((each) => each.push?.after === merge.commit && each.ref === ref);
  return entry === undefined || entry.push === null ? null : { by: entry.by, push: entry.push };
}

/** The merged pull that introduced a commit of the default branch; of others all, open or merged, that hold it. */
export function pullsOfCommit(state: ForgeState, commit: string): readonly Pull[] {
  const brought = state.pulls.filter((pull) => {
    return pull.merge?.mapped === true && landingOf(state, pull)?.push.commits.includes(commit) === true;
  });
  const tip = state.tip(state.branch);
  const isOnDefault = tip !== null && isAncestor(state.store, commit, tip);
  if (isOnDefault) return brought;
  const holding = state.pulls.filter((pull) => {
    return commitsBetween(state.store, pull.mergeBase, pull.knownHead).some(({ oid }) => oid === commit);
  });
  return [...new Set([...brought, ...holding])];
}

export interface Activity {
  readonly id: number;
  readonly before: string;
  readonly after: string;
  readonly ref: string;
  readonly timestamp: string;
  readonly activity_type: string;
  readonly by: User;
}

const NOTHING = '0'.repeat(40);

const kinds = new WeakMap<FeedEntry, string>();

/** Newest first; `ref`: only of this one. */
export function activitiesOf(state: ForgeState, ref: string | null): readonly Activity[] {
  const pushes = visibleFeed(state).filter((entry) => entry.push !== null && (ref === null || entry.ref === ref));
  return pushes.flatMap((entry) => {
    const { id, push, at: timestamp, by } = entry;
    if (push === null) return [];
    const activity_type = kinds.get(entry) ?? kindOf(state, entry, push);
    kinds.set(entry, activity_type);
    const before = activity_type === 'branch_creation' ? NOTHING : push.before;
    return [{ id, before, after: push.after, ref: entry.ref, timestamp, activity_type, by }];
  });
}

function kindOf(state: ForgeState, { id, ref }: FeedEntry, { before, after }: FeedPush): string {
  // A push that makes a branch comes after an entry that names nothing.
  const isNew = state.feed.some((entry) => entry.id === id - 1 && entry.ref === ref && entry.push === null);
  if (isNew) return 'branch_creation';
  const pull = state.pulls.find(({ base, merge }) => `refs/heads/${base}` === ref && merge?.commit === after);
  // A merge by a button is told before the push that it makes, one that is noticed in a push after it.
  const merge = state.feed.find((entry) => entry.pull === pull && entry.kind.endsWith('merge'));
  if (pull !== undefined && merge !== undefined && merge.id < id) return 'pr_merge';
  return before === NOTHING || isAncestor(state.store, before, after) ? 'push' : 'force_push';
}

export interface Told {
  readonly event: string;
  readonly by: User | null;
  readonly at: string;
  readonly id: number;
  /** Of a commit. */
  readonly sha?: string;
  readonly dismissed_review?: { readonly state: string; readonly review_id: number };
  readonly label?: { readonly name: string };
}

const EVENTS = {
  review: 'reviewed',
  'review-request': 'review_requested',
  merge: 'merged',
  schedule: 'auto_merge_enabled',
  comment: 'commented',
  close: 'closed',
  reopen: 'reopened',
  retarget: 'base_ref_changed',
  title: 'renamed',
} as const;

/** A push shows as its commits, which name no account, or as a force-push. */
export function timelineOf({ id, kind, by, at, push, label }: TimelineEvent): readonly Told[] {
  if (kind === 'label') {
    // By the name that it had then, as far as is known.
    return [
      { id, event: label?.isAdded === true ? 'labeled' : 'unlabeled', by, at, label: { name: label?.name ?? '' } },
    ];
  }
  if (kind !== 'push') return [{ id, event: EVENTS[kind], by, at }];
  if (push?.forced === true) return [{ id, event: 'head_ref_force_pushed', by, at }];
  return (push?.commits ?? []).map((sha) => ({ id, event: 'committed', by: null, at, sha }));
}
