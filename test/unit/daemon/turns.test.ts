import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseStarts, type Holder } from '../../../src/daemon/slots.ts';
import type { Wanting } from '../../../src/daemon/turns.ts';

const wants = (id: string, author: string, more: Partial<Wanting> = {}): Wanting => {
  return { id, author, group: null, groupLimit: 1, priority: 50, committedAt: '2026-03-31T12:00:00Z', ...more };
};
const holds = (id: string): Holder => ({ id, group: null, live: true });

describe('the turns of authors', () => {
  it('give each author a slot before anybody gets another one, by priority among equals (R19)', () => {
    const wanting = [
      wants('ann-1', 'ann', { priority: 99 }),
      wants('ann-2', 'ann', { priority: 98 }),
      wants('ann-3', 'ann', { priority: 97 }),
      wants('bob-1', 'bob', { priority: 1 }),
      wants('eve-2', 'eve', { priority: 5, committedAt: '2026-03-31T12:00:02Z' }),
      wants('eve-1', 'eve', { priority: 5, committedAt: '2026-03-31T12:00:01Z' }),
    ];
    const { start } = chooseStarts(wanting, [], { inFlight: 5, startsLeft: 100 });
    expect(start).toEqual(['ann-1', 'eve-1', 'bob-1', 'ann-2', 'eve-2']);
  });

  it('begin with whom the fewest slots belong to already', () => {
    const holders = [holds('x'), holds('y'), holds('z')];
    const authors = new Map([
      ['x', 'ann'],
      ['y', 'ann'],
      ['z', 'bob'],
    ]);
    const wanting = [wants('ann-1', 'ann', { priority: 99 }), wants('bob-1', 'bob'), wants('bob-2', 'bob')];
    const { start } = chooseStarts(
      wanting,
      holders,
      { inFlight: 5, startsLeft: 100 },
      {
        authorOf: authors,
        last: new Map(),
      },
    );
    expect(start).toEqual(['bob-1', 'ann-1']);
  });

  it('are not taken by what its group holds back', () => {
    const wanting = [
      wants('ann-1', 'ann', { group: 'g', priority: 99 }),
      wants('ann-2', 'ann', { group: 'g', priority: 98 }),
      wants('ann-3', 'ann'),
      wants('bob-1', 'bob', { priority: 1 }),
    ];
    const { start, held } = chooseStarts(wanting, [{ id: 'x', group: 'g', live: false }], {
      inFlight: 1,
      startsLeft: 100,
    });
    expect([start, held.get('ann-1')?.code]).toEqual([['ann-3'], 'ERR_GROUP']);
  });

  it('starve nobody: an action starts after at most one of each other author for each slot, whatever they push (R19)', () => {
    const author = fc.constantFrom('ann', 'bob', 'eve', 'joe');
    const others = fc.array(fc.record({ author, priority: fc.integer({ min: 1, max: 100 }) }), { maxLength: 60 });
    fc.assert(
      fc.property(others, fc.integer({ min: 1, max: 5 }), (pushed, inFlight) => {
        const waiting = new Map(
          pushed.map((each, index) => [`${index}`, wants(`${index}`, each.author, { priority: each.priority })]),
        );
        waiting.set('mine', wants('mine', 'me', { priority: 1, committedAt: '2027-01-01T00:00:00Z' }));
        const running: Wanting[] = [];
        const last = new Map<string, number>();
        let before = 0;
        while (waiting.has('mine')) {
          const holders = running.map(({ id }) => holds(id));
          const authorOf = new Map(running.map((each) => [each.id, each.author]));
          const limits = { inFlight, startsLeft: 100 };
          const { start } = chooseStarts([...waiting.values()], holders, limits, { authorOf, last });
          for (const id of start) {
            const one = waiting.get(id);
            if (one === undefined) continue;
            running.push(one);
            last.set(one.author, (before += 1));
            waiting.delete(id);
          }
          running.shift();
        }
        expect(before).toBeLessThanOrEqual(inFlight + 4);
      }),
    );
  });

  it('leave no slot empty while somebody wants one, and share them evenly (R19)', () => {
    const author = fc.constantFrom('ann', 'bob', 'eve');
    fc.assert(
      fc.property(fc.array(author, { maxLength: 40 }), fc.nat(20), (pushed, inFlight) => {
        const wanting = pushed.map((each, index) => wants(`${index}`, each));
        const { start } = chooseStarts(wanting, [], { inFlight, startsLeft: 100 });
        expect(start).toHaveLength(Math.min(inFlight, wanting.length));
        const count = (ids: readonly string[], name: string) => ids.filter((id) => pushed[Number(id)] === name).length;
        const got = ['ann', 'bob', 'eve'].map((name) => [
          count(start, name),
          count(
            wanting.map(({ id }) => id),
            name,
          ),
        ]);
        // Who got fewer than somebody else by more than one wanted no more.
        const most = Math.max(...got.map(([have = 0]) => have));
        expect(got.filter(([have = 0, wanted = 0]) => have < most - 1 && have < wanted)).toEqual([]);
      }),
    );
  });
});
