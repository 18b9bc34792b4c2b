import { describe, expect, it } from 'vitest';
import type { StopRequest } from '../../../src/domain/run.ts';
import { TransientError } from '../../../src/errors.ts';
import type { Behaviour } from '../../fakes/dummy-engine.ts';
import { StoryBench } from '../../fakes/story-bench.ts';

const never = new AbortController().signal;
const wish: StopRequest = { kind: 'cancel', by: 'Jo', message: 'no longer needed' };

/** The daemon at work on one action. */
function running(behaviour: Behaviour, fields: Record<string, unknown> = {}) {
  const bench = new StoryBench();
  bench.engine.behaviours.set('a', behaviour);
  bench.addAction('a', fields);
  const process = bench.process();
  const report = process.daemon.once(never);
  return { bench, ...process, report };
}

describe('a cancel', () => {
  it('stops the run, waits until nothing of it lives, and names who asked (R9)', async () => {
    const { bench, report } = running({ runMs: 600_000, stopMs: 30_000 });
    await bench.pass(2000);
    await bench.control.requestStop('a', wish);
    await bench.pass(20_000);
    expect([bench.result('a'), bench.engine.cancels, bench.engine.living]).toEqual([null, [wish], 1]);
    await bench.drive(report);
    expect(bench.result('a')).toMatchObject({
      outcome: 'cancelled',
      exit_code: 130,
      reason: { code: 'ERR_CANCELLED', by: 'Jo', message: 'no longer needed' },
      run: { signal: 'SIGTERM' },
    });
    expect([bench.engine.living, bench.control.stops.size]).toEqual([0, 0]);
  });

  it('is no result while the process may live, however long that takes (R9)', async () => {
    const { bench } = running({ runMs: 600_000, stopMs: null });
    await bench.pass(2000);
    await bench.control.requestStop('a', wish);
    await bench.pass(3_600_000);
    expect([bench.result('a'), bench.engine.living, bench.engine.cancels.length]).toEqual([null, 1, 1]);
  });

  it('is seen within half a second', async () => {
    const { bench, report } = running({ runMs: 600_000 });
    await bench.pass(2000);
    await bench.control.requestStop('a', wish);
    await bench.pass(500);
    expect(bench.engine.cancels).toHaveLength(1);
    await bench.drive(report);
  });

  it('is asked for until the engine has taken it (E3)', async () => {
    const { bench, gate, report } = running({ runMs: 6_000_000 });
    gate.fail('engine.cancel', () => new TransientError('ERR_ENGINE_UNAVAILABLE', 'away'), { times: 5 });
    await bench.pass(2000);
    await bench.control.requestStop('a', wish);
    await bench.drive(report);
    expect([bench.result('a')?.outcome, bench.engine.cancels.length]).toEqual(['cancelled', 1]);
  });

  it('stops the run while git is away, and its result is written when that is back (R9, E2)', async () => {
    const { bench, gate, report } = running({ runMs: 6_000_000 });
    await bench.pass(2000);
    let isAway = true;
    const git = new TransientError('ERR_GIT_UNAVAILABLE', 'away');
    gate.plan((call) => (isAway && /^(opsRepo|journal)\./.test(call) ? git : null));
    await bench.pass(60_000);
    await bench.control.requestStop('a', wish);
    await bench.pass(60_000);
    expect([bench.engine.cancels, bench.engine.living, bench.result('a')]).toEqual([[wish], 0, null]);
    isAway = false;
    await bench.drive(report);
    expect(bench.result('a')?.outcome).toBe('cancelled');
  });

  it('stops the run while a look at its status hangs, and is recorded as soon as its end is seen (E3)', async () => {
    const { bench, gate, report } = running({ runMs: 6_000_000 });
    gate.slow('engine.watch', () => bench.clock.sleep(60_000));
    await bench.pass(2000);
    await bench.control.requestStop('a', wish);
    await bench.pass(1000);
    expect([bench.engine.cancels.length, bench.engine.living, bench.result('a')]).toEqual([1, 0, null]);
    await bench.drive(report);
    expect(bench.result('a')?.outcome).toBe('cancelled');
  });

  it('before the dispatch ends it without a run, proven (R9)', async () => {
    const { bench, gate, report } = running({});
    gate.fail('engine.find', () => new TransientError('ERR_ENGINE_UNAVAILABLE', 'away'), { times: 3 });
    await bench.pass(100);
    await bench.control.requestStop('a', wish);
    await bench.drive(report);
    expect(bench.result('a')).toMatchObject({ outcome: 'cancelled', run: null, attempt: { number: 1, executions: 0 } });
    expect([bench.engine.executions, bench.access.loose, bench.control.stops.size]).toEqual([[], 0, 0]);
  });

  it('of a run that is not placed yet ends it without an execution (R9)', async () => {
    const { bench, report } = running({ queuedMs: 300_000 });
    await bench.pass(2000);
    await bench.control.requestStop('a', wish);
    await bench.drive(report);
    expect(bench.result('a')).toMatchObject({ outcome: 'cancelled', exit_code: 130, attempt: { executions: 0 } });
    expect(bench.engine.executions).toEqual([]);
  });

  it('of what is only waiting, also twice, is a result without a run (R9)', async () => {
    const bench = new StoryBench();
    bench.addAction('a', { not_before: '2026-05-01T00:00:00Z' });
    for (let times = 0; times < 2; times += 1) await bench.control.requestStop('a', wish);
    await bench.once();
    expect(bench.result('a')).toMatchObject({
      outcome: 'cancelled',
      exit_code: 130,
      attempt: null,
      reason: { by: 'Jo' },
    });
    expect(bench.control.stops.size).toBe(0);
  });

  it('of what another dispatcher runs makes no result here (R9)', async () => {
    const { bench, report } = running({ runMs: 60_000 });
    await bench.pass(2000);
    const other = bench.process({ dispatcher: 'edge-2' });
    await bench.control.requestStop('a', wish);
    const told = await bench.drive(other.daemon.once(never));
    expect(told.waiting).toMatchObject([{ id: 'a', reason: { code: 'ERR_CLAIMED_ELSEWHERE' } }]);
    expect(bench.recorded('a')).toBeLessThanOrEqual(1);
    await bench.drive(report);
    expect([bench.recorded('a'), bench.result('a')?.attempt?.dispatcher]).toEqual([1, 'edge-1']);
  });

  it('that comes after it had ended well changes nothing', async () => {
    const { bench, gate, report } = running({ runMs: 1000 });
    gate.slow('opsRepo.publish', () => bench.control.requestStop('a', wish));
    await bench.drive(report);
    expect([bench.result('a')?.outcome, bench.control.stops.size]).toEqual(['succeeded', 0]);
  });
});

