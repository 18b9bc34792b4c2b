import { describe, expect, it } from 'vitest';
import { AWAITS_ADOPTION } from '../../../src/domain/journal.ts';
import { SILENCE_MS } from '../../../src/domain/lease.ts';
import { TransientError } from '../../../src/errors.ts';
import { oneAction, peer, started, untilResult, whole } from '../../fakes/peers-bench.ts';
import { type Process, quiet, type StoryBench } from '../../fakes/story-bench.ts';

const away = () => new TransientError('ERR_GIT_UNAVAILABLE', 'git is away');
const TAKEN = 'took over what a peer held that gave no sign of life';
const LEFT = 'left an attempt that is not ours any more';
const said = ({ log }: Process, message: string) => log.filter((line) => line.message === message).length;
const holder = (bench: StoryBench) => bench.journal.state.entries.get('a')?.dispatcher;

/** edge-1 has the run, edge-2 watches it. */
async function running(behaviour: Parameters<typeof oneAction>[0] = {}) {
  const bench = oneAction(behaviour);
  const first = peer(bench, 'edge-1');
  const stopFirst = started(first);
  await bench.pass(2000);
  const second = peer(bench, 'edge-2');
  const stopSecond = started(second);
  await bench.pass(1000);
  const end = (): void => {
    stopFirst();
    stopSecond();
  };
  return { bench, first, second, end };
}

/** Its call never arrives. */
function dies({ gate }: Process): Promise<void> {
  gate.kill();
  return new Promise(() => undefined);
}

/** edge-1 died at its first call of this name; edge-2 comes to its end. */
async function diedAt(call: string, options: { readonly host?: string } = {}) {
  const bench = oneAction({ runMs: 1000 });
  const first = peer(bench, 'edge-1');
  first.gate.slow(call, () => dies(first));
  started(first);
  await bench.pass(5000);
  const second = peer(bench, 'edge-2', options);
  const end = started(second);
  await untilResult(bench, 'a');
  await bench.pass(10_000);
  end();
  return { bench, first, second };
}

/** The simulation goes through all of them. */
const STRIDE = 5;

