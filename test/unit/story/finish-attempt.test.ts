import { describe, expect, it } from 'vitest';
import type { AttemptRecord } from '../../../src/domain/attempt-record.ts';
import { CODES, StalledError, TransientError } from '../../../src/errors.ts';
import type { Ending } from '../../../src/story/context.ts';
import { ShuttingDown } from '../../../src/story/persist.ts';
import { finishAttempt, judgeAction, startAttempt } from '../../../src/story/run-action.ts';
import type { Behaviour } from '../../fakes/dummy-engine.ts';
import type { When } from '../../fakes/faults.ts';
import { StoryBench } from '../../fakes/story-bench.ts';

const never = new AbortController().signal;

/** An action that is claimed, by a process that can be made to fail. */
async function claimed(behaviour: Behaviour = {}, settings: { readonly placement?: 'wait' | 'stop' } = {}) {
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

const noted = async (bench: StoryBench, record: AttemptRecord) =>
  (await bench.records.load(record.entry.token)) ?? record;
const outcome = (ending: Ending) =>
  ending.kind === 'recorded' ? ending.result.outcome : `${ending.kind} ${ending.reason.code}`;
const left = (bench: StoryBench) => [
  bench.engine.executions.length,
  bench.recorded('a'),
  bench.journal.state.entries.size,
  bench.records.files.size,
  bench.engine.known,
];
const DONE = [1, 1, 0, 0, 0];

const thrownBy = (work: Promise<unknown>) => work.catch((error: unknown) => error);

class Broken extends Error {}

async function callsOfOneRun(): Promise<readonly string[]> {
  const { bench, process, context, record } = await claimed({ artifacts: { x: 'x' } });
  await bench.drive(finishAttempt(record, context, never));
  return [...new Set(process.gate.calls)];
}

const CALLS = await callsOfOneRun();
const WHENS: readonly When[] = ['before', 'after'];
const faults = CALLS.flatMap((call) => WHENS.map((when) => [call, when] as const));

describe('an attempt that is claimed', () => {
  it('goes through find, dispatch, watch, revoke, logs, publish, tombstone, in this order', async () => {
    const { bench, process, context, record } = await claimed();
    expect(outcome(await bench.drive(finishAttempt(record, context, never)))).toBe('succeeded');
    const order = [
      'engine.find',
      'engine.dispatch',
      'engine.watch',
      'access.revoke',
      'engine.logs',
      'opsRepo.publish',
      'journal.end',
      'engine.forget',
      'records.remove',
    ];
    const first = order.map((call) => process.gate.calls.indexOf(call));
    expect(first.every((at) => at >= 0)).toBe(true);
    expect(first).toEqual(first.toSorted((a, b) => a - b));
    expect([left(bench), bench.access.loose]).toEqual([DONE, 0]);
  });

  it.each(faults)(
    'run again from the top after it broke at %s, %s, ends once and the same (R4)',
    async (call, when) => {
      const { bench, process, context, record } = await claimed({ artifacts: { x: 'x' } });
      process.gate.fail(call, () => new Broken(), { when });
      const broke = await bench.drive(finishAttempt(record, context, never)).then(
        () => false,
        (error: unknown) => error instanceof Broken,
      );
      const ending = broke ? await bench.drive(finishAttempt(await noted(bench, record), context, never)) : null;
      expect(bench.result('a')).toMatchObject({ outcome: 'succeeded', exit_code: 0 });
      expect(ending === null || outcome(ending) === 'succeeded').toBe(true);
      expect(left(bench)).toEqual(DONE);
    },
  );

  it.each(faults)('comes to the same end after five outages in a row at %s, %s (E2, R20)', async (call, when) => {
    const { bench, process, context, record } = await claimed({ artifacts: { x: 'x' } });
    process.gate.fail(call, () => new TransientError('ERR_ENGINE_UNAVAILABLE', 'away'), { times: 5, when });
    expect(outcome(await bench.drive(finishAttempt(record, context, never)))).toBe('succeeded');
    expect(left(bench)).toEqual(DONE);
    expect(bench.result('a')).toMatchObject({
      exit_code: 0,
      output: { stdout: { complete: true } },
      run: { digest_verified: true },
    });
  });

  it('tells what it waits for meanwhile, and that it goes on', async () => {
    const { bench, process, context, record } = await claimed();
    process.gate.fail('engine.dispatch', () => new StalledError('ERR_ENGINE_DENIED', 'no'), { times: 2 });
    await bench.drive(finishAttempt(record, context, never));
    const dispatching = process.told
      .filter(({ step }) => step.state === 'dispatching')
      .map(({ step }) => step.reason?.code ?? null);
    expect(dispatching).toEqual([null, 'ERR_ENGINE_DENIED', 'ERR_ENGINE_DENIED', null]);
  });

  it.each(['lost', 'unknown'] as const)(
    'that is %s holds its slot to the deadline, is told so, and is never tried again (R19)',
    async (end) => {
      const { bench, process, context, record } = await claimed({ end });
      const at = bench.clock.now().getTime();
      expect(outcome(await bench.drive(finishAttempt(record, context, never)))).toBe(end);
      expect(bench.result('a')).toMatchObject({
        exit_code: 70,
        reason: { code: end === 'lost' ? 'ERR_LOST' : 'ERR_RUN_UNKNOWN' },
      });
      const deadline = new Date(at + (600 + 3600 + 120) * 1000).toISOString();
      expect(bench.journal.state.ended.get('a')?.held_until).toBe(deadline);
      const recording = process.told.filter(({ step }) => step.state === 'recording');
      expect(recording.every(({ step }) => step.holdsSlot === true)).toBe(true);
      expect([left(bench), bench.access.loose]).toEqual([DONE, 0]);
    },
  );

  it('that ended by itself holds no slot any more', async () => {
    const { bench, context, record } = await claimed({ exitCode: 1 });
    await bench.drive(finishAttempt(record, context, never));
    expect(bench.journal.state.ended.get('a')).not.toHaveProperty('held_until');
  });

  it('leaves a foreign result alone, and ends all the same (R11)', async () => {
    const { bench, context, record } = await claimed();
    bench.repo.commitFiles({ 'vault/actions/a.result.json': '{}' });
    expect(outcome(await bench.drive(finishAttempt(record, context, never)))).toBe('conflict ERR_RESULT_CONFLICT');
    expect(bench.repo.textAt('vault/actions/a.result.json')).toBe('{}');
    expect(left(bench)).toEqual([1, 0, 0, 0, 0]);
  });

  it('runs to its end though the action changed or went meanwhile', async () => {
    const { bench, context, record } = await claimed();
    bench.repo.commitFiles({ 'vault/actions/a.toml': null, 'vault/formulas/tidy.toml': null });
    expect(outcome(await bench.drive(finishAttempt(record, context, never)))).toBe('succeeded');
  });
});

describe('our own shutdown', () => {
  it('leaves a run without a verdict, and the next start finds it (R16)', async () => {
    const { bench, process, context, record } = await claimed({ runMs: 60_000 });
    const stop = new AbortController();
    const gone = thrownBy(finishAttempt(record, context, stop.signal));
    await bench.pass(5000);
    stop.abort();
    expect(await gone).toBeInstanceOf(ShuttingDown);
    expect([
      bench.result('a'),
      bench.engine.living,
      bench.engine.cancels,
      process.gate.calls.includes('access.revoke'),
    ]).toEqual([null, 1, [], false]);
    expect(outcome(await bench.drive(finishAttempt(await noted(bench, record), context, never)))).toBe('succeeded');
    expect(left(bench)).toEqual(DONE);
  });

  it.each([
    'engine.find',
    'engine.dispatch',
    'access.revoke',
    'engine.logs',
    'opsRepo.publish',
    'journal.end',
    'engine.forget',
  ])('during an outage at %s lets go at once, and nothing is lost', async (call) => {
    const { bench, process, context, record } = await claimed();
    process.gate.fail(call, () => new TransientError('ERR_ENGINE_UNAVAILABLE', 'away'), { times: 1_000_000 });
    const stop = new AbortController();
    const gone = thrownBy(finishAttempt(record, context, stop.signal));
    await bench.pass(120_000);
    stop.abort();
    expect(await gone).toBeInstanceOf(ShuttingDown);
    const next = bench.process();
    const again = { ...(await next.context()), settings: context.settings };
    await bench.drive(finishAttempt(await noted(bench, record), again, never));
    expect([bench.result('a')?.outcome, left(bench)]).toEqual(['succeeded', DONE]);
  });
});

describe('an attempt without a run', () => {
  it('is unknown where the engine knows none and its request was answered already: nothing is dispatched again (R6)', async () => {
    const { bench, context, record } = await claimed();
    const ending = await bench.drive(finishAttempt({ ...record, request: null }, context, never));
    expect(outcome(ending)).toBe('unknown');
    expect(bench.result('a')).toMatchObject({ run: null, output: null, attempt: { executions: 0 }, exit_code: 70 });
    expect(left(bench)).toEqual([0, 1, 0, 0, 0]);
  });

  it('whose wrapper is too old is proven unstarted by consuming it, and its next attempt runs (R6)', async () => {
    const { bench, context, record } = await claimed();
    bench.clock.advance(720_000);
    // The store still redeems it: nobody did before.
    for (const wrapper of bench.access.wrappers.values()) Object.assign(wrapper, { expiresAt: Infinity });
    expect(outcome(await finishAttempt(record, context, never))).toBe('waiting ERR_NOT_PLACED');
    expect(await bench.records.load(record.entry.token)).toMatchObject({ unstarted: true, request: null });
    await bench.once();
    expect(bench.result('a')).toMatchObject({
      outcome: 'succeeded',
      attempt: { number: 2 },
      attempts: [{ number: 1, outcome: 'timed_out' }],
    });
    expect(left(bench)).toEqual(DONE);
  });

  it.each([
    ['used', (wrapper: { used: boolean }) => Object.assign(wrapper, { used: true })],
    ['expired', () => undefined],
  ])('whose wrapper is %s is unknown: somebody may have started with it (R6)', async (_, spoil) => {
    const { bench, context, record } = await claimed();
    bench.clock.advance(720_000);
    for (const wrapper of bench.access.wrappers.values()) spoil(wrapper);
    expect(outcome(await bench.drive(finishAttempt(record, context, never)))).toBe('unknown');
    expect(left(bench)).toEqual([0, 1, 0, 0, 0]);
    expect(Object.keys(CODES)).toContain(bench.result('a')?.reason?.code);
  });

  it('that the engine could not place goes back to waiting with the engine’s own reason (R6)', async () => {
    const { bench, context, record } = await claimed({ queuedMs: 5000, never: true });
    const ending = await bench.drive(finishAttempt(record, context, never));
    expect(ending).toMatchObject({ kind: 'waiting', reason: { code: 'ERR_NOT_PLACED' } });
    expect(ending.kind === 'waiting' && ending.reason.message).toContain('no node has the volume ssh');
    expect([bench.result('a'), bench.access.loose]).toEqual([null, 0]);
  });

  it('that the engine could not place is timed out without an execution where the operator wants it so (R6)', async () => {
    const { bench, context, record } = await claimed({ queuedMs: 5000, never: true }, { placement: 'stop' });
    expect(outcome(await bench.drive(finishAttempt(record, context, never)))).toBe('timed_out');
    expect(bench.result('a')).toMatchObject({
      exit_code: 124,
      reason: { code: 'ERR_NOT_PLACED' },
      attempt: { executions: 0 },
    });
    expect(left(bench)).toEqual([0, 1, 0, 0, 0]);
  });

  it('that the engine calls not started, but whose wrapper is used, is unknown and keeps its slot (R6)', async () => {
    const { bench, context, record } = await claimed({ queuedMs: 5000, never: true });
    for (const wrapper of bench.access.wrappers.values()) wrapper.used = true;
    expect(outcome(await bench.drive(finishAttempt(record, context, never)))).toBe('unknown');
    expect(bench.journal.state.ended.get('a')).toHaveProperty('held_until');
  });

  it('that is proven unstarted is so again when the story is told again from the top', async () => {
    const { bench, context, record } = await claimed({ queuedMs: 5000, never: true });
    await bench.drive(finishAttempt(record, context, never));
    const again = await bench.drive(finishAttempt(await noted(bench, record), context, never));
    expect(outcome(again)).toBe('waiting ERR_NOT_PLACED');
  });

  it('under whose token stands a foreign run is proven unstarted, told as a security event, and its next attempt runs (R21)', async () => {
    const { bench, process, context, record } = await claimed();
    bench.engine.foreign = true;
    const ending = await bench.drive(finishAttempt(record, context, never));
    expect(ending).toMatchObject({ kind: 'waiting', reason: { code: 'ERR_NOT_PLACED' } });
    expect([bench.result('a'), bench.engine.executions, bench.access.loose]).toEqual([null, [], 0]);
    const errors = process.log.filter(({ level }) => level === 'error').map(({ message, fields }) => [message, fields]);
    expect(errors).toEqual([
      [
        'security event: a run that is not ours stands under the token of this attempt',
        expect.objectContaining({ id: 'a', attempt: 1, code: 'ERR_FOREIGN_RUN' }),
      ],
    ]);
    bench.engine.foreign = false;
    await bench.once();
    expect(bench.result('a')).toMatchObject({ outcome: 'succeeded', attempt: { number: 2, executions: 1 } });
  });

  it('under whose token stands a foreign run can still be cancelled (R21, R9)', async () => {
    const { bench, context, record } = await claimed();
    bench.engine.foreign = true;
    await bench.control.requestStop('a', { kind: 'cancel', by: 'Jo', message: 'no longer needed' });
    expect(outcome(await bench.drive(finishAttempt(record, context, never)))).toBe('cancelled');
  });
});