describe('many runs', () => {
  it('are looked after by one look: each costs nothing while nothing happens (R8)', async () => {
    const bench = new StoryBench();
    const ids = Array.from({ length: 40 }, (_, index) => `a${index}`);
    for (const id of ids) {
      bench.engine.behaviours.set(id, { runMs: 600_000 });
      bench.addAction(id);
    }
    const { daemon, gate } = bench.process({ loop: { inFlight: 40 } });
    const report = daemon.once(never);
    await bench.pass(30_000);
    expect(bench.engine.living).toBe(40);
    gate.calls.length = 0;
    await bench.pass(10_000);
    const looks = gate.calls.filter((call) => call.startsWith('control.stopRequest'));
    expect(looks.length).toBeLessThanOrEqual(45);
    await bench.control.requestStop('a7', wish);
    await bench.pass(1000);
    expect(bench.engine.cancels).toEqual([wish]);
    await bench.drive(report);
    expect(ids.filter((id) => bench.result(id)?.outcome === 'cancelled')).toEqual(['a7']);
  });
});

describe('the deadline of the journal', () => {
  it('stops what its own runner did not stop, and says whose deadline it was (R9)', async () => {
    const { bench, report } = running({ runMs: 100 * 3_600_000 }, { timeout_minutes: 1 });
    await bench.drive(report);
    // Placement 600, timeout 60 and 120 seconds more.
    expect(bench.engine.cancels).toMatchObject([
      { kind: 'deadline', by: 'edge-1', message: 'still there at 2026-03-31T12:13:00.000Z' },
    ]);
    expect(bench.result('a')).toMatchObject({ outcome: 'timed_out', exit_code: 124, reason: { code: 'ERR_DEADLINE' } });
  });

  it('counts though no wish to cancel can be read', async () => {
    const { bench, gate, report } = running({ runMs: 100 * 3_600_000 }, { timeout_minutes: 1 });
    await bench.pass(2000);
    gate.fail('control.stopRequests', () => new Error('EMFILE'), { times: 1_000_000 });
    await bench.drive(report);
    expect(bench.result('a')?.outcome).toBe('timed_out');
  });
});

describe('a run that is followed', () => {
  it('forgets its request, wrapper included, as soon as it is known to have started', async () => {
    const { bench, report } = running({ queuedMs: 5000, runMs: 5000 });
    await bench.pass(2000);
    expect((await bench.records.all())[0]?.request).not.toBeNull();
    await bench.pass(4000);
    expect((await bench.records.all())[0]?.request).toBeNull();
    await bench.drive(report);
  });

  it('goes on though the watch breaks off, again and again (E2)', async () => {
    const { bench, gate, report } = running({ queuedMs: 1000, runMs: 5000 });
    gate.fail('engine.watch', () => new TransientError('ERR_ENGINE_UNAVAILABLE', 'away'), { times: 8, when: 'after' });
    await bench.drive(report);
    expect([bench.result('a')?.outcome, bench.engine.executions.length]).toEqual(['succeeded', 1]);
  });

  it('does not count an outage of the engine against it: the same end after an hour (E2)', async () => {
    const { bench, gate, report } = running({ runMs: 5000 });
    gate.slow('engine.dispatch', () => bench.clock.sleep(60_000));
    let until = 0;
    gate.plan((call) => {
      until ||= bench.clock.monotonic() + 500_000;
      // Once it is claimed: before that, an engine that is away makes it wait without a claim.
      const isClaimed = call.startsWith('engine.') && call !== 'engine.ready';
      const isAway = isClaimed && bench.clock.monotonic() < until;
      return isAway ? new TransientError('ERR_ENGINE_UNAVAILABLE', 'away') : null;
    });
    await bench.drive(report);
    expect([bench.result('a')?.outcome, bench.engine.executions.length]).toEqual(['succeeded', 1]);
  });
});
