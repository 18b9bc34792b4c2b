import { accountOf } from './accounts.ts';
import { isAdmin } from './admins.ts';
import type { RepoApi } from './api.ts';
import type { Event, FiledReview } from './schemas.ts';
import { timelineOf } from './timeline.ts';

type Signal = AbortSignal | undefined;

/** What was dismissed so was no "no". */
const HARMLESS: readonly string[] = ['approved', 'commented'];

/**
 * Ids of the dismissed reviews that go on standing as rejections. Whoever may write may dismiss anybody's review on
 * GitHub, so also that of their own change: only its author and administrators take a rejection back. The review itself
 * does not tell what it was; where the timeline does not either, it was a rejection. `admins`: who may ask for rights.
 */
export async function standingRejections(
  [api, admins]: readonly [RepoApi, RepoApi],
  number: number,
  reviews: readonly FiledReview[],
  signal: Signal,
): Promise<ReadonlySet<number>> {
  const dismissed = reviews.filter(({ state }) => state === 'DISMISSED');
  if (dismissed.length === 0) return new Set();
  const events = await timelineOf(api, number, signal);
  const stands = async (review: FiledReview): Promise<boolean> => {
    const event = events.findLast((each) => each.dismissed_review?.review_id === review.id);
    if (event === undefined) return true;
    return !HARMLESS.includes(stateOf(event)) && !(await mayTakeBack(admins, event, review, signal));
  };
  const found = await Promise.all(dismissed.map(async (review) => ((await stands(review)) ? [review.id] : [])));
  return new Set(found.flat());
}

const stateOf = ({ dismissed_review: review }: Event): string => (review?.state ?? '').toLowerCase();

async function mayTakeBack(admins: RepoApi, event: Event, review: FiledReview, signal: Signal): Promise<boolean> {
  const by = accountOf(event.actor);
  if (by.id === null) return false;
  return by.id === review.user?.id || (await isAdmin(admins, by, signal));
}
