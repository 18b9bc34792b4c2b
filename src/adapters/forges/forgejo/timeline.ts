import type { z } from 'zod';
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
  { wholeTimeline }: Pick<Dialect, 'wholeTimeline'>,
  { number, merge }: Change,
  signal: Signal,
): Promise<Timeline> {
  const asked = { number, item: eventSchema, longestText: UNREAD_TEXT, signal };
  const found = await eventsOf(api, wholeTimeline, asked);
  const events = await api.repository.required(found?.events ?? null, `GET ${TIMELINE}`, signal);
  const types = events.map(({ type }) => type);
  // A page may be empty of what we may see, and others can fill it: the merge tells that it was not taken for the last.
  const isWhole = found?.isOnePiece === true || merge === null || types.includes(MERGE);
  const lastWord = types.findLast((type) => type === SCHEDULED || type === UNSCHEDULED);
  return {
    pushes: events.filter(({ type }) => type === PUSH).map(toPush),
    scheduled: lastWord === SCHEDULED || !isWhole,
    retargetedAt: isWhole ? lastRetarget(events) : (merge?.at ?? null),
    isWhole,
  };
}

interface Asked<T> {
  readonly number: number;
  readonly item: z.ZodType<T>;
  /** As of `Call`. */
  readonly longestText?: number;
  readonly signal: Signal;
}

interface Events<T> {
  /** Oldest first. */
  readonly events: readonly T[];
  /** The forge gave all of them in one answer, so that none is missing. */
  readonly isOnePiece: boolean;
}

/** Of a change or an issue; null: no such thing. `wholeTimeline`: as of the dialect. Errors of `RepoApi.get`. */
export async function eventsOf<T extends { readonly id: number }>(
  api: RepoApi,
  wholeTimeline: boolean,
  asked: Asked<T>,
): Promise<Events<T> | null> {
  const { item, ...call } = toCall(asked);
  const whole = wholeTimeline ? await api.get(call, listOf(item)).catch(tooLong) : 'too long';
  const found = whole === 'too long' ? await eventsInPages(api, asked) : whole;
  if (found === null) return null;
  return { events: found.toSorted((a, b) => a.id - b.id), isOnePiece: whole !== 'too long' };
}

/** Page by page, until one is empty: the server's count is that of the page. null as of `eventsOf`. */
export function eventsInPages<T extends { readonly id: number }>(
  api: RepoApi,
  asked: Asked<T>,
): Promise<readonly T[] | null> {
  return api.all({ ...toCall(asked), keyOf: ({ id }) => id, untilEmpty: true });
}

const toCall = <T>({ number, ...asked }: Asked<T>) => ({ path: TIMELINE, values: { number }, ...asked });

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
