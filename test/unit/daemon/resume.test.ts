import { describe, expect, it } from 'vitest';
import { encodeResult } from '../../../src/domain/result.ts';
import type { StopRequest } from '../../../src/domain/run.ts';
import type { Behaviour } from '../../fakes/dummy-engine.ts';
import { type Process, StoryBench } from '../../fakes/story-bench.ts';

const never = new AbortController().signal;
const CANCEL: StopRequest = { kind: 'cancel', by: 'Jo', message: 'no longer needed' };

/** An action that runs, and whose dispatcher is gone. */
async function orphan(behaviour: Behaviour = {}, fields: Readonly<Record<string, unknown>> = {}) {
  const bench = new StoryBench();
  bench.engine.behaviours.set('a', { runMs: 10_000, ...behaviour });
  bench.addAction('a', fields);
  const first = bench.process();
  void first.daemon.once(never);
  await bench.pass(2000);
  first.gate.kill();
  return bench;
}

const said = ({ log }: Pick<Process, 'log'>, message: string) => log.filter((line) => line.message === message).length;

describe('a new start', () => {
  it('adopts what is in flight: the true result, from one run (R8)', async () => {
    const bench = await orphan();
    const { report } = await bench.once();
    expect(report.results).toEqual([{ id: 'a', outcome: 'succeeded', exit_code: 0 }]);
    expect(bench.engine.executions).toHaveLength(1);
    expect(bench.result('a')).toMatchObject({
      output: { stdout: { complete: true } },
      attempt: { dispatcher: 'edge-1' },
    });
  });

  it('adopts a hundred at once (R8)', async () => {
    const bench = new StoryBench();
    for (let index = 0; index < 100; index += 1) {
      bench.engine.behaviours.set(`a${index}`, { runMs: 20_000 });
      bench.addAction(`a${index}`);
    }
    const first = bench.process({ loop: { inFlight: 100 } });
    void first.daemon.once(never);
    await bench.pass(1000);
    first.gate.kill();
    const started = bench.engine.executions.length;
    const { gate, daemon } = bench.process();
    void daemon.once(never);
    await bench.pass(5000);
    expect([started, gate.calls.filter((call) => call === 'engine.watch').length]).toEqual([100, 100]);
    gate.kill();
  });

  it('tells the true result of what ended while nobody was there (R8)', async () => {
    const bench = await orphan();
    await bench.pass(60_000);
    const { report } = await bench.once();
    expect(report.results).toMatchObject([{ id: 'a', outcome: 'succeeded' }]);
  });

  it('calls no run timed out that failed before its deadline, though that passed meanwhile (R8)', async () => {
    const bench = await orphan({ exitCode: 3 });
    await bench.pass(2 * 3_600_000);
    await bench.once();
    expect(bench.result('a')).toMatchObject({
      outcome: 'failed',
      exit_code: 3,
      reason: { code: 'ERR_COMMAND_FAILED' },
    });
  });

  it('calls no run cancelled that had failed before somebody asked for it (R8, R9)', async () => {
    const bench = await orphan({ exitCode: 3 });
    await bench.pass(3_600_000);
    await bench.control.requestStop('a', CANCEL);
    await bench.once();
    expect(bench.result('a')).toMatchObject({
      outcome: 'failed',
      exit_code: 3,
      reason: { code: 'ERR_COMMAND_FAILED' },
    });
    expect(bench.control.stops.size).toBe(0);
  });

  it('knows why a run ended that the process before it had asked to stop (R8, R9)', async () => {
    const bench = await orphan({ runMs: 600_000, stopMs: 60_000 });
    await bench.control.requestStop('a', { ...CANCEL, at: bench.clock.now().toISOString() });
    const second = bench.process();
    void second.daemon.once(never);
    await bench.pass(1000);
    second.gate.kill();
    await bench.pass(3_600_000);
    expect([bench.engine.cancels.length, bench.engine.living, bench.result('a')]).toEqual([1, 0, null]);
    await bench.once();
    expect(bench.result('a')).toMatchObject({ outcome: 'cancelled', exit_code: 130, reason: { by: 'Jo' } });
  });

  it('knows that a run was past its deadline when the process before it stopped it (R8, R9)', async () => {
    const bench = await orphan({ runMs: 100 * 3_600_000, stopMs: 60_000 }, { timeout_minutes: 1 });
    const second = bench.process();
    void second.daemon.once(never);
    await bench.pass(800_000);
    second.gate.kill();
    await bench.pass(3_600_000);
    expect([bench.engine.cancels.length, bench.engine.living, bench.result('a')]).toEqual([1, 0, null]);
    await bench.once();
    expect(bench.result('a')).toMatchObject({ outcome: 'timed_out', exit_code: 124, reason: { code: 'ERR_DEADLINE' } });
  });

  it('fences the process before it: that one writes nothing any more', async () => {
    const bench = new StoryBench();
    bench.engine.behaviours.set('a', { runMs: 10_000 });
    bench.addAction('a');
    const first = bench.process();
    const both = [first.daemon.once(never)];
    await bench.pass(2000);
    both.push(bench.process().daemon.once(never));
    await bench.drive(Promise.all(both));
    expect([bench.recorded('a'), bench.engine.executions.length, bench.journal.state.entries.size]).toEqual([1, 1, 0]);
  });

  it('claims again what the journal has lost, before anything else (R4)', async () => {
    const bench = await orphan();
    bench.journal.deleteAll();
    const process = await bench.once();
    expect(said(process, 'the journal had lost an attempt of ours')).toBe(1);
    expect([bench.engine.executions.length, bench.result('a')?.outcome]).toEqual([1, 'succeeded']);
  });

  it('does not claim again what the journal knows to have ended', async () => {
    const bench = await orphan();
    const note = [...bench.records.files][0];
    await bench.once();
    if (note !== undefined) bench.records.files.set(...note);
    const process = await bench.once();
    expect([said(process, 'the journal had lost an attempt of ours'), bench.records.files.size]).toEqual([0, 0]);
  });

  it('runs nothing again after the journal was restored from before the end (R4)', async () => {
    const bench = await orphan();
    const backup = bench.journal.state;
    await bench.once();
    bench.journal.state = backup;
    const { report } = await bench.once();
    expect([report.results, bench.engine.executions.length, bench.recorded('a')]).toEqual([[], 1, 1]);
    expect([bench.journal.state.entries.size, bench.journal.state.ended.size]).toEqual([0, 1]);
  });

  it('runs nothing again after its result was deleted (R4)', async () => {
    const bench = await orphan();
    await bench.once();
    bench.repo.commitFiles({ 'vault/actions/a.result.json': null });
    bench.journal.deleteAll();
    const { report } = await bench.once();
    expect(report.waiting).toMatchObject([{ id: 'a', reason: { code: 'ERR_ALREADY_RECORDED' } }]);
    expect(bench.engine.executions).toHaveLength(1);
  });

  it('without a note of its own follows the run, and calls nothing complete or verified', async () => {
    const bench = await orphan();
    bench.records.files.clear();
    await bench.once();
    expect(bench.result('a')).toMatchObject({
      outcome: 'succeeded',
      output: { stdout: { complete: false } },
      run: { digest_verified: false },
    });
    expect(bench.engine.executions).toHaveLength(1);
  });

  it('without a note and without a run calls it unknown, and dispatches nothing (R6)', async () => {
    const bench = await orphan();
    bench.records.files.clear();
    bench.engine.forgetAll();
    await bench.once();
    expect(bench.result('a')).toMatchObject({ outcome: 'unknown', exit_code: 70 });
    expect(bench.engine.executions).toHaveLength(1);
  });

  it('leaves an attempt whose note is damaged alone, and goes on with all others', async () => {
    const bench = await orphan();
    for (const [token, text] of bench.records.files) bench.records.files.set(token, text.slice(0, 50));
    bench.addAction('b');
    const { report, log } = await bench.once();
    expect(report.results).toMatchObject([{ id: 'b', outcome: 'succeeded' }]);
    expect(report.waiting).toMatchObject([{ id: 'a', reason: { code: 'ERR_STORE_UNAVAILABLE' } }]);
    expect(report.unreachable).toMatchObject([{ code: 'ERR_STORE_UNAVAILABLE' }]);
    expect(said({ log }, 'cannot read the note of an attempt')).toBeGreaterThan(0);
    expect(bench.result('a')).toBeNull();
  });

  it('leaves an attempt of another engine alone, and says so', async () => {
    const bench = await orphan();
    bench.journal.change((entries) => {
      for (const [id, entry] of entries) entries.set(id, { ...entry, engine: 'nomad' });
    });
    const process = await bench.once();
    expect(said(process, 'an attempt of another engine is left alone')).toBeGreaterThan(0);
    expect([bench.result('a'), bench.journal.state.entries.size]).toEqual([null, 1]);
  });

  it('leaves the attempts of another dispatcher alone', async () => {
    const bench = await orphan();
    const { report } = await bench.once({ dispatcher: 'edge-2' });
    expect(report.waiting).toMatchObject([{ id: 'a', reason: { code: 'ERR_CLAIMED_ELSEWHERE' } }]);
    await bench.once();
    expect([bench.result('a')?.outcome, bench.engine.executions.length]).toEqual(['succeeded', 1]);
  });

  it('puts only the tombstone where the result is in the repo already', async () => {
    const bench = await orphan({ runMs: 100 });
    const copy = new StoryBench();
    copy.addAction('a');
    await copy.once();
    const result = copy.result('a');
    if (result === null) throw new Error('no result');
    bench.repo.commitFiles({ 'vault/actions/a.result.json': encodeResult(result) });
    const { gate } = await bench.once();
    expect(gate.calls).not.toContain('opsRepo.publish');
    expect([bench.journal.state.ended.get('a')?.held_until, bench.journal.state.entries.size]).toEqual([undefined, 0]);
  });

  it('keeps the slot until the deadline where the result, and with it the outcome, was deleted (R19)', async () => {
    const bench = await orphan();
    const path = 'vault/actions/a.result.json';
    bench.repo.commitFiles({ [path]: '{}' });
    bench.repo.commitFiles({ [path]: null });
    await bench.once();
    expect(bench.journal.state.ended.get('a')?.held_until).toBe('2026-03-31T13:12:00.000Z');
    expect(bench.recorded('a')).toBe(0);
  });

  it('leaves to the newer process of its name what that has claimed', async () => {
    const bench = new StoryBench();
    for (const id of ['a', 'b']) bench.engine.behaviours.set(id, { runMs: 60_000 });
    bench.addAction('a');
    const [first, second] = [bench.process(), bench.process()];
    const stop = new AbortController();
    const both = [first.daemon.run(stop.signal)];
    await bench.pass(2000);
    both.push(second.daemon.run(stop.signal));
    await bench.pass(2000);
    bench.addAction('b');
    first.gate.calls.length = 0;
    await bench.pass(20_000);
    expect(first.gate.calls.filter((call) => call.startsWith('engine.'))).toEqual([]);
    expect(bench.engine.executions).toHaveLength(2);
    stop.abort();
    await bench.drive(Promise.all(both));
  });

  it('removes what was minted and never claimed, once its time is over', async () => {
    const bench = new StoryBench();
    bench.addAction('a');
    const first = bench.process();
    const claim = new Promise<void>((resolve) => first.gate.slow('journal.claim', () => new Promise(() => resolve())));
    void first.daemon.once(never);
    await bench.drive(claim);
    first.gate.kill();
    bench.repo.commitFiles({ 'vault/actions/a.toml': null });
    await bench.once();
    expect(bench.records.files.size).toBe(1);
    bench.clock.advance(721_000);
    await bench.once();
    expect(bench.records.files.size).toBe(0);
  });

  it('ends an attempt that is proven unstarted when its action was deleted after the claim: it has its one result', async () => {
    const bench = new StoryBench();
    bench.engine.behaviours.set('a', { queuedMs: 1000, never: true });
    bench.addAction('a');
    await bench.once();
    expect(bench.journal.state.entries.size).toBe(1);
    bench.repo.commitFiles({ 'vault/actions/a.toml': null });
    await bench.once();
    expect([bench.journal.state.entries.size, bench.records.files.size]).toEqual([0, 0]);
    expect(bench.result('a')).toMatchObject({ outcome: 'timed_out', reason: { code: 'ERR_NOT_PLACED' } });
    expect(bench.journal.state.ended.get('a')).not.toHaveProperty('held_until');
  });
});
