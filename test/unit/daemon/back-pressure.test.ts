import { describe, expect, it } from 'vitest';
import { troublesOf } from '../../../src/cli/status-daemon.ts';
import { createBreakers } from '../../../src/daemon/breakers.ts';
import { keepTelling } from '../../../src/daemon/tell-state.ts';
import { type DaemonState, isFresh } from '../../../src/domain/daemon-state.ts';
import { TransientError } from '../../../src/errors.ts';
import { type ProcessOptions, StoryBench } from '../../fakes/story-bench.ts';

function daemonOn(bench: StoryBench, options: ProcessOptions = {}) {
  const stop = new AbortController();
  const process = bench.process(options);
  const said: DaemonState[] = [];
  const write = async (state: DaemonState) => void said.push(state);
  const { parts, daemon } = process;
  const tools = { clock: bench.clock, log: parts.log, pid: 7, write };
  const over = Promise.all([daemon.run(stop.signal), keepTelling(daemon, tools, stop.signal)]);
  const end = async () => {
    stop.abort();
    await bench.drive(over);
  };
  return { ...process, said, end };
}

const away = () => new TransientError('ERR_ENGINE_UNAVAILABLE', 'it does not answer');

describe('an outage of the engine under many attempts', () => {
  const calls = [/^engine\.ready$/, /^engine\.(find|dispatch)$/];
  it.each(calls)(
    'costs it a call now and then, few lines of log, and no verdict; status knows: %s (R20, E2)',
    async (which) => {
      const bench = new StoryBench();
      for (let n = 0; n < 40; n += 1) bench.addAction(`a${n}`);
      const { gate, log, said, daemon, end } = daemonOn(bench, { loop: { inFlight: 100 } });
      gate.plan((call, when) => (when === 'before' && which.test(call) ? away() : null));
      await bench.pass(20_000);
      const knocks = () => gate.calls.filter((call) => call.startsWith('engine.')).length;
      const before = knocks();
      await bench.pass(100_000);
      expect(knocks() - before).toBeLessThanOrEqual(12);
      const lines = log.filter(({ level, fields }) => level !== 'debug' && fields['code'] === 'ERR_ENGINE_UNAVAILABLE');
      expect(lines.filter(({ message }) => message === 'a service does not answer').length).toBeLessThanOrEqual(5);
      expect(lines.length).toBeLessThanOrEqual(8);
      const last = said.at(-1);
      expect(last?.away).toMatchObject([{ service: 'engine', reason: { message: 'it does not answer' } }]);
      expect(last === undefined ? [] : troublesOf(last, bench.clock.now())[0]).toMatch(
        /^the daemon said \d+ s ago: engine does not answer since .*, \d+ calls failed, left alone until .*: it does not/,
      );
      gate.plan(() => null);
      await bench.pass(180_000);
      expect(daemon.figures().services.filter(({ away: outage }) => outage !== null)).toEqual([]);
      await end();
      expect(Array.from({ length: 40 }, (_, n) => bench.result(`a${n}`)?.outcome)).toEqual(
        Array.from({ length: 40 }, () => 'succeeded'),
      );
      expect([said.at(-1)?.away, log.some(({ message }) => message === 'a service answers again')]).toEqual([[], true]);
    },
  );
});

describe('a queue in the engine', () => {
  it('slows the starts down, says so, and lets them go on when it is gone (R20)', async () => {
    const bench = new StoryBench();
    const behaviours = bench.engine.behaviours;
    for (let n = 0; n < 20; n += 1) {
      behaviours.set(`a${n}`, { queuedMs: 60_000 });
      bench.addAction(`a${n}`);
    }
    const { daemon, said, end } = daemonOn(bench, { loop: { inFlight: 100, dispatchesPerMinute: 10 } });
    await bench.pass(20_000);
    expect(daemon.figures().pace).toEqual({ queued: 10, perMinute: 1 });
    const held = daemon.board.lines().filter(({ reason }) => reason?.code === 'ERR_SLOT');
    expect(held).toHaveLength(10);
    expect(held[0]?.reason?.message).toBe('10 runs wait for a place in the engine, so 1 start a minute');
    expect(said.at(-1)).toMatchObject({ queued: 10, starts_per_minute: 1 });
    await bench.pass(400_000);
    await end();
    expect(
      Array.from({ length: 20 }, (_, n) => bench.result(`a${n}`)?.outcome).filter((end) => end !== 'succeeded'),
    ).toEqual([]);
  });
});

describe('slots', () => {
  it('are not kept from one author by the thousand actions of another (R19)', async () => {
    const bench = new StoryBench();
    for (let n = 0; n < 30; n += 1) {
      const id = `many-${String(n).padStart(2, '0')}`;
      bench.engine.behaviours.set(id, { runMs: 5000 });
      bench.addAction(id, { priority: 90 });
    }
    const { daemon, end } = daemonOn(bench, { loop: { inFlight: 1 } });
    await bench.pass(8000);
    bench.addAction('one', { priority: 1 });
    const { tip } = bench.repo;
    const commit = bench.repo.commit.bind(bench.repo);
    const author = { name: 'Eve', email: 'eve@example.org' };
    bench.repo.commit = async (oid) => ({ ...(await commit(oid)), ...(oid === tip ? { author } : {}) });
    await bench.pass(30_000);
    expect(bench.result('one')?.outcome).toBe('succeeded');
    expect(daemon.board.lines().length).toBeGreaterThan(10);
    await end();
  });
});

describe('breakers', () => {
  it('leave reads of the clone, streams and wishes alone', async () => {
    const bench = new StoryBench();
    bench.addAction('a');
    const { parts, gate } = bench.process();
    const git = () => new TransientError('ERR_GIT_UNAVAILABLE', 'it does not answer');
    gate.plan((call, when) => (when === 'before' && /refresh|publish|cancel|consume/.test(call) ? git() : null));
    for (let times = 0; times < 3; times += 1) {
      await parts.journal.refresh().catch(() => null);
      await parts.opsRepo.refresh().catch(() => null);
    }
    const before = gate.calls.length;
    await expect(parts.opsRepo.refresh()).rejects.toThrow('the git server is left alone for now, because: it does not');
    await expect(parts.journal.refresh()).rejects.toThrow('left alone');
    expect(gate.calls.length).toBe(before);
    const root = await parts.opsRepo.root(bench.repo.tip);
    expect([root.length > 0, parts.journal.view().entries.size]).toEqual([true, 0]);
  });

  it('know a journal on another server apart', async () => {
    const bench = new StoryBench();
    const { parts } = bench.process();
    const names = (options: object) =>
      createBreakers({ clock: bench.clock, log: parts.log }, options)
        .states()
        .map(({ service }) => service);
    expect([names({}), names({ journalApart: true })]).toEqual([
      ['git', 'engine', 'access', 'store', 'forge'],
      ['git', 'journal', 'engine', 'access', 'store', 'forge'],
    ]);
  });
});

describe('what the daemon says of itself', () => {
  it('is written when it changes and every half minute, and told for a minute and a half', async () => {
    const bench = new StoryBench();
    const { said, end } = daemonOn(bench);
    await bench.pass(120_000);
    await end();
    expect(said.length).toBeGreaterThanOrEqual(4);
    expect(said.length).toBeLessThanOrEqual(8);
    const [state] = said;
    expect(
      [89_000, 91_000].map((ms) => state !== undefined && isFresh(state, new Date(Date.parse(state.at) + ms))),
    ).toEqual([true, false]);
    expect(troublesOf({ ...(said.at(-1) as DaemonState) }, bench.clock.now())).toEqual([]);
  });
});
