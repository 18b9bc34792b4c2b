import { describe, expect, it } from 'vitest';
import { TransientError } from '../../../src/errors.ts';
import type { Forge } from '../../../src/ports/forge.ts';
import { ACTION, CANCEL, CancelBench, doubts, forgeIsAway, jane, max } from '../../fakes/cancel-bench.ts';
import type { Behaviour } from '../../fakes/dummy-engine.ts';
import { NOBODY } from '../../fakes/story-bench.ts';

const HOURS: Behaviour = { runMs: 10 * 3_600_000 };
const CANCELLED = {
  outcome: 'cancelled',
  exit_code: 130,
  reason: { code: 'ERR_CANCELLED', by: 'jane', message: 'not needed any more' },
};
const OPERATOR = { kind: 'cancel', by: 'Operator', message: 'stop it' } as const;

/** A daemon that runs an action of account 7; nobody approves cancel files. */
function working(behaviour: Behaviour = HOURS, pusher = jane, answers: Partial<Forge> = {}) {
  const bench = new CancelBench(ACTION);
  bench.engine.behaviours.set('a', behaviour);
  bench.pushedBy(pusher, answers);
  bench.addAction('a');
  return { bench, ...bench.daemon() };
}

describe('a cancel file of a run', () => {
  it('stops it within a poll, waits until nothing of it lives, and names who asked (R9)', async () => {
    const { bench, end } = working({ ...HOURS, stopMs: 30_000 });
    await bench.pass(3000);
    bench.cancel();
    await bench.pass(8000);
    expect([bench.result('a'), bench.engine.cancels.length, bench.engine.living]).toEqual([null, 1, 1]);
    await bench.pass(40_000);
    expect(bench.result('a')).toMatchObject({ ...CANCELLED, run: { signal: 'SIGTERM' } });
    expect([bench.engine.living, bench.recorded('a'), bench.journal.state.entries.size]).toEqual([0, 1, 0]);
    await end();
  });

  it('of nobody entitled stops nothing, and that is said once', async () => {
    const { bench, end, process } = working({ runMs: 120_000 }, max);
    await bench.pass(3000);
    bench.cancel();
    await bench.pass(150_000);
    await end();
    expect([bench.result('a')?.outcome, bench.engine.cancels]).toEqual(['succeeded', []]);
    expect(doubts(process)).toMatchObject([
      { id: 'a', path: CANCEL, code: 'ERR_CANCEL_UNAPPROVED', reason: expect.stringContaining('max pushed it') },
    ]);
  });

  it('counts as soon as it is approved, though the branch stands still', async () => {
    const { bench, end } = working(HOURS, max);
    await bench.pass(3000);
    bench.cancel();
    await bench.pass(60_000);
    expect(bench.engine.cancels).toEqual([]);
    bench.approved.add(CANCEL);
    await bench.pass(10_000);
    await end();
    expect(bench.result('a')).toMatchObject({ outcome: 'cancelled', reason: { by: 'Jo' } });
  });

  it('is the same after a restart in the middle, also when it came while nobody was there (R9)', async () => {
    const { bench, process } = working();
    await bench.pass(3000);
    process.gate.kill();
    bench.cancel();
    const { end } = bench.daemon();
    await bench.pass(10_000);
    await end();
    expect(bench.result('a')).toMatchObject(CANCELLED);
    expect([bench.engine.executions.length, bench.engine.living]).toEqual([1, 0]);
  });

  it('stops the run though the action is gone from the branch', async () => {
    const { bench, end } = working();
    await bench.pass(3000);
    bench.repo.commitFiles({ [ACTION]: null });
    bench.cancel();
    await bench.pass(10_000);
    await end();
    expect(bench.result('a')).toMatchObject(CANCELLED);
  });

  it('on a branch that was rewritten stops nothing until that is accepted', async () => {
    const { bench, end } = working();
    await bench.pass(3000);
    bench.repo.descends = false;
    bench.cancel();
    await bench.pass(20_000);
    expect([bench.result('a'), bench.engine.living]).toEqual([null, 1]);
    bench.repo.descends = true;
    await bench.pass(10_000);
    await end();
    expect(bench.result('a')).toMatchObject(CANCELLED);
  });

  it('is judged as of the highest tier where nobody knows the tier any more', async () => {
    const { bench, process } = working(HOURS, max);
    await bench.pass(3000);
    process.gate.kill();
    bench.records.files.clear();
    bench.low = NOBODY;
    const { end } = bench.daemon();
    bench.cancel();
    await bench.pass(20_000);
    expect(bench.engine.cancels).toEqual([]);
    bench.approved.add(CANCEL);
    await bench.pass(10_000);
    await end();
    expect(bench.engine.cancels).toMatchObject([{ by: 'Jo' }]);
  });

  it('of who edited the action after its claim is not that of its author', async () => {
    const { bench, process } = working();
    await bench.pass(3000);
    process.gate.kill();
    bench.records.files.clear();
    bench.addAction('a', { context: 'edited' });
    bench.cancel();
    const next = bench.daemon();
    await bench.pass(20_000);
    await next.end();
    expect(bench.engine.cancels).toEqual([]);
    expect(doubts(next.process)).toMatchObject([
      { reason: 'cancel request does not count: nobody knows any more which commit set the action' },
    ]);
  });

  it('before the dispatch ends it without a run, proven (R9)', async () => {
    const { bench, end, process } = working();
    const away = () => new TransientError('ERR_ENGINE_UNAVAILABLE', 'away');
    process.gate.fail('engine.find', away, { times: 8 });
    await bench.pass(200);
    bench.cancel();
    await bench.pass(300_000);
    await end();
    expect(bench.result('a')).toMatchObject({ ...CANCELLED, run: null, attempt: { number: 1, executions: 0 } });
    expect([bench.engine.executions, bench.access.loose]).toEqual([[], 0]);
  });

  it('that comes while it is being started ends it before the claim', async () => {
    const { bench, end, process } = working();
    process.gate.slow('access.grant', () => bench.clock.sleep(20_000));
    await bench.pass(3000);
    bench.cancel();
    await bench.pass(60_000);
    await end();
    expect(bench.result('a')).toMatchObject({ ...CANCELLED, attempt: null });
    expect([bench.engine.executions, bench.journal.state.entries.size, bench.records.files.size]).toEqual([[], 0, 0]);
  });

  it('does nothing twice beside the wish of the operator: the first that is seen counts (R9)', async () => {
    const { bench, end } = working({ ...HOURS, stopMs: 60_000 });
    await bench.pass(3000);
    await bench.control.requestStop('a', OPERATOR);
    await bench.pass(1000);
    bench.cancel();
    await bench.pass(120_000);
    await end();
    expect(bench.engine.cancels).toEqual([OPERATOR]);
    expect(bench.result('a')?.reason?.by).toBe('Operator');
    expect([bench.recorded('a'), bench.control.stops.size]).toEqual([1, 0]);
  });

  it('that claims to be from the future is still one that came before the end', async () => {
    const { bench, end } = working();
    await bench.pass(3000);
    bench.repo.commitFiles({ [CANCEL]: 'reason = "x"\n' }, 'change', '2030-01-01T00:00:00.000Z');
    await bench.pass(10_000);
    await end();
    expect(bench.result('a')).toMatchObject({ outcome: 'cancelled', reason: { by: 'jane' } });
  });
});

