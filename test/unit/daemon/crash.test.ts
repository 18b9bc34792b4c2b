import { describe, expect, it } from 'vitest';
import type { Behaviour } from '../../fakes/dummy-engine.ts';
import { StoryBench } from '../../fakes/story-bench.ts';

/*
 * Kill -9 before and after every single call of every port, then a new start: one execution, one result (R4).
 */

interface Scenario {
  /** Dies at every so many-th point only. */
  readonly stride?: number;
  readonly behaviour?: Behaviour;
  readonly prepare?: (bench: StoryBench) => void;
  /** What happens to the outside before the new start. */
  readonly meanwhile?: (bench: StoryBench) => void;
}

const never = new AbortController().signal;

function benchOf(scenario: Scenario): StoryBench {
  const bench = new StoryBench();
  bench.access.secrets.set('TOKEN', 'present');
  bench.addFormula('tidy', { secrets: ['TOKEN'], concurrency: 'one' });
  bench.addAction('a', { secrets: ['TOKEN'] });
  const artifacts = { 'dist/a.tgz': 'tgz' };
  bench.engine.behaviours.set('a', { queuedMs: 100, runMs: 300, artifacts, ...scenario.behaviour });
  scenario.prepare?.(bench);
  return bench;
}

/** Starts, dies at that point, starts again. The last answer: it died before its end. */
async function survive(scenario: Scenario, point: number): Promise<{ bench: StoryBench; died: boolean }> {
  const bench = benchOf(scenario);
  const first = bench.process();
  const killed = first.gate.killAt(point);
  const end = await bench.drive(Promise.race([killed, first.daemon.once(never)]));
  first.gate.kill();
  if (end === 'killed') scenario.meanwhile?.(bench);
  await bench.once();
  return { bench, died: end === 'killed' };
}

/** Dies at the points there are, each time on a fresh bench. */
async function everywhere(scenario: Scenario, check: (bench: StoryBench, point: number) => void): Promise<number> {
  for (let point = 0; ; point += scenario.stride ?? 1) {
    const { bench, died } = await survive(scenario, point);
    check(bench, point);
    if (!died) return point;
  }
}

const traces = (bench: StoryBench) => ({
  executions: bench.engine.executions.length,
  results: bench.recorded('a'),
  outcome: bench.result('a')?.outcome,
  entries: bench.journal.state.entries.size,
  tombstones: bench.journal.state.ended.size,
  notes: bench.records.files.size,
  runs: bench.engine.known,
});

const CLEAN = { results: 1, entries: 0, tombstones: 1, notes: 0, runs: 0 };

