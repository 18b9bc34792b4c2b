import { z } from 'zod';
import type { RepoApi } from './api.ts';
import { UNREAD_TEXT } from './pages.ts';
import { type Event, eventSchema } from './schemas.ts';

const TIMELINE = '/issues/{number}/timeline';

/** The timeline of a change, oldest first. Errors: StalledError, TransientError. */
export async function timelineOf(
  api: RepoApi,
  number: number,
  signal: AbortSignal | undefined,
): Promise<readonly Event[]> {
  const keyOf = (event: Event): string => JSON.stringify(event);
  const page = z.array(eventSchema);
  const found = await api.all({ path: TIMELINE, values: { number }, longestText: UNREAD_TEXT, page, keyOf, signal });
  return await api.repository.required(found, `GET ${TIMELINE}`, signal);
}
