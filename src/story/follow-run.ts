import type { AttemptRecord } from '../domain/attempt-record.ts';
import type { Reason, Run, RunEnd, StopRequest } from '../domain/run.ts';
import { tokenOf } from './claim-attempt.ts';
import type { StoryContext } from './context.ts';
import { HandedOver } from './holding.ts';
import { persist, ShuttingDown } from './persist.ts';
import { reason } from './reasons.ts';
import { watchRun } from './run-watches.ts';

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
 * Throws ShuttingDown when we are stopping; the run goes on and is found again. Throws HandedOver when somebody else
 * follows it now.
 */
export async function followRun(
  run: Run,
  record: AttemptRecord,
  context: StoryContext,
  outer: AbortSignal,
): Promise<Followed> {
  const beside = watchRun(run, record, context, outer);
  const { signal } = beside;
  const { id } = record.entry;
  let noted = record;
  let { node } = run;
  const watchToEnd = async (): Promise<RunEnd> => {
    for await (const status of context.engine.watch(run, signal)) {
      if (status.state !== 'queued') node = status.node ?? node;
      if (status.state === 'queued') {
        context.tell(id, { state: 'running', reason: queuedReason(status.message), isQueued: true });
      }
      if (status.state === 'running') {
        context.tell(id, { state: 'running', reason: null, isQueued: false });
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
    return { end, stop: reached(end, beside.asked()), record: noted, node };
  } catch (error) {
    throw signal.reason instanceof HandedOver ? signal.reason : error;
  } finally {
    await beside.end();
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

/** Frees what is kept of a run whose result is recorded; the note last, because it is what all this is found again by. */
export async function forgetRun(record: AttemptRecord, context: StoryContext): Promise<void> {
  await context.engine.forget(tokenOf(record));
  await context.control.clearStop(record.entry.id);
  await context.records.remove(record.entry.token);
}
