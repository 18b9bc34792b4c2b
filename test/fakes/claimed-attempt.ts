import type { AttemptRecord } from '../../src/domain/attempt-record.ts';
import type { Ending, StorySettings } from '../../src/story/context.ts';
import { judgeAction, startAttempt } from '../../src/story/run-action.ts';
import type { Behaviour } from './dummy-engine.ts';
import { StoryBench } from './story-bench.ts';

/** An action that is claimed, by a process that can be made to fail. */
export async function claimed(behaviour: Behaviour = {}, settings: Partial<StorySettings> = {}) {
  const bench = new StoryBench();
  bench.engine.behaviours.set('a', { queuedMs: 1000, runMs: 3000, ...behaviour });
  bench.addAction('a');
  const process = bench.process({ settings });
  const context = await process.context();
  const candidate = [...context.world().candidates.values()][0];
  const ready = candidate === undefined ? null : await judgeAction(candidate, context);
  const record = ready?.kind === 'ready' ? await startAttempt(ready, context) : null;
  if (record === null || !('entry' in record)) throw new Error('it was not claimed');
  process.gate.calls.length = 0;
  return { bench, process, context, record, token: record.entry.token };
}

/** As the note of it says by now. */
export const noted = async (bench: StoryBench, record: AttemptRecord) =>
  (await bench.records.load(record.entry.token)) ?? record;
export const outcome = (ending: Ending) =>
  ending.kind === 'recorded' ? ending.result.outcome : `${ending.kind} ${ending.reason.code}`;
/** Executions, results, journal entries, notes, runs. */
export const left = (bench: StoryBench) => [
  bench.engine.executions.length,
  bench.recorded('a'),
  bench.journal.state.entries.size,
  bench.records.files.size,
  bench.engine.known,
];
/** What `left` answers once it is over. */
export const DONE = [1, 1, 0, 0, 0];
