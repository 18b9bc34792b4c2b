import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Behaviour } from '../../fakes/dummy-engine.ts';
import { StoryBench } from '../../fakes/story-bench.ts';

const ENDS = {
  succeeded: { outcome: 'succeeded', exit: 0, behaviour: {} },
  failed: { outcome: 'failed', exit: 3, behaviour: { exitCode: 3 } },
  oom: { outcome: 'failed', exit: 137, behaviour: { exitCode: 137, oom: true } },
  wrapper: { outcome: 'failed', exit: 69, behaviour: { exitCode: 69, reason: 'ERR_WRAPPER_USED' } },
  overdue: { outcome: 'timed_out', exit: 124, behaviour: { exitCode: 69, reason: 'ERR_DEADLINE' } },
  lost: { outcome: 'lost', exit: 70, behaviour: { end: 'lost' } },
  unknown: { outcome: 'unknown', exit: 70, behaviour: { end: 'unknown' } },
  unplaced: { outcome: 'timed_out', exit: 124, behaviour: { never: true } },
} as const satisfies Record<string, { outcome: string; exit: number; behaviour: Behaviour }>;
type End = keyof typeof ENDS;

interface Expected {
  readonly executions: number;
  readonly history: readonly (readonly [number, string, number])[];
  /** null: another attempt is due. */
  readonly outcome: string | null;
}

/** What the specification says of attempts that end so. */
function specified(ends: readonly End[], attempts: number): Expected {
  const history: [number, string, number][] = [];
  let executions = 0;
  for (const [index, end] of ends.entries()) {
    const { outcome, exit } = ENDS[end];
    executions += end === 'unplaced' ? 0 : 1;
    const goesOn = end === 'unplaced' || ((end === 'failed' || end === 'oom') && executions < attempts);
    if (!goesOn) return { executions, history, outcome };
    history.push([index + 1, outcome, exit]);
  }
  return { executions, history, outcome: null };
}

async function lived(ends: readonly End[], attempts: number): Promise<Expected> {
  const bench = new StoryBench();
  bench.addFormula('tidy', { idempotent: true });
  bench.addAction('a', { retry: { attempts, on: ['failed'] } });
  for (const end of ends) {
    bench.engine.behaviours.set('a', { runMs: 100, ...ENDS[end].behaviour });
    await bench.once();
    await bench.pass(2 * 3_600_000);
  }
  const [note] = await bench.records.all();
  const result = bench.result('a');
  const attemptsOf = result?.attempts ?? [...(note?.attempts ?? [])];
  const { executions } = bench.engine;
  expect([new Set(executions).size, bench.recorded('a')]).toEqual([executions.length, result === null ? 0 : 1]);
  return {
    executions: executions.length,
    history: attemptsOf.map(({ number, outcome, exit_code }) => [number, outcome, exit_code] as const),
    outcome: result?.outcome ?? null,
  };
}

describe('attempts of an action', () => {
  it('are as many as was asked for and no more, and its result tells all of them (property)', async () => {
    const end = fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom<End>('failed', 'oom', 'unplaced') },
      { weight: 1, arbitrary: fc.constantFrom(...(Object.keys(ENDS) as End[])) },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(end, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 5 }),
        async (ends, attempts) => {
          const { history, ...rest } = specified(ends, attempts);
          const seen = await lived(ends, attempts);
          // As long as another one is due, the last is not history yet.
          const isDue = rest.outcome === null;
          expect(seen).toEqual({ ...rest, history: isDue ? history.slice(0, -1) : history });
        },
      ),
      { numRuns: 15 },
    );
  });
});
