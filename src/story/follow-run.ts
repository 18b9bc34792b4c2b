import type { AttemptRecord } from '../domain/attempt-record.ts';
import { journalDeadline } from '../domain/journal.ts';
import type { Reason, Run, RunEnd, StopRequest } from '../domain/run.ts';
import { toError } from '../errors.ts';
import { tokenOf } from './claim-attempt.ts';
import type { StoryContext } from './context.ts';
import { persist, ShuttingDown } from './persist.ts';
import { reason } from './reasons.ts';
import { claimedAction, type StopWatch, watchStopWish } from './stop-wish.ts';

export interface Followed {
  readonly end: RunEnd;
  /** Why we asked it to stop, if we did. */
  readonly stop: StopRequest | null;
  readonly record: AttemptRecord;
  /** Where it ran, if the engine told it meanwhile. */
  readonly node: string | null;
}

/**
 * Step 6: finished, past its deadline, cancelled, lost? Answers only when the engine confirms that nothing of it lives.
 * Throws ShuttingDown when we are stopping; the run goes on and is found again.
 */
export async function followRun(
  run: Run,
  record: AttemptRecord,
  context: StoryContext,
  signal: AbortSignal,
): Promise<Followed> {
  const stopper = watchForStop(run, record, context, signal);
  const { id } = record.entry;
  let noted = record;
  let { node } = run;
  const watchToEnd = async (): Promise<RunEnd> => {
    for await (const status of context.engine.watch(run, signal)) {
      if (status.state !== 'queued') node = status.node ?? node;
      if (status.state === 'queued') context.tell(id, { state: 'running', reason: queuedReason(status.message) });
      if (status.state === 'running') {
        context.tell(id, { state: 'running', reason: null });
        noted = await forgetRequest(noted, context);
      }
      if (status.state === 'ended') {
        if (status.end.kind !== 'not-started') noted = await forgetRequest(noted, context);
        return status.end;
      }
    }
    throw new ShuttingDown();
  };
  try {
    const end = await persist(
      watchToEnd,
      (why) => context.tell(id, { state: 'running', reason: why }),
      context,
      signal,
    );
    return { end, stop: reached(end, stopper.asked()), record: noted, node };
  } finally {
    await stopper.end();
  }
}

/** What the engine says of why it is not placed yet (a resource, a constraint, a volume). */
function queuedReason(message: string | null): Reason | null {
  return message === null ? null : reason('ERR_NOT_PLACED', message);
}

/** It has started, so its request, wrapper included, has done its duty. */
async function forgetRequest(record: AttemptRecord, context: StoryContext): Promise<AttemptRecord> {
  if (record.request === null) return record;
  const noted = { ...record, request: null };
  await context.records.save(noted);
  return noted;
}

/** Polls for a cancel request and the deadline beside the watch; asks the engine until it has taken the wish. */
function watchForStop(run: Run, record: AttemptRecord, context: StoryContext, outer: AbortSignal) {
  const over = new AbortController();
  const signal = AbortSignal.any([outer, over.signal]);
  const wishes = watchStopWish(claimedAction(record), context, signal);
  let asked: StopRequest | null = null;
  let at = 0;
  const work = (async () => {
    while (!signal.aborted && asked === null) {
      asked = (await wishOf(wishes, record, context)) ?? pastDeadline(record, context);
      if (asked === null) await context.clock.sleep(STOP_POLL_MS, signal);
      else at = asked.at === undefined ? context.clock.now().getTime() : Date.parse(asked.at);
    }
    if (asked === null || signal.aborted) return;
    const wish = asked;
    const tellWait = (why: Reason | null) => context.tell(record.entry.id, { state: 'running', reason: why });
    await persist(() => context.engine.cancel(run, wish, signal), tellWait, context, signal);
  })().catch((error: unknown) => {
    if (!(error instanceof ShuttingDown))
      context.log.error('could not ask the run to stop', { id: record.entry.id, err: toError(error) });
  });
  return {
    asked: () => (asked === null ? null : { wish: asked, at }),
    end: async () => {
      over.abort();
      await work;
    },
  };
}

/** Clocks of engine and host may differ by so much. */
const SKEW_MS = 30_000;

/**
 * What had ended before anybody wished it to stop (the daemon was down meanwhile) ended by itself. The time of the wish
 * counts, not that of our seeing it: the process before us may have passed it on.
 */
function reached(end: RunEnd, asked: { readonly wish: StopRequest; readonly at: number } | null): StopRequest | null {
  if (asked === null) return null;
  const finished = end.kind === 'exited' && end.finishedAt !== null ? Date.parse(end.finishedAt) : Infinity;
  return finished + SKEW_MS < asked.at ? null : asked.wish;
}

/** A wish that can't be read now is read at the next poll; the deadline counts all the same. */
async function wishOf(wishes: StopWatch, record: AttemptRecord, context: StoryContext): Promise<StopRequest | null> {
  try {
    return await wishes();
  } catch (error) {
    context.log.debug('cannot see whether a cancel was asked for', { id: record.entry.id, err: toError(error) });
    return null;
  }
}

/** The operator's wish is a small local file: this is how late it is seen at most. */
const STOP_POLL_MS = 250;

function pastDeadline(record: AttemptRecord, context: StoryContext): StopRequest | null {
  const deadline = journalDeadline(record.entry, context.settings.placementSeconds);
  if (context.clock.now() < deadline) return null;
  const at = deadline.toISOString();
  return { kind: 'deadline', by: context.settings.dispatcher, message: `still there at ${at}`, at };
}

/** Frees what is kept of a run whose result is recorded; the note last, because it is what all this is found again by. */
export async function forgetRun(record: AttemptRecord, context: StoryContext): Promise<void> {
  await context.engine.forget(tokenOf(record));
  await context.control.clearStop(record.entry.id);
  await context.records.remove(record.entry.token);
}
