import { describe, expect, it } from 'vitest';
import { StalledError, TransientError } from '../../../src/errors.ts';
import { ShuttingDown } from '../../../src/story/persist.ts';
import { finishAttempt } from '../../../src/story/run-action.ts';
import { claimed, DONE, left, noted, outcome } from '../../fakes/claimed-attempt.ts';
import type { When } from '../../fakes/faults.ts';

const never = new AbortController().signal;

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