describe('a dead peer', () => {
  it('has its run followed, and recorded once (R8)', async () => {
    const { bench, first, second, end } = await running();
    first.gate.kill();
    await untilResult(bench, 'a');
    end();
    await quiet();
    expect(whole(bench)).toEqual({ executions: 1, results: 1, outcome: 'succeeded', entries: 0, loose: 0 });
    expect(bench.result('a')).toMatchObject({
      exit_code: 0,
      attempt: { number: 1, dispatcher: 'edge-2' },
      output: { stdout: { complete: false } },
    });
    expect(said(second, TAKEN)).toBe(1);
  });

  it('that died before its dispatch ends as unknown, without access, and its late dispatch executes nothing (R6)', async () => {
    const bench = oneAction({ runMs: 1000 });
    const first = peer(bench, 'edge-1');
    let late = (): void => undefined;
    first.gate.slow('engine.dispatch', () => new Promise((resolve) => void (late = resolve)));
    started(first);
    await bench.pass(5000);
    first.gate.plan((call) => (call.startsWith('journal.') || call.startsWith('opsRepo.') ? away() : null));
    const second = peer(bench, 'edge-2');
    const end = started(second);
    await untilResult(bench, 'a');
    expect(whole(bench)).toMatchObject({ executions: 0, results: 1, outcome: 'unknown', entries: 0, loose: 0 });
    const { calls } = second.gate;
    expect(calls.indexOf('access.revoke')).toBeGreaterThan(0);
    expect(calls.indexOf('access.revoke')).toBeLessThan(calls.indexOf('opsRepo.publish'));
    late();
    await bench.pass(60_000);
    expect([bench.engine.known, bench.engine.executions.length, bench.recorded('a')]).toEqual([1, 0, 1]);
    end();
  });

  it('gets no result for as long as its access can not be revoked (R17)', async () => {
    const bench = oneAction();
    const first = peer(bench, 'edge-1');
    first.gate.slow('engine.dispatch', () => dies(first));
    started(first);
    await bench.pass(5000);
    const second = peer(bench, 'edge-2');
    second.gate.fail('access.revoke', () => new TransientError('ERR_ACCESS_UNAVAILABLE', 'away'), { times: Infinity });
    const end = started(second);
    await bench.pass(1_800_000);
    expect([holder(bench), bench.result('a')]).toEqual(['edge-2', null]);
    second.gate.plan(() => null);
    await untilResult(bench, 'a');
    expect(bench.result('a')?.outcome).toBe('unknown');
    end();
  });

  it('whose requests are at hand has its wrapper consumed, and the next attempt runs (R6)', async () => {
    const { bench } = await diedAt('engine.dispatch', { host: 'edge-1' });
    expect(whole(bench)).toEqual({ executions: 1, results: 1, outcome: 'succeeded', entries: 0, loose: 0 });
    expect(bench.result('a')).toMatchObject({
      attempt: { number: 2, dispatcher: 'edge-2' },
      attempts: [{ number: 1, outcome: 'timed_out' }],
    });
  });

  it('keeps its group until its attempt has ended (R19)', async () => {
    const { bench, first, end } = await running({ runMs: 400_000 });
    first.gate.kill();
    bench.addAction('b', { secrets: ['TOKEN'] });
    await untilResult(bench, 'b');
    expect([bench.engine.mostLiving, bench.result('a')?.outcome, bench.result('b')?.outcome]).toEqual([
      1,
      'succeeded',
      'succeeded',
    ]);
    end();
  });

  it('of another engine is left alone, and that is said once', async () => {
    const { bench, first, second, end } = await running();
    first.gate.kill();
    bench.journal.change((entries) => {
      for (const [id, entry] of entries) entries.set(id, { ...entry, engine: 'nomad' });
    });
    await bench.pass(1_200_000);
    expect(holder(bench)).toBe('edge-1');
    expect(said(second, 'a silent peer holds attempts that can not be taken over from here')).toBe(1);
    end();
  });
});

describe('a peer that lives', () => {
  it('is never taken over while it gives signs, however long its run takes', async () => {
    const { bench, second, end } = await running({ runMs: 3_000_000 });
    await untilResult(bench, 'a');
    expect([said(second, TAKEN), bench.result('a')?.attempt?.dispatcher]).toEqual([0, 'edge-1']);
    end();
  });

  it('pushes one sign in twenty seconds, and none without entries', async () => {
    const { bench, first, second, end } = await running({ runMs: 200_000 });
    await bench.pass(100_000);
    const signs = (process: Process) => process.gate.calls.filter((call) => call === 'journal.renew').length;
    expect([signs(first), signs(second)]).toEqual([5, 0]);
    await untilResult(bench, 'a');
    const at = signs(first);
    await bench.pass(200_000);
    expect(signs(first)).toBe(at);
    end();
  });

  it('that gives no signs because it has no peers is never taken over', async () => {
    const bench = oneAction();
    const first = bench.process({ dispatcher: 'edge-1' });
    started(first);
    await bench.pass(2000);
    first.gate.kill();
    const end = started(peer(bench, 'edge-2'));
    await bench.pass(1_200_000);
    expect([holder(bench), bench.result('a')]).toEqual(['edge-1', null]);
    end();
  });

  it('is not taken over by a reader that can not read the journal, nor right after that (R18)', async () => {
    const { bench, first, second, end } = await running({ runMs: 3_000_000 });
    const blind = (call: string) => (call === 'journal.refresh' ? away() : null);
    first.gate.plan((call) => (call === 'journal.renew' ? away() : null));
    second.gate.plan(blind);
    await bench.pass(1_200_000);
    expect(holder(bench)).toBe('edge-1');
    first.gate.plan(() => null);
    second.gate.plan(() => null);
    await bench.pass(600_000);
    expect([said(second, TAKEN), holder(bench)]).toEqual([0, 'edge-1']);
    end();
  });

  it('is not taken over by a reader that was stopped itself (E8)', async () => {
    const { bench, first, second, end } = await running({ runMs: 9_000_000 });
    // Both were stopped, and the reader wakes up first.
    for (const { gate } of [first, second]) gate.stop();
    await bench.pass(3_600_000);
    second.gate.wake();
    await bench.pass(30_000);
    first.gate.wake();
    await bench.pass(600_000);
    expect([said(second, TAKEN), holder(bench)]).toEqual([0, 'edge-1']);
    end();
  });

  it('wins against a reader that saw it silent, if it gives a sign before (R4)', async () => {
    const { bench, first, second, end } = await running({ runMs: 3_000_000 });
    first.gate.plan((call) => (call === 'journal.renew' ? away() : null));
    second.gate.slow('journal.takeOver', () => {
      bench.journal.change((entries) => {
        for (const [id, entry] of entries) entries.set(id, { ...entry, lease_until: bench.clock.now().toISOString() });
      });
      return Promise.resolve();
    });
    await bench.pass(2 * SILENCE_MS);
    expect([second.gate.calls.includes('journal.takeOver'), said(second, TAKEN), holder(bench)]).toEqual([
      true,
      0,
      'edge-1',
    ]);
    end();
  });
});