describe('a forge that is away while a cancel file is judged', () => {
  it('stops nothing and holds nothing up, is said once, and is asked again', async () => {
    const { bench, end, process } = working(HOURS);
    process.gate.fail('forge.pusherOf', forgeIsAway, { times: 6 });
    await bench.pass(3000);
    bench.cancel();
    await bench.pass(20_000);
    expect([bench.engine.living, bench.engine.cancels]).toEqual([1, []]);
    await bench.pass(30_000);
    await end();
    expect(bench.result('a')).toMatchObject(CANCELLED);
    expect(doubts(process)).toMatchObject([{ code: 'ERR_FORGE_UNAVAILABLE' }]);
  });

  it('does not keep the operator waiting, nor the end of the run (E3)', async () => {
    const hangs = () => new Promise<never>(() => undefined);
    const { bench, end } = working({ ...HOURS, stopMs: 1000 }, jane, { pusherOf: hangs });
    await bench.pass(3000);
    bench.cancel();
    await bench.pass(10_000);
    await bench.control.requestStop('a', OPERATOR);
    await bench.pass(1000);
    expect(bench.engine.cancels).toEqual([OPERATOR]);
    await bench.pass(10_000);
    await end();
    expect(bench.result('a')?.reason?.by).toBe('Operator');
  });
});