describe('a dispatcher that is killed anywhere', () => {
  it('executes the action once and records it once (R4)', async () => {
    const points = await everywhere({}, (bench, point) => {
      expect({ point, ...traces(bench) }).toEqual({ point, ...CLEAN, executions: 1, outcome: 'succeeded' });
    });
    expect(points).toBeGreaterThan(80);
  });

  it('keeps exit code, output and artifacts, and credits no replaced allocation (R5, R8, E1, E4)', async () => {
    await everywhere({ stride: 3, behaviour: { exitCode: 3, stdout: 'out', stderr: 'err', copies: 3 } }, (bench) => {
      expect(bench.engine.executions).toHaveLength(1);
      expect(bench.result('a')).toMatchObject({
        outcome: 'failed',
        exit_code: 3,
        logs: 'outerr',
        output: { stdout: { bytes: 3, complete: true }, stderr: { bytes: 3, complete: true } },
        artifacts: [{ path: 'dist/a.tgz', bytes: 3, uri: 'memory:a/1/artifacts/dist/a.tgz' }],
        run: { digest_verified: true },
      });
    });
  });

  it.each(['lost', 'unknown'] as const)(
    'holds the slot and group of a run that is %s until its deadline (R19)',
    async (end) => {
      await everywhere({ stride: 3, behaviour: { end } }, (bench, point) => {
        expect({ point, ...traces(bench) }).toEqual({ point, ...CLEAN, executions: 1, outcome: end });
        const tombstone = bench.journal.state.ended.get('a');
        expect(tombstone?.group).toBe('one');
        // The claim is at most seconds old: placement + timeout + 2 minutes from it.
        expect(Date.parse(tombstone?.held_until ?? '')).toBeGreaterThan(bench.clock.now().getTime() + 60 * 60_000);
      });
    },
  );

  it('records a cancelled run as cancelled and starts nothing again (R9)', async () => {
    const prepare = (bench: StoryBench) => {
      void bench.clock
        .sleep(200)
        .then(() => bench.control.requestStop('a', { kind: 'cancel', by: 'Jo', message: 'no' }));
    };
    await everywhere({ stride: 3, prepare, behaviour: { runMs: 2000 } }, (bench, point) => {
      const { outcome, executions, ...left } = traces(bench);
      expect(left).toEqual({ ...CLEAN, tombstones: left.tombstones });
      expect([point, outcome]).toEqual([point, 'cancelled']);
      expect(executions).toBeLessThanOrEqual(1);
      expect([point, bench.engine.living, bench.control.stops.size]).toEqual([point, 0, 0]);
    });
  });

  it('runs a second attempt only after the first is proven not to have started (R6)', async () => {
    const meanwhile = (bench: StoryBench) => bench.engine.behaviours.set('a', { runMs: 100 });
    let unproven = 0;
    await everywhere({ stride: 3, behaviour: { queuedMs: 5000, never: true }, meanwhile }, (bench, point) => {
      const { outcome, executions, results } = traces(bench);
      if (bench.result('a') === null) return;
      // Killed between its consumption and the note of it, the wrapper proves nothing any more.
      const expected = executions === 0 ? 'unknown' : 'succeeded';
      expect({ point, executions, results, outcome }).toEqual({ point, executions, results: 1, outcome: expected });
      unproven += executions === 0 ? 1 : 0;
      const attempt = bench.result('a')?.attempt?.number ?? 0;
      expect(bench.result('a')?.attempts.map(({ number }) => number)).toEqual(attempt === 2 ? [1] : []);
    });
    expect(unproven).toBeLessThanOrEqual(2);
  });

  it.each([
    ['its journal entry', (bench: StoryBench) => bench.journal.change((entries) => entries.clear())],
    ['the whole journal', (bench: StoryBench) => bench.journal.deleteAll()],
  ])('makes no second run where somebody deletes %s meanwhile (R4)', async (_, meanwhile) => {
    await everywhere({ stride: 3, meanwhile }, (bench, point) => {
      const { executions, results, outcome } = traces(bench);
      expect({ point, executions, results, outcome }).toEqual({
        point,
        executions: 1,
        results: 1,
        outcome: 'succeeded',
      });
    });
  });

  it('makes no second run where the engine forgets all, or its own notes are lost', async () => {
    const losses = [
      (bench: StoryBench) => bench.engine.forgetAll(),
      (bench: StoryBench) => bench.records.files.clear(),
      (bench: StoryBench) => [bench.engine.forgetAll(), bench.records.files.clear()],
    ];
    for (const meanwhile of losses) {
      await everywhere({ stride: 4, meanwhile, behaviour: { runMs: 500 } }, (bench, point) => {
        const { executions, results } = traces(bench);
        expect([point, executions <= 1, results]).toEqual([point, true, 1]);
        const isHonest = executions === 1 || bench.result('a')?.outcome === 'unknown';
        expect([point, isHonest]).toEqual([point, true]);
      });
    }
  });

  it('makes one run of two dispatchers, wherever the first dies (R4)', async () => {
    for (let point = 0; point < 100; point += 7) {
      const bench = benchOf({});
      const [one, two] = [bench.process(), bench.process({ dispatcher: 'edge-2' })];
      const killed = one.gate.killAt(point);
      await bench.drive(Promise.all([Promise.race([killed, one.daemon.once(never)]), two.daemon.once(never)]));
      one.gate.kill();
      await bench.once();
      expect([point, bench.engine.executions.length, bench.recorded('a')]).toEqual([point, 1, 1]);
    }
  });
});