describe('two readers of a dead peer', () => {
  it('race for what it held, and one of them has all of it (R4)', async () => {
    const { bench, first, second, end } = await running();
    const third = peer(bench, 'edge-3');
    const endThird = started(third);
    first.gate.kill();
    await untilResult(bench, 'a');
    expect(whole(bench)).toMatchObject({ executions: 1, results: 1, outcome: 'succeeded' });
    expect(said(second, TAKEN) + said(third, TAKEN)).toBe(1);
    end();
    endThird();
  });
});

describe('a daemon that was taken over and wakes up', () => {
  it('lets go of the run it follows, and of its note once the other has recorded (R4)', async () => {
    const { bench, first, end } = await running();
    first.gate.stop();
    await bench.pass(300_000);
    expect(holder(bench)).toBe('edge-2');
    first.gate.wake();
    await bench.pass(20_000);
    expect([said(first, LEFT), first.daemon.figures().slots.used, bench.records.files.size]).toEqual([1, 0, 1]);
    expect(first.daemon.board.line('a')?.reason?.code).toBe('ERR_CLAIMED_ELSEWHERE');
    await untilResult(bench, 'a');
    await bench.pass(20_000);
    expect(whole(bench)).toMatchObject({ executions: 1, results: 1, entries: 0 });
    expect([bench.records.files.size, said(first, LEFT)]).toEqual([0, 1]);
    end();
  });

  it('sends nothing before it has read the journal, where its last reading is old (R4)', async () => {
    const bench = oneAction();
    const first = bench.process({ loop: { pollSeconds: 3600 } });
    first.gate.plan((call, when) => {
      if (call === 'engine.find' && when === 'before') first.gate.stop();
      return null;
    });
    const end = started(first);
    await bench.pass(2000);
    bench.journal.change((entries) => {
      for (const [id, entry] of entries) entries.set(id, { ...entry, dispatcher: 'edge-2', instance: 'theirs' });
    });
    await bench.pass(60_000);
    first.gate.wake();
    await bench.pass(5000);
    expect([first.gate.calls.includes('engine.dispatch'), said(first, LEFT)]).toEqual([false, 1]);
    end();
  });

  it('writes no result of what another one is about to record (R4)', async () => {
    const { bench, first, second, end } = await running({ runMs: 60_000 });
    first.gate.plan((call, when) => {
      if (call === 'store.put' && when === 'before') first.gate.stop();
      return null;
    });
    second.gate.plan((call) => (call === 'opsRepo.publish' ? away() : null));
    await bench.pass(400_000);
    first.gate.plan(() => null);
    first.gate.wake();
    await bench.pass(20_000);
    expect([bench.result('a'), said(first, LEFT)]).toEqual([null, 1]);
    second.gate.plan(() => null);
    await untilResult(bench, 'a');
    expect(bench.result('a')?.attempt?.dispatcher).toBe('edge-2');
    end();
  });

  it('stops no run that another one follows now (R9)', async () => {
    const { bench, first, end } = await running();
    await bench.control.requestStop('a', { kind: 'cancel', by: 'Jo', message: 'no longer needed' });
    // It has read the wish, and is stopped before it can pass it on.
    first.gate.plan((call, when) => {
      if (call === 'control.stopRequests' && when === 'before') first.gate.stop();
      return null;
    });
    await bench.pass(1000);
    bench.control.stops.clear();
    first.gate.plan(() => null);
    await bench.pass(300_000);
    expect(holder(bench)).toBe('edge-2');
    first.gate.wake();
    await untilResult(bench, 'a');
    expect([bench.engine.cancels, bench.result('a')?.outcome]).toEqual([[], 'succeeded']);
    end();
  });

  it('at every moment leaves one result and at most one execution (R4, R6, E8)', async () => {
    const ends = new Set<string | null>();
    let point = 0;
    for (let isOver = false; !isOver; point += STRIDE) {
      const bench = oneAction({ queuedMs: 100, runMs: 3000 });
      const first = peer(bench, 'edge-1');
      first.gate.stopAt(point);
      const endFirst = started(first);
      await bench.pass(10_000);
      isOver = bench.result('a') !== null && bench.journal.state.ended.size === 1 && bench.records.files.size === 0;
      const endSecond = started(peer(bench, 'edge-2'));
      await bench.pass(200_000);
      first.gate.wake();
      await bench.pass(60_000);
      const { executions, results, outcome, entries } = whole(bench);
      expect({ point, results, entries, runs: executions <= 1 }).toEqual({ point, results: 1, entries: 0, runs: true });
      expect([point, outcome === 'unknown' || executions === 1]).toEqual([point, true]);
      ends.add(outcome);
      endFirst();
      endSecond();
    }
    expect(point).toBeGreaterThan(40);
    expect(ends).toEqual(new Set(['succeeded', 'unknown']));
  });
});

