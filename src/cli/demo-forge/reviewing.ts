import { proposesOther } from './pushing.ts';
import { ForgeRefusal, type Pull, type Review, type ReviewState, type User } from './records.ts';
import type { ForgeState } from './state.ts';

export interface ReviewInput {
  readonly state: Exclude<ReviewState, 'pending' | 'requested'>;
  /** Default: the head as the forge knows it, which may lag. */
  readonly commit?: string;
  readonly body?: string;
}

export function addReview(state: ForgeState, by: User, pull: Pull, input: ReviewInput): Review {
  checkReviewer(state, by, pull, input.state);
  const commit = input.commit ?? pull.knownHead;
  if (state.store.resolve(commit) === null) throw new ForgeRefusal('unknown-commit');
  clearRequests(state, by, pull);
  if (input.state !== 'comment') {
    for (const earlier of verdictsOf(state, by, pull)) Object.assign(earlier, { official: false, dismissed: true });
  }
  const isVerdict = input.state !== 'comment';
  const official = isVerdict && state.may(by, 'write');
  return keep(state, by, pull, { ...input, commit, official, body: input.body ?? '' });
}

/** Hidden from others until it is sent. */
export function addDraft(state: ForgeState, by: User, pull: Pull, body = ''): Review {
  if (!state.may(by, 'read')) throw new ForgeRefusal('no-access');
  return keep(state, by, pull, { state: 'pending', commit: pull.knownHead, official: false, body });
}

/** It is filed under the head at the time of sending; earlier ones lose `official`, but are not dismissed (as seen). */
export function sendDraft(state: ForgeState, draft: Review, input: ReviewInput): Review {
  const pull = state.pull(draft.pull);
  checkReviewer(state, draft.by, pull, input.state);
  if (draft.state !== 'pending') throw new ForgeRefusal('nothing-there');
  clearRequests(state, draft.by, pull);
  const isVerdict = input.state !== 'comment';
  if (isVerdict) for (const earlier of verdictsOf(state, draft.by, pull)) earlier.official = false;
  const commit = input.commit ?? pull.knownHead;
  const sent = { state: input.state, body: input.body ?? draft.body, commit, stale: isStale(state, pull, commit) };
  Object.assign(draft, sent, { official: isVerdict && state.may(draft.by, 'write'), updatedAt: state.time() });
  state.addEvent({ kind: 'review', pull: pull.number, by: draft.by, body: draft.body, review: draft.id });
  return draft;
}

/** A row of its own; the reviewer's earlier verdicts lose `official`. */
export function addRequest(state: ForgeState, by: User, pull: Pull, reviewer: User): Review {
  if (!state.may(by, 'write') && by !== pull.opener) throw new ForgeRefusal('no-access');
  for (const earlier of verdictsOf(state, reviewer, pull)) earlier.official = false;
  const official = state.may(reviewer, 'write');
  const row = { state: 'requested', commit: '', official, body: '' } as const;
  return keep(state, reviewer, pull, { ...row, requestedBy: by });
}

export function setDismissed(state: ForgeState, by: User, review: Review, dismissed: boolean): void {
  if (!state.may(by, 'admin')) throw new ForgeRefusal('no-repo-admin');
  if (state.pull(review.pull).state === 'closed') throw new ForgeRefusal('closed-pull');
  review.dismissed = dismissed;
}

/** Gone from the list; the verdict before it becomes `official` again, but stays dismissed (as seen). */
export function removeReview(state: ForgeState, by: User, review: Review): void {
  if (by !== review.by && !state.may(by, 'admin')) throw new ForgeRefusal('no-repo-admin');
  state.reviews.splice(state.reviews.indexOf(review), 1);
  const before = verdictsOf(state, review.by, state.pull(review.pull)).at(-1);
  if (before !== undefined) before.official = state.may(review.by, 'write');
  // Its line in the timeline goes as well.
  for (const event of state.events.filter(({ review: id }) => id === review.id)) {
    state.events.splice(state.events.indexOf(event), 1);
  }
}

function isStale(state: ForgeState, pull: Pull, commit: string): boolean {
  const found = state.store.resolve(commit);
  return found !== null && proposesOther(state, pull, found);
}

function checkReviewer(state: ForgeState, by: User, pull: Pull, verdict: ReviewState): void {
  if (!state.may(by, 'read')) throw new ForgeRefusal('no-access');
  if (by !== pull.opener || verdict === 'comment') return;
  throw new ForgeRefusal(verdict === 'approved' ? 'own-approval' : 'own-rejection');
}

function verdictsOf(state: ForgeState, by: User, pull: Pull): readonly Review[] {
  const mine = state.reviews.filter((review) => review.pull === pull.number && review.by === by);
  return mine.filter((review) => review.state === 'approved' || review.state === 'changes-requested');
}

function clearRequests(state: ForgeState, by: User, pull: Pull): void {
  const isRequest = (review: Review) => review.pull === pull.number && review.by === by && review.state === 'requested';
  for (const row of state.reviews.filter(isRequest)) state.reviews.splice(state.reviews.indexOf(row), 1);
}

function keep(
  state: ForgeState,
  by: User,
  pull: Pull,
  row: Pick<Review, 'state' | 'commit' | 'official' | 'body'> & { readonly requestedBy?: User },
): Review {
  const { requestedBy, ...said } = row;
  const id = state.id();
  const event = { pull: pull.number, by: requestedBy ?? by, body: row.body, review: id };
  const eventId = state.addEvent({ kind: requestedBy === undefined ? 'review' : 'review-request', ...event });
  const at = state.time();
  const stale = isStale(state, pull, said.commit);
  const times = { createdAt: at, updatedAt: at };
  const { state: verdict, commit, official, body } = said;
  const review: Review = {
    id,
    eventId,
    pull: pull.number,
    by,
    state: verdict,
    body,
    commit,
    stale,
    official,
    dismissed: false,
    ...times,
  };
  state.reviews.push(review);
  pull.updatedAt = at;
  return review;
}
