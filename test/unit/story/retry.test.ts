import { describe, expect, it } from 'vitest';
import {
  type AttemptRecord,
  historyOf,
  isOver,
  isResting,
  mostAttempts,
  type RestingRecord,
} from '../../../src/domain/attempt-record.ts';
import { resultSchema } from '../../../src/domain/result.ts';
import type { Outcome, Run } from '../../../src/domain/run.ts';
import { resultOfAttempt, resultOfKept } from '../../../src/story/compose-result.ts';
import { recordEnded } from '../../../src/story/end-attempt.ts';
import { outcomeOf } from '../../../src/story/outcome.ts';
import { reason } from '../../../src/story/reasons.ts';
import { nextOf, retryDue } from '../../../src/story/retry.ts';
import { claimed } from '../../fakes/claimed-attempt.ts';
import { StoryBench } from '../../fakes/story-bench.ts';

const { record: first } = await claimed();
const run: Run = { token: '' as never, id: 'vault-runner/x', node: 'node-1' };
const startedAt = '2026-11-21T09:00:00Z';
const finishedAt = '2026-11-21T09:59:00Z';
const LATER = new Date('2026-11-21T12:00:00.123Z');

/** Its first attempt ended with this code, and its next one is due. */
function resting(exitCode: number, record: AttemptRecord = first): RestingRecord {
  const exit = { kind: 'exited', exitCode, signal: null, oom: false, startedAt, finishedAt } as const;
  const end = outcomeOf(exit, null, null);
  const ended = { record, run, isolated: true, collected: null, end, startedAt, finishedAt };
  const result = resultOfAttempt(ended, new Date('2026-11-21T10:00:00Z'));
  return { ...record, kept: { result, retry_at: '2026-11-21T10:00:30.250Z', attempts: 3 } };
}

/** The attempt after it. */
function second(unstarted: boolean): AttemptRecord {
  const before = resting(1);
  const entry = { ...first.entry, attempt: 2, token: 'f'.repeat(32) };
  return { ...first, entry, unstarted, attempts: [...historyOf(before)], kept: before.kept };
}

const FIRST = { number: 1, outcome: 'failed', exit_code: 1, run: 'vault-runner/x' };

describe('a note with an end that is kept', () => {
  it.each<[string, AttemptRecord, { over: boolean; resting: boolean; most: number | null; history: object[] }]>([
    ['under way', first, { over: false, resting: false, most: null, history: [] }],
    ['never started', { ...first, unstarted: true }, { over: true, resting: false, most: null, history: [] }],
    ['ended', resting(1), { over: true, resting: true, most: 3, history: [FIRST] }],
    ['the second, under way', second(false), { over: false, resting: false, most: 3, history: [FIRST] }],
    ['the second, never started', second(true), { over: true, resting: true, most: 4, history: [FIRST] }],
  ])('tells how it stands: %s', (_, record, expected) => {
    const seen = { over: isOver(record), resting: isResting(record), most: mostAttempts(record) };
    const ran = historyOf(record).filter((each) => each.run !== null);
    expect({ ...seen, history: ran }).toEqual(expected);
  });

  it('writes an attempt that never started into the history as not placed', () => {
    expect(historyOf(second(true))).toEqual([FIRST, { number: 2, outcome: 'timed_out', exit_code: 124, run: null }]);
  });

  it('tells a person what ended, and what is due when', () => {
    expect(retryDue(resting(7)).reason).toMatchObject({
      code: 'ERR_RETRY_DUE',
      message: 'attempt 1 failed with exit code 7, attempt 2 of 3 is due at 2026-11-21T10:00:30Z',
    });
    const later = second(true);
    expect(isResting(later) && nextOf(later)).toBe('attempt 3 of 4');
  });
});

describe('a wait that needs a person', () => {
  it('is no result where nothing is kept: nothing has run', async () => {
    const bench = new StoryBench();
    bench.addAction('a');
    const context = await bench.process().context();
    const [candidate] = context.world().candidates.values();
    if (candidate === undefined) throw new Error('nothing is pending');
    const why = reason('ERR_NEEDS_APPROVAL', 'nobody has approved it');
    const ended = { kind: 'ended', candidate, outcome: 'refused', reason: why } as const;
    expect(await recordEnded(ended, context, new AbortController().signal)).toEqual({ kind: 'waiting', reason: why });
    expect(bench.result('a')).toBeNull();
  });
});

describe('the result of an action whose next attempt is not made', () => {
  const refused: { outcome: Outcome; reason: ReturnType<typeof reason> } = {
    outcome: 'refused',
    reason: reason('ERR_EXPIRED', 'its time has passed'),
  };

  it('is the last end as it was composed, recorded now, with why there was no other', () => {
    const record = resting(7);
    const { result: kept } = record.kept;
    const result = resultOfKept(record, refused, LATER);
    expect(result).toEqual({
      ...kept,
      reason: {
        ...kept.reason,
        message: `${kept.reason?.message}; not tried again: its time has passed (ERR_EXPIRED)`,
      },
      times: { ...kept.times, recorded: '2026-11-21T12:00:00Z' },
    });
    expect([result.outcome, result.exit_code, result.timestamp]).toEqual(['failed', 7, '2026-11-21T09:59:00Z']);
    expect(resultSchema.safeParse(result).success).toBe(true);
  });

  it('has the time of its record where nobody knows when the run was over', () => {
    const record = resting(7);
    const { result } = record.kept;
    const kept = { ...record.kept, result: { ...result, times: { ...result.times, finished: null } } };
    expect(resultOfKept({ ...record, kept }, refused, LATER).timestamp).toBe('2026-11-21T12:00:00Z');
  });

  it('is cancelled by whoever wished it, and holds all that was made (R9)', () => {
    const why = { outcome: 'cancelled', reason: reason('ERR_CANCELLED', 'no longer needed', 'Jo') };
    expect(resultOfKept(resting(7), why, LATER)).toMatchObject({
      outcome: 'cancelled',
      exit_code: 130,
      reason: { code: 'ERR_CANCELLED', message: 'no longer needed', by: 'Jo' },
      attempt: { number: 1 },
      attempts: [{ ...FIRST, exit_code: 7 }],
    });
  });
});