describe('what the operator gives to a dispatcher', () => {
  it('is adopted by the daemon that runs, which is not fenced by it (E7)', async () => {
    const { bench, first, second, end } = await running({ runMs: 60_000 });
    first.gate.kill();
    bench.addAction('b', { secrets: ['TOKEN'] });
    bench.journal.change((entries) => {
      const entry = entries.get('a');
      if (entry === undefined) return;
      const { lease_until: _none, ...given } = entry;
      entries.set('a', { ...given, dispatcher: 'edge-2', instance: AWAITS_ADOPTION, taken_from: 'edge-1' });
    });
    await bench.pass(10_000);
    expect(bench.journal.state.entries.get('a')).toMatchObject({ instance: second.parts.settings.instance });
    await untilResult(bench, 'b');
    expect([bench.result('a')?.outcome, bench.result('b')?.outcome]).toEqual(['succeeded', 'succeeded']);
    end();
  });
});

describe('a process whose name another one has taken', () => {
  it('does not dispatch what it had claimed, and goes on with nothing (R4)', async () => {
    const bench = oneAction({ runMs: 200_000 });
    const first = bench.process();
    let late = (): void => undefined;
    first.gate.slow('records.save', () => new Promise((resolve) => void (late = resolve)));
    started(first);
    await bench.pass(2000);
    late();
    await bench.pass(1);
    late();
    await quiet();
    expect(first.gate.calls.filter((call) => call === 'engine.dispatch')).toEqual([]);
    const second = bench.process();
    const end = started(second);
    await bench.pass(60_000);
    for (let turn = 0; turn < 5; turn += 1) {
      late();
      await bench.pass(60_000);
    }
    expect(first.gate.calls.filter((call) => call === 'engine.dispatch')).toEqual([]);
    await untilResult(bench, 'a');
    expect(whole(bench)).toMatchObject({ executions: 1, results: 1, outcome: 'succeeded' });
    expect(said(first, LEFT)).toBe(1);
    end();
  });
});
