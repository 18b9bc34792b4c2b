import { describe, expect, it } from 'vitest';
import type { Behaviour } from '../../fakes/dummy-engine.ts';
import { type Process, StoryBench } from '../../fakes/story-bench.ts';

/*
 * Kill -9 before and after every so many-th call of every port, from the first attempt of an action that fails to the end
 * of its second: each attempt is executed once, one result (R4).
 */

const never = new AbortController().signal;
const HOUR = 3_600_000;
const FAILS: Behaviour = { queuedMs: 100, runMs: 300, exitCode: 1 };

/** The first run fails, each later one succeeds. */
function benchOf(attempts: number): StoryBench {
  const bench = new StoryBench();
  bench.addFormula('tidy', { idempotent: true, concurrency: 'one' });
  bench.addAction('a', { retry: { attempts, on: ['failed'] } });
  const { behaviours, executions } = bench.engine;
  behaviours.get = () => (executions.length === 0 ? FAILS : { queuedMs: 100, runMs: 300 });
  return bench;
}

async function twoAttempts(bench: StoryBench, { daemon }: Process): Promise<void> {
  await daemon.once(never);
  await bench.clock.sleep(HOUR);
  await daemon.once(never);
}

/** Dies at that point; then `meanwhile` happens, and new starts bring it to its end. The last answer: it died. */
async function survive(point: number, meanwhile: (bench: StoryBench) => void) {
  const bench = benchOf(2);
  const first = bench.process();
  const killed = first.gate.killAt(point);
  const end = await bench.drive(Promise.race([killed, twoAttempts(bench, first)]));
  first.gate.kill();
  if (end === 'killed') meanwhile(bench);
  for (let starts = 0; starts < 3; starts += 1) {
    await bench.once();
    await bench.pass(HOUR);
  }
  return { bench, died: end === 'killed' };
}

async function everywhere(
  stride: number,
  meanwhile: (bench: StoryBench) => void,
  check: (bench: StoryBench, point: number) => void,
): Promise<number> {
  for (let point = 0; ; point += stride) {
    const { bench, died } = await survive(point, meanwhile);
    check(bench, point);
    if (!died) return point;
  }
}

const executed = ({ engine }: StoryBench) => [engine.executions.length, new Set(engine.executions).size];
/** No attempt twice, one result, and where that says that it succeeded, both attempts ran. */
function expectHonesty(bench: StoryBench, point: number): void {
  const [count = 0, distinct] = executed(bench);
  expect([point, distinct, bench.recorded('a')]).toEqual([point, count, 1]);
  expect([point, bench.result('a')?.outcome === 'succeeded' ? count : 2]).toEqual([point, 2]);
}

const FIRST = { number: 1, outcome: 'failed', exit_code: 1 };

describe('a dispatcher that is killed anywhere between two attempts', () => {
  it('executes each once, and records one result with both (R4)', async () => {
    const points = await everywhere(
      19,
      () => undefined,
      (bench, point) => {
        expect([point, ...executed(bench), bench.recorded('a')]).toEqual([point, 2, 2, 1]);
        expect(bench.result('a')).toMatchObject({ outcome: 'succeeded', attempt: { number: 2 }, attempts: [FIRST] });
        const { entries, ended } = bench.journal.state;
        const { files } = bench.records;
        expect([point, entries.size, ended.size, files.size, bench.engine.known]).toEqual([point, 0, 1, 0, 0]);
      },
    );
    expect(points).toBeGreaterThan(160);
  });

  it('executes each once where the journal is lost meanwhile (R4)', async () => {
    const lose = (bench: StoryBench) => bench.journal.deleteAll();
    await everywhere(43, lose, (bench, point) => {
      expect([point, ...executed(bench), bench.recorded('a')]).toEqual([point, 2, 2, 1]);
      expect(bench.result('a')).toMatchObject({ outcome: 'succeeded', attempt: { number: 2 }, attempts: [FIRST] });
    });
  });

  it('executes none twice where its notes are lost meanwhile, and says what it knows (R4)', async () => {
    const lose = (bench: StoryBench) => bench.records.files.clear();
    await everywhere(43, lose, (bench, point) => {
      expectHonesty(bench, point);
    });
  });

  it('executes none twice beside another dispatcher, wherever the first dies (R4)', async () => {
    for (let point = 3; point < 230; point += 45) {
      const bench = benchOf(2);
      const [one, two] = [bench.process(), bench.process({ dispatcher: 'edge-2' })];
      const killed = one.gate.killAt(point);
      const both = [Promise.race([killed, twoAttempts(bench, one)]), twoAttempts(bench, two)];
      await bench.drive(Promise.all(both));
      one.gate.kill();
      for (const dispatcher of ['edge-1', 'edge-2', 'edge-1', 'edge-2']) {
        await bench.once({ dispatcher });
        await bench.pass(HOUR);
      }
      expectHonesty(bench, point);
    }
  });
});
