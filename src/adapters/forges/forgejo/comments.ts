import { TooLongError } from '../shared/body.ts';
import type { RepoApi } from './api.ts';
import { type Comment, commentSchema, timelineCommentSchema } from './schemas.ts';
import { eventsInPages } from './timeline.ts';

type Signal = AbortSignal | undefined;

export const COMMENTS = '/issues/{number}/comments';

/** Of an issue or a change, oldest first; a body that is too long is null. null: no such thing. Errors of `RepoApi.get`. */
export async function commentsOf(api: RepoApi, number: number, signal: Signal): Promise<readonly Comment[] | null> {
  const call = { path: COMMENTS, values: { number }, signal };
  const all = await api
    .all({ ...call, item: commentSchema, keyOf: ({ id }) => id, inOne: true })
    // Several long ones, by anybody. This list comes in one piece only; the timeline has pages, and comments are in it.
    .catch((error: unknown) => {
      if (error instanceof TooLongError) return inTimeline(api, number, signal);
      throw error;
    });
  return all?.toSorted((a, b) => a.id - b.id) ?? null;
}

async function inTimeline(api: RepoApi, number: number, signal: Signal): Promise<readonly Comment[] | null> {
  const events = await eventsInPages(api, { number, item: timelineCommentSchema, signal });
  return events?.flatMap(({ type, ...comment }) => (type === 'comment' ? [comment] : [])) ?? null;
}
