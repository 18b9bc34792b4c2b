import { commitsBetween, type FileChange, fileChanges } from './git-history.ts';
import type { StoredCommit } from './git-store.ts';
import type { FeedEntry, Pull, Review, User } from './records.ts';
import type { ForgeState } from './state.ts';

/** What every dialect answers from: derived from the state, never changing it. */

/** Commits of a change as they were before its merge, newest first. */
export function commitsOf(state: ForgeState, pull: Pull): readonly StoredCommit[] {
  return commitsBetween(state.store, pull.mergeBase, pull.knownHead);
}

/** Files of a change as they were at its merge. */
export function filesOf(state: ForgeState, pull: Pull): readonly FileChange[] {
  return fileChanges(state.store, pull.mergeBase, pull.knownHead);
}

/** The merged change whose merge commit has exactly this id. */
export function pullMergedAs(state: ForgeState, commit: string): Pull | null {
  return state.pulls.find(({ merge }) => merge?.mapped === true && merge.commit === commit) ?? null;
}

/** A draft is seen by its author and by administrators of the site. */
export function isHidden(review: Review, from: User): boolean {
  return review.state === 'pending' && review.by !== from && !from.isSiteAdmin;
}

/** Reviewers and those who were asked, once each. */
export function reviewersOf(state: ForgeState, pull: Pull): readonly User[] {
  const rows = state.reviews.filter(({ pull: number }) => number === pull.number);
  return [...new Set(rows.filter(({ state: said }) => said !== 'comment' && said !== 'pending').map(({ by }) => by))];
}

/** Newest first, without what is held back. */
export function visibleFeed(state: ForgeState): readonly FeedEntry[] {
  return state.feed.filter(({ visible, by }) => visible && !by.gone).toReversed();
}
