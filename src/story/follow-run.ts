import { toError } from '../errors.ts';
import type { AttemptRecord } from '../domain/attempt-record.ts';
import { journalDeadline } from '../domain/journal.ts';
import type { Run, RunEnd, StopRequest } from '../domain/run.ts';
import type { StoryContext } from './context.ts';
import { persist, ShuttingDown } from './persist.ts';
import { tokenOf } from './claim-attempt.ts';

export interface Followed {
  readonly end: RunEnd;
  /** Why we asked it to stop, if we did. */
  readonly stop: StopRequest | null;
  readonly record: AttemptRecord;
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
  let noted = record;
  try {
    for await (const status of context.engine.watch(run, signal)) {
      if (status.state === 'running') {
        context.tell(record.entry.id, { state: 'running', reason: null });
        noted = await forgetRequest(noted, context);
      }
      if (status.state === 'ended') {
        if (status.end.kind !== 'not-started') noted = await forgetRequest(noted, context);
        return { end: status.end, stop: stopper.asked(), record: noted };
      }
    }
  } finally {
    await stopper.end();
  }
  throw new ShuttingDown();
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
  let asked: StopRequest | null = null;
  const work = (async () => {
    while (!signal.aborted && asked === null) {
      asked = (await context.control.stopRequest(record.entry.id)) ?? pastDeadline(record, context);
      if (asked === null) await context.clock.sleep(STOP_POLL_MS, signal);
    }
    if (asked === null || signal.aborted) return;
    const wish = asked;
    const tellWait = (reason: Parameters<Parameters<typeof persist>[1]>[0]) =>
      context.tell(record.entry.id, { state: 'running', reason });
    await persist(() => context.engine.cancel(run, wish, signal), tellWait, context, signal);
  })().catch((error: unknown) => {
    if (!(error instanceof ShuttingDown)) context.log.error('could not ask the run to stop', { id: record.entry.id, err: toError(error) });
  });
  return {
    asked: () => asked,
    end: async () => {
      over.abort();
      await work;
    },
  };
}

/** A cancel request is a small local file: this is how late it is seen at most. */
const STOP_POLL_MS = 250;

function pastDeadline(record: AttemptRecord, context: StoryContext): StopRequest | null {
  const deadline = journalDeadline(record.entry, context.settings.placementSeconds);
  if (context.clock.now() < deadline) return null;
  return { kind: 'deadline', by: context.settings.dispatcher, message: `still there at ${deadline.toISOString()}` };
}

/** Frees what the engine keeps of a run whose result is recorded. */
export async function forgetRun(record: AttemptRecord, context: StoryContext): Promise<void> {
  await context.engine.forget(tokenOf(record));
  await context.records.remove(record.entry.token);
}
