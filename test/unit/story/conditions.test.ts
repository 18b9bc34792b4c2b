import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TransientError } from '../../../src/errors.ts';
import { lastOfEachCycle } from '../../../src/story/conditions.ts';
import { action, StoryBench } from '../../fakes/story-bench.ts';

type Graph = ReadonlyMap<string, readonly string[]>;
/** Letters are committed in the order of the alphabet. */
const age = (id: string) => id.charCodeAt(0);
const edgesOf = (graph: readonly (readonly [string, string])[]): Graph =>
  new Map(graph.map(([id, to]) => [id, to.split('').filter((each) => each !== '')]));
const named = (graph: Record<string, string>) =>
  [...lastOfEachCycle(edgesOf(Object.entries(graph)), age)].toSorted().join('');

/** Takes away what waits for nothing, again and again: what is left is on a circle or waits for one. */
function hasCycle(graph: Graph): boolean {
  const left = new Map(graph);
  for (let before = -1; before !== left.size; ) {
    before = left.size;
    for (const [id, to] of left) if (!to.some((next) => left.has(next))) left.delete(id);
  }
  return left.size > 0;
}

const without = (graph: Graph, gone: ReadonlySet<string>): Graph =>
  new Map(
    [...graph].flatMap(([id, to]) => (gone.has(id) ? [] : [[id, to.filter((next) => !gone.has(next))] as const])),
  );

const letter = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h');
const graphs = fc
  .dictionary(letter, fc.array(letter, { maxLength: 4 }))
  .map((edges): Graph => new Map(Object.entries(edges)));

describe('lastOfEachCycle', () => {
  it.each([
    [{ a: 'b', b: 'a' }, 'b'],
    [{ a: 'b', b: 'c', c: 'a' }, 'c'],
    [{ a: 'a' }, 'a'],
    [{ a: 'b', b: 'a', c: 'd', d: 'c' }, 'bd'],
    // One on two circles is named once, and opens both.
    [{ a: 'c', b: 'c', c: 'ab' }, 'c'],
    // Two circles through the oldest: each has its own youngest.
    [{ a: 'bc', b: 'a', c: 'a' }, 'bc'],
    // Who only waits for a circle is not on it.
    [{ a: 'b', b: 'a', z: 'a' }, 'b'],
    [{ a: 'bc', b: 'c', c: '' }, ''],
    [{ a: 'y' }, ''],
    [{}, ''],
  ] as const)('of %j it names %j', (graph, expected) => {
    expect(named(graph)).toBe(expected);
  });

  it('leaves no circle, whatever the graph is', () => {
    fc.assert(
      fc.property(graphs, (graph) => !hasCycle(without(graph, lastOfEachCycle(graph, age)))),
      { numRuns: 1000 },
    );
  });

  it('names nobody without need: with any of the named put back there is a circle of older ones and it', () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        for (const id of lastOfEachCycle(graph, age)) {
          const younger = new Set([...graph.keys()].filter((other) => other > id));
          const others = without(graph, younger);
          expect(hasCycle(others)).toBe(true);
          expect([...lastOfEachCycle(others, age)]).toContain(id);
        }
      }),
    );
  });

  it('names none of a graph without circles', () => {
    const acyclic = graphs.map(
      (graph): Graph => new Map([...graph].map(([id, to]) => [id, to.filter((next) => next < id)])),
    );
    fc.assert(fc.property(acyclic, (graph) => lastOfEachCycle(graph, age).size === 0));
  });

  it('settles those of one commit by their ids, the same on every host', () => {
    const graph = Object.entries({ a: 'b', b: 'a' });
    const [one, two] = [edgesOf(graph), edgesOf(graph.toReversed())];
    expect([lastOfEachCycle(one, () => 0), lastOfEachCycle(two, () => 0)]).toEqual([new Set(['b']), new Set(['b'])]);
  });
});

