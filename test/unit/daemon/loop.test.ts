import { describe, expect, it } from 'vitest';
import { StalledError, TransientError } from '../../../src/errors.ts';
import { type Process, type ProcessOptions, StoryBench } from '../../fakes/story-bench.ts';

/** A daemon that works until it is stopped. */
function daemonOn(bench: StoryBench, options: ProcessOptions = {}) {
  const stop = new AbortController();
  const process = bench.process(options);
  const over = process.daemon.run(stop.signal);
  const end = async () => {
    stop.abort();
    await bench.drive(over);
  };
  return { ...process, end };
}

const away = () => new TransientError('ERR_GIT_UNAVAILABLE', 'the git server does not answer');
const warnings = ({ log }: Pick<Process, 'log'>, message: string) => log.filter((line) => line.message === message);
const count = (calls: readonly string[], call: string) => calls.filter((each) => each === call).length;

describe('the loop', () => {
  it('dispatches what was pushed within one poll, without any hint (R18)', async () => {
    const bench = new StoryBench();
    const { end } = daemonOn(bench);
    await bench.pass(20_000);
    bench.addAction('a');
    await bench.pass(5600);
    await end();
    expect(bench.result('a')?.outcome).toBe('succeeded');
  });

  it('asks journal and branch once a poll when idle, and nothing else (R17)', async () => {
    const bench = new StoryBench();
    bench.addAction('a', { not_before: '2027-01-01T00:00:00Z' });
    const { gate, end } = daemonOn(bench);
    await bench.pass(9000);
    gate.calls.length = 0;
    await bench.pass(100_000);
    await end();
    const polls = count(gate.calls, 'opsRepo.refresh');
    expect(polls).toBeGreaterThanOrEqual(18);
    expect(polls).toBeLessThanOrEqual(23);
    expect(count(gate.calls, 'journal.refresh')).toBe(polls);
    // Reads are answered by the clone, wishes by this host.
    const others = gate.calls.filter((call) => !/^(control\.|opsRepo\.read$)|\.refresh$/.test(call));
    expect(others).toEqual([]);
  });

  it('claims nothing while it is paused, here or by the branch; runs go on', async () => {
    const bench = new StoryBench();
    bench.engine.behaviours.set('a', { runMs: 20_000 });
    bench.addAction('a');
    const { daemon, end } = daemonOn(bench);
    await bench.pass(8000);
    await bench.control.pause('Jo');
    bench.addAction('b');
    await bench.pass(30_000);
    expect([bench.result('a')?.outcome, bench.result('b'), bench.access.wrappers.size]).toEqual(['succeeded', null, 1]);
    expect(daemon.board.line('b')?.reason).toMatchObject({
      code: 'ERR_PAUSED',
      message: expect.stringContaining('Jo paused'),
    });
    bench.repo.commitFiles({ 'vault/PAUSE': '' });
    await bench.control.resume();
    await bench.pass(10_000);
    expect(daemon.board.line('b')?.reason?.message).toMatch(/^the branch holds vault\/PAUSE/);
    bench.repo.commitFiles({ 'vault/PAUSE': null });
    await bench.pass(10_000);
    await end();
    expect(bench.result('b')?.outcome).toBe('succeeded');
  });

  it('still refuses and cancels while it is paused', async () => {
    const bench = new StoryBench();
    await bench.control.pause('Jo');
    bench.addAction('a', { secrets: ['NOT_OF_THE_FORMULA'] });
    const { report } = await bench.once();
    expect(report.results).toMatchObject([{ id: 'a', outcome: 'refused' }]);
  });

  it('claims nothing when another process runs under its name, and says so', async () => {
    const bench = new StoryBench();
    bench.engine.behaviours.set('a', { runMs: 30_000 });
    bench.addAction('a');
    const first = daemonOn(bench);
    await bench.pass(8000);
    const second = daemonOn(bench);
    await bench.pass(8000);
    second.gate.slow('journal.claim', () => bench.clock.sleep(10_000));
    first.gate.calls.length = 0;
    bench.addAction('b');
    await bench.pass(8000);
    expect(first.daemon.board.line('b')?.reason?.code).toBe('ERR_FENCED');
    expect(first.gate.calls.filter((call) => call === 'access.grant' || call === 'journal.claim')).toEqual([]);
    await bench.pass(60_000);
    await first.end();
    await second.end();
    expect([bench.engine.executions.length, bench.recorded('a'), bench.recorded('b')]).toEqual([2, 1, 1]);
  });

  it('tells an outage once, is not ready meanwhile, and goes on by itself (R20)', async () => {
    const bench = new StoryBench();
    const process = daemonOn(bench);
    await bench.pass(8000);
    expect(process.daemon.unready()).toEqual([]);
    process.gate.fail('opsRepo.refresh', away, { times: 8 });
    bench.addAction('a');
    await bench.pass(30_000);
    expect(process.daemon.unready()).toMatchObject([{ code: 'ERR_GIT_UNAVAILABLE' }]);
    expect(warnings(process, 'cannot look at the ops repo')).toHaveLength(1);
    await bench.pass(200_000);
    await process.end();
    expect([process.daemon.unready(), bench.result('a')?.outcome]).toEqual([[], 'succeeded']);
  });

  it('comes back later and later, at most half a minute, while the outside is away (R17, R20)', async () => {
    const bench = new StoryBench();
    const { gate, end } = daemonOn(bench);
    await bench.pass(8000);
    gate.calls.length = 0;
    gate.fail('journal.refresh', away, { times: 1_000_000 });
    await bench.pass(600_000);
    await end();
    expect(count(gate.calls, 'journal.refresh')).toBeGreaterThan(600 / 36);
    expect(count(gate.calls, 'journal.refresh')).toBeLessThan(60);
  });

  it('starts only when the outside answers, and is not ready before', async () => {
    const bench = new StoryBench();
    bench.addAction('a');
    const process = bench.process();
    const stop = new AbortController();
    process.gate.fail('journal.adopt', () => new StalledError('ERR_PUSH_FORBIDDEN', 'no right to push'), { times: 3 });
    expect(process.daemon.unready()).toMatchObject([{ message: 'the first look at the ops repo is under way' }]);
    const over = process.daemon.run(stop.signal);
    await bench.pass(7000);
    expect(process.daemon.unready()).toMatchObject([{ code: 'ERR_PUSH_FORBIDDEN' }]);
    await bench.pass(20_000);
    stop.abort();
    await bench.drive(over);
    expect(bench.result('a')?.outcome).toBe('succeeded');
  });

  it('does not stop for one action that it makes a mistake with, and does not spin on it', async () => {
    const bench = new StoryBench();
    for (const id of ['a', 'b', 'c']) bench.addAction(id);
    const process = daemonOn(bench);
    const readA = process.gate;
    let judged = 0;
    readA.plan((call, when) => {
      if (call !== 'control.stopRequest' || when !== 'before') return null;
      judged += 1;
      return judged === 1 ? new Error('a bug') : null;
    });
    await bench.pass(4000);
    expect([bench.result('b')?.outcome, bench.result('c')?.outcome]).toEqual(['succeeded', 'succeeded']);
    expect(warnings(process, 'could not judge the action')).toHaveLength(1);
    await bench.pass(20_000);
    await process.end();
    expect(bench.result('a')?.outcome).toBe('succeeded');
  });

  it('tries a start that came to nothing again, later and later, and others meanwhile (R20)', async () => {
    const bench = new StoryBench();
    bench.access.secrets.set('TOKEN', 'denied');
    bench.addFormula('tidy', { secrets: ['TOKEN'] });
    bench.addAction('a', { secrets: ['TOKEN'] });
    bench.addAction('b');
    const process = daemonOn(bench);
    await bench.pass(300_000);
    expect(count(process.gate.calls, 'access.states')).toBeLessThan(35);
    expect([bench.result('a'), bench.result('b')?.outcome]).toEqual([null, 'succeeded']);
    expect(process.daemon.board.line('a')?.reason?.code).toBe('ERR_ACCESS_DENIED');
    bench.access.secrets.set('TOKEN', 'present');
    await bench.pass(60_000);
    await process.end();
    expect(bench.result('a')?.outcome).toBe('succeeded');
  });

  it('does not spin on a story that breaks off by a mistake of its own', async () => {
    const bench = new StoryBench();
    bench.addAction('a');
    const process = daemonOn(bench);
    process.gate.fail('engine.artifact', () => new Error('a bug'), { times: 1_000_000 });
    bench.engine.behaviours.set('a', { artifacts: { x: 'x' } });
    await bench.pass(300_000);
    const broke = warnings(process, 'the story of an action broke off').length;
    expect(broke).toBeGreaterThan(5);
    expect(broke).toBeLessThan(40);
    await process.end();
    expect([bench.engine.executions.length, bench.result('a')]).toEqual([1, null]);
  });

  it('never runs more than in_flight at a time, and is fair among those who wait (R19)', async () => {
    const bench = new StoryBench();
    for (let index = 0; index < 20; index += 1) {
      bench.engine.behaviours.set(`a${index}`, { queuedMs: (index * 37) % 500, runMs: 1000 + ((index * 53) % 900) });
      bench.addAction(`a${index}`);
    }
    const { report } = await bench.once({ loop: { inFlight: 3 } });
    expect([report.results.length, bench.engine.mostLiving]).toEqual([20, 3]);
  });

  it('never runs two of a group at a time, also by two dispatchers (R19)', async () => {
    const bench = new StoryBench();
    bench.addFormula('tidy', { concurrency: 'g' });
    for (let index = 0; index < 6; index += 1) {
      bench.engine.behaviours.set(`a${index}`, { runMs: 20_000 });
      bench.addAction(`a${index}`);
    }
    const both = [daemonOn(bench), daemonOn(bench, { dispatcher: 'edge-2' })];
    await bench.pass(400_000);
    for (const { end } of both) await end();
    expect([bench.engine.executions.length, bench.engine.mostLiving]).toEqual([6, 1]);
  });

  it('keeps the slot of a lost run until its deadline: not while its result is on its way, and not after (R19)', async () => {
    const bench = new StoryBench();
    bench.engine.behaviours.set('a', { runMs: 5000, end: 'lost' });
    bench.addAction('a', { timeout_minutes: 1 });
    bench.clock.advance(1000);
    bench.addAction('b');
    const { gate, daemon, end } = daemonOn(bench, { loop: { inFlight: 1 } });
    gate.slow('opsRepo.publish', () => bench.clock.sleep(20_000));
    await bench.pass(700_000);
    expect([bench.result('a')?.outcome, bench.result('b'), daemon.board.line('b')?.reason?.code]).toEqual([
      'lost',
      null,
      'ERR_SLOT',
    ]);
    // The deadline is 780 seconds after the claim.
    await bench.pass(120_000);
    await end();
    expect(bench.result('b')?.outcome).toBe('succeeded');
  });

  it('gives on the slot of a run that has ended before its result is pushed', async () => {
    const bench = new StoryBench();
    for (const id of ['a', 'b']) {
      bench.engine.behaviours.set(id, { runMs: 1000 });
      bench.addAction(id);
    }
    const { gate, end } = daemonOn(bench, { loop: { inFlight: 1 } });
    gate.slow('opsRepo.publish', () => bench.clock.sleep(60_000));
    await bench.pass(10_000);
    expect([bench.result('a'), bench.engine.executions.length]).toEqual([null, 2]);
    await bench.pass(120_000);
    await end();
  });

  it('does not start more in a minute than it may', async () => {
    const bench = new StoryBench();
    for (let index = 0; index < 5; index += 1) bench.addAction(`a${index}`);
    const { end } = daemonOn(bench, { loop: { dispatchesPerMinute: 2 } });
    await bench.pass(50_000);
    expect(bench.engine.executions).toHaveLength(2);
    await bench.pass(70_000);
    await end();
    expect(bench.engine.executions).toHaveLength(4);
  });

  it('reports once what belongs to no action: second files, edits that are not in force', async () => {
    const bench = new StoryBench();
    bench.addAction('a', { not_before: '2027-01-01T00:00:00Z' });
    bench.repo.commitFiles({ 'vault/actions/x/a.toml': 'id = "a"', 'vault/formulas/broken.toml': 'x' });
    const process = daemonOn(bench);
    await bench.pass(60_000);
    await process.end();
    expect(warnings(process, 'a second action with this id is ignored')).toHaveLength(1);
    expect(warnings(process, 'a gated file is not in force')).toMatchObject([
      { fields: { path: 'vault/formulas/broken.toml' } },
    ]);
  });
});
