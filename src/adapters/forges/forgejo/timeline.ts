import type { Change, Push } from '../../../domain/change.ts';
import { failure } from '../shared/answers.ts';
import { TooLongError } from '../shared/body.ts';
import { accountOf } from './accounts.ts';
import type { RepoApi } from './api.ts';
import { UNREAD_TEXT } from './changes.ts';
import type { Dialect } from './dialect.ts';
import { type Event, eventSchema, listOf } from './schemas.ts';

type Signal = AbortSignal | undefined;

const TIMELINE = '/issues/{number}/timeline';
const PUSH = 'pull_push';
const MERGE = 'merge_pull';
/** Events that let a change merge by itself, and take that back. */
const SCHEDULED = 'pull_scheduled_merge';
const UNSCHEDULED = 'pull_cancel_scheduled_merge';
const RETARGETED = 'change_target_branch';

export interface Timeline {
  readonly pushes: readonly Push[];
  /** Also where that is not known. */
  readonly scheduled: boolean;
  /** As `ChangeHistory.retargetedAt`; where that is not known, at the merge. */
  readonly retargetedAt: string | null;
  /** Nothing that came before the merge is missing. */
  readonly isWhole: boolean;
}

/** What the timeline of a change says of it. Errors of `RepoApi.get`. */
export async function timelineOf(
  api: RepoApi,
  { wholeTimeline }: Dialect,
  { number, merge }: Change,
  signal: Signal,
): Promise<Timeline> {
  const call = { path: TIMELINE, values: { number }, longestText: UNREAD_TEXT, signal };
  const inPages = () => api.all({ ...call, item: eventSchema, keyOf: ({ id }) => id, untilEmpty: true });
  const whole = wholeTimeline ? await api.get(call, listOf(eventSchema)).catch(tooLong) : 'too long';
  const found = whole === 'too long' ? await inPages() : whole;
  const events = (await api.repository.required(found, `GET ${TIMELINE}`, signal)).toSorted((a, b) => a.id - b.id);
  const types = events.map(({ type }) => type);
  // A page may be empty of what we may see, and others can fill it: the merge tells that it was not taken for the last.
  const isWhole = whole !== 'too long' || merge === null || types.includes(MERGE);
  const lastWord = types.findLast((type) => type === SCHEDULED || type === UNSCHEDULED);
  return {
    pushes: events.filter(({ type }) => type === PUSH).map(toPush),
    scheduled: lastWord === SCHEDULED || !isWhole,
    retargetedAt: isWhole ? lastRetarget(events) : (merge?.at ?? null),
    isWhole,
  };
}

function lastRetarget(events: readonly Event[]): string | null {
  const last = events.findLast(({ type }) => type === RETARGETED);
  if (last === undefined) return null;
  if (last.created_at === undefined) throw failure('unreadable', `GET ${TIMELINE}`);
  return last.created_at;
}

function tooLong(error: unknown): 'too long' {
  if (error instanceof TooLongError) return 'too long';
  throw error;
}

function toPush({ user, created_at: at }: Event): Push {
  // A comment may lack it; who pushed must never be passed over.
  if (at === undefined) throw failure('unreadable', `GET ${TIMELINE}`);
  return { by: accountOf(user), at };
}