describe('conditions of an action', () => {
  it('refuses what has expired, by code and without a run', async () => {
    const bench = new StoryBench();
    bench.addAction('a', { expires_at: '2026-03-31T12:00:00Z' });
    await bench.once();
    expect(bench.result('a')).toMatchObject({ outcome: 'refused', exit_code: 64, reason: { code: 'ERR_EXPIRED' } });
    expect(bench.engine.executions).toEqual([]);
  });

  it('runs until the last second before expires_at, and from the second of not_before', async () => {
    const bench = new StoryBench();
    bench.addAction('a', { not_before: '2026-03-31T12:00:00Z', expires_at: '2026-03-31T12:00:01Z' });
    await bench.once();
    expect(bench.result('a')?.outcome).toBe('succeeded');
  });

  it('waits for not_before', async () => {
    const bench = new StoryBench();
    bench.addAction('a', { not_before: '2026-03-31T12:00:01Z' });
    const { report } = await bench.once();
    expect(report.waiting).toMatchObject([{ id: 'a', reason: { code: 'ERR_NOT_BEFORE' } }]);
    bench.clock.advance(1000);
    await bench.once();
    expect(bench.result('a')?.outcome).toBe('succeeded');
  });

  it('runs a chain of dependencies in its order, in one go', async () => {
    const bench = new StoryBench();
    bench.addAction('c', { depends_on: ['b', 'a'] });
    bench.addAction('b', { depends_on: ['a'] });
    bench.addAction('a');
    const { report } = await bench.once();
    expect(report.results.map(({ id, outcome }) => `${id} ${outcome}`)).toEqual([
      'a succeeded',
      'b succeeded',
      'c succeeded',
    ]);
  });

  it('waits for a dependency that is not there, and refuses after one that did not succeed', async () => {
    const bench = new StoryBench();
    bench.engine.behaviours.set('bad', { exitCode: 3 });
    bench.addAction('bad');
    bench.addAction('after', { depends_on: ['bad'] });
    bench.addAction('later', { depends_on: ['nobody'] });
    const { report } = await bench.once();
    expect(bench.result('after')).toMatchObject({
      outcome: 'refused',
      reason: { code: 'ERR_DEPENDENCY_FAILED', message: 'bad ended failed' },
    });
    expect(report.waiting).toMatchObject([{ id: 'later', reason: { code: 'ERR_DEPENDENCY_WAITING' } }]);
  });

  it('refuses after a result that nobody can read', async () => {
    const bench = new StoryBench();
    bench.repo.commitFiles({ 'vault/actions/a.result.json': '{"outcome":"succeeded"}' });
    bench.addAction('after', { depends_on: ['a'] });
    await bench.once();
    expect(bench.result('after')?.reason).toMatchObject({
      code: 'ERR_DEPENDENCY_FAILED',
      message: 'a ended with a result that is unreadable',
    });
  });

  it('ends a circle at the action that was committed last, and what waited for it is refused', async () => {
    const bench = new StoryBench();
    for (const [id, other] of [
      ['a', 'b'],
      ['b', 'a'],
    ] as const) {
      bench.addAction(id, { depends_on: [other] });
      bench.clock.advance(1000);
    }
    await bench.once();
    expect(bench.result('b')).toMatchObject({ outcome: 'invalid', reason: { code: 'ERR_DEPENDENCY_CYCLE' } });
    expect(bench.result('a')).toMatchObject({ outcome: 'refused', reason: { code: 'ERR_DEPENDENCY_FAILED' } });
  });

  it('believes no date of a commit when it looks for the last one of a circle (R1)', async () => {
    const bench = new StoryBench();
    bench.addAction('a', { depends_on: ['b'] });
    bench.repo.commitFiles({ 'vault/actions/b.toml': action('b', { depends_on: ['a'] }) }, 'b', '1970-01-01T00:00:00Z');
    await bench.once();
    expect(bench.result('b')).toMatchObject({ outcome: 'invalid', reason: { code: 'ERR_DEPENDENCY_CYCLE' } });
  });

  it('looks for circles again after an outage, though nothing has changed (E2)', async () => {
    const bench = new StoryBench();
    bench.addAction('a');
    const { daemon, gate } = bench.process();
    // The third read: policy and formula come first.
    let reads = 0;
    gate.plan((call, when) => {
      if (call !== 'opsRepo.read' || when !== 'before') return null;
      reads += 1;
      return reads === 4 ? new TransientError('ERR_CACHE_DAMAGED', 'gone') : null;
    });
    const { signal } = new AbortController();
    expect((await bench.drive(daemon.once(signal))).waiting).toMatchObject([{ reason: { code: 'ERR_CACHE_DAMAGED' } }]);
    expect((await bench.drive(daemon.once(signal))).results).toMatchObject([{ id: 'a', outcome: 'succeeded' }]);
  });

  it('waits where the journal says that it has ended, though the branch never held a result of it (R4)', async () => {
    const bench = new StoryBench();
    bench.addAction('a');
    bench.journal.change((_, ended) =>
      ended.set('a', { id: 'a', token: '0'.repeat(32), ended_at: '2026-03-31T11:00:00Z' }),
    );
    const { report } = await bench.once();
    expect(report.waiting).toMatchObject([{ id: 'a', reason: { code: 'ERR_ALREADY_RECORDED' } }]);
    expect(bench.access.wrappers.size).toBe(0);
  });

  it('waits where the branch was rewritten, until that is accepted (R4)', async () => {
    const bench = new StoryBench();
    bench.addAction('a');
    bench.repo.descends = false;
    const { report } = await bench.once();
    expect(report.waiting).toMatchObject([{ id: 'a', reason: { code: 'ERR_HISTORY_DIVERGED' } }]);
    await bench.repo.acceptHistory();
    await bench.once();
    expect(bench.result('a')?.outcome).toBe('succeeded');
  });
});
