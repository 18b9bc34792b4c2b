import { describe, expect, it } from 'vitest';
import type { Behaviour } from '../../../fakes/dummy-engine.ts';
import { SidecarBench } from '../../../fakes/sidecar-bench.ts';

/*
 * Kill -9 before and after every single call of every port, then a new start: one run of the issue, one result (S2.3).
 */

const ID = 'sidecar/reproduce-1-1';
const never = new AbortController().signal;

interface Scenario {
  readonly behaviour?: Behaviour;
  /** Dies at every so many-th point only. */
  readonly stride?: number;
  /** What happens to the outside before the new start. */
  readonly meanwhile?: (bench: SidecarBench) => void;
}

function benchOf({ behaviour }: Scenario): SidecarBench {
  const bench = new SidecarBench();
  bench.issues.forge.open('dev', { title: 'it crashes', labels: ['bug-report'] });
  bench.engine.behaviours.set(ID, { queuedMs: 100, runMs: 300, ...behaviour });
  return bench;
}

/** Dies at the points there are, each time on a fresh bench. */
async function everywhere(scenario: Scenario, check: (bench: SidecarBench, point: number) => void): Promise<number> {
  for (let point = 0; ; point += scenario.stride ?? 1) {
    const bench = benchOf(scenario);
    const first = bench.process();
    const killed = first.gate.killAt(point);
    const end = await bench.drive(Promise.race([killed, first.daemon.once(never)]));
    first.gate.kill();
    if (end === 'killed') scenario.meanwhile?.(bench);
    await bench.once();
    check(bench, point);
    if (end !== 'killed') return point;
  }
}

const traces = (bench: SidecarBench) => ({
  executions: bench.engine.executions.length,
  results: bench.recorded(ID),
  entries: bench.journal.state.entries.size,
  tombstones: [...bench.journal.state.ended.keys()],
  notes: bench.records.files.size,
  runs: bench.engine.known,
});

const CLEAN = { results: 1, entries: 0, tombstones: [ID], notes: 0, runs: 0 };

describe('a dispatcher that is killed anywhere', () => {
  it('runs an issue once and records it once (S2.3)', async () => {
    const points = await everywhere({ stride: 2 }, (bench, point) => {
      expect({ point, ...traces(bench) }).toEqual({ point, ...CLEAN, executions: 1 });
      expect(bench.result(ID)).toMatchObject({ outcome: 'succeeded', sidecar: { repo: 'ops/code', issue: 1 } });
    });
    expect(points).toBeGreaterThan(50);
  });

  it('runs it once where engine and notes are lost meanwhile, or says that nobody knows (S2.3)', async () => {
    const meanwhile = (bench: SidecarBench) => [bench.engine.forgetAll(), bench.records.files.clear()];
    await everywhere({ meanwhile, behaviour: { runMs: 500 }, stride: 3 }, (bench, point) => {
      const { executions, results } = traces(bench);
      expect([point, executions <= 1, results]).toEqual([point, true, 1]);
    });
  });

  it('tells a run that was never placed, and begins no second attempt at it (S2.4)', async () => {
    await everywhere({ behaviour: { queuedMs: 5000, never: true }, stride: 3 }, (bench, point) => {
      expect({ point, ...traces(bench) }).toEqual({ point, ...CLEAN, executions: 0 });
      expect(['timed_out', 'unknown']).toContain(bench.result(ID)?.outcome);
    });
  });

  it('makes one run of two dispatchers, wherever the first dies (S2.3)', async () => {
    for (let point = 0; point < 80; point += 5) {
      const bench = benchOf({});
      const [one, two] = [bench.process(), bench.process({ dispatcher: 'edge-2' })];
      const killed = one.gate.killAt(point);
      await bench.drive(Promise.all([Promise.race([killed, one.daemon.once(never)]), two.daemon.once(never)]));
      one.gate.kill();
      await bench.once();
      expect([point, bench.engine.executions.length, bench.recorded(ID)]).toEqual([point, 1, 1]);
      expect([...bench.journal.state.ended.keys()]).toEqual([ID]);
    }
  });
});
