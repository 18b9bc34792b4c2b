import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseStarts, type Holder, holdersOf } from '../../../src/daemon/slots.ts';
import type { Wanting } from '../../../src/daemon/turns.ts';
import type { JournalEntry, Tombstone } from '../../../src/domain/journal.ts';

const wants = (id: string, more: Partial<Wanting> = {}): Wanting => {
  return { id, group: null, groupLimit: 1, priority: 50, committedAt: '2026-03-31T12:00:00Z', author: 'jo', ...more };
};
const holds = (id: string, more: Partial<Holder> = {}): Holder => ({ id, group: null, live: true, ...more });
const limits = { inFlight: 2, startsLeft: 100 };

describe('chooseStarts', () => {
  it('gives the free slots to the highest priority, then first in, first out, then by id (R19)', () => {
    const wanting = [
      wants('late', { committedAt: '2026-03-31T12:00:01Z' }),
      wants('b'),
      wants('a'),
      wants('urgent', { priority: 51, committedAt: '2026-04-01T00:00:00Z' }),
      wants('idle', { priority: 1, committedAt: '2025-01-01T00:00:00Z' }),
    ];
    const { start, held } = chooseStarts(wanting, [], { inFlight: 4, startsLeft: 100 });
    expect(start).toEqual(['urgent', 'a', 'b', 'late']);
    expect([...held]).toEqual([['idle', { code: 'ERR_SLOT', message: 'all 4 slots are taken' }]]);
  });

  it('counts who holds a slot, and not who only waits for its result', () => {
    const holders = [holds('x'), holds('y', { live: false })];
    expect(chooseStarts([wants('a'), wants('b')], holders, limits).start).toEqual(['a']);
  });

  it('holds back a group that is full, and lets others pass', () => {
    const wanting = [wants('a', { group: 'g' }), wants('b', { group: 'g' }), wants('c')];
    const { start, held } = chooseStarts(wanting, [], limits);
    expect([start, held.get('b')]).toEqual([['a', 'c'], { code: 'ERR_GROUP', message: 'group g has 1 of 1 running' }]);
    expect(chooseStarts(wanting, [holds('x', { group: 'g', live: false })], limits).start).toEqual(['c']);
    expect(
      chooseStarts([wants('a', { group: 'g', groupLimit: 2 })], [holds('x', { group: 'g' })], limits).start,
    ).toEqual(['a']);
  });

  it('starts no more than the minute allows (R20)', () => {
    const { start, held } = chooseStarts([wants('a'), wants('b')], [], { inFlight: 9, startsLeft: 1 });
    expect([start, held.get('b')?.message]).toEqual([['a'], 'dispatches_per_minute is used up for this minute']);
  });

  it('gives the next attempt of an action the place of the one before it (R6)', () => {
    const one = { inFlight: 1, startsLeft: 100 };
    expect(chooseStarts([wants('a', { group: 'g' })], [holds('a', { group: 'g' })], one).start).toEqual(['a']);
    // And to nobody else, though it is later.
    const wanting = [
      wants('b', { group: 'g', priority: 99 }),
      wants('c', { priority: 99 }),
      wants('a', { group: 'g' }),
    ];
    expect(chooseStarts(wanting, [holds('a', { group: 'g' })], one).start).toEqual(['a']);
    expect(chooseStarts([wants('a', { group: 'g' })], [holds('a'), holds('x', { group: 'g' })], one).start).toEqual([]);
  });

  it('never exceeds in_flight or a group, starts nobody twice, and leaves nobody out without need (R19)', () => {
    const id = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h');
    const group = fc.constantFrom(null, 'g', 'h');
    const wanting = fc.uniqueArray(fc.record({ id, group, priority: fc.integer({ min: 1, max: 3 }) }), {
      selector: (each) => each.id,
    });
    const holders = fc.uniqueArray(fc.record({ id, group, live: fc.boolean() }), { selector: (each) => each.id });
    const limit = fc.record({ g: fc.integer({ min: 1, max: 3 }), h: fc.integer({ min: 1, max: 3 }) });
    fc.assert(
      fc.property(wanting, holders, limit, fc.nat(6), (some, others, groupLimits, inFlight) => {
        // The attempt before is of the same formula.
        const holding = others.map((each) => ({ ...each, ...some.find((other) => other.id === each.id) }));
        const limitOf = (each: string | null) => (each === null ? 1 : groupLimits[each as 'g' | 'h']);
        const all = some.map((each) => wants(each.id, { ...each, groupLimit: limitOf(each.group) }));
        const { start, held } = chooseStarts(all, holding, { inFlight, startsLeft: 100 });
        expect([...start, ...held.keys()].toSorted()).toEqual(all.map((each) => each.id).toSorted());
        const after = [
          ...holding.filter((each) => !start.includes(each.id)),
          ...all.filter((each) => start.includes(each.id)).map((each) => holds(each.id, { group: each.group })),
        ];
        const live = (list: readonly Holder[]) => list.filter((each) => each.live).length;
        const inGroup = (list: readonly Holder[], name: string) => list.filter((each) => each.group === name).length;
        expect(live(after)).toBeLessThanOrEqual(Math.max(inFlight, live(holding)));
        for (const name of ['g', 'h']) {
          expect(inGroup(after, name)).toBeLessThanOrEqual(Math.max(limitOf(name), inGroup(holding, name)));
        }
        // Who is held back is held back by what is full.
        const needless = [...held].filter(([waits, why]) => {
          if (why.code === 'ERR_SLOT') return live(after) < inFlight;
          const name = all.find((each) => each.id === waits)?.group ?? null;
          return name === null || inGroup(after, name) < limitOf(name);
        });
        expect(needless).toEqual([]);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('holdersOf', () => {
  const now = new Date('2026-03-31T12:00:00Z');
  const own = { dispatcher: 'edge-1', now };
  const entry = (id: string, more: Partial<JournalEntry> = {}): JournalEntry => ({
    id,
    blob: 'a'.repeat(40),
    formula_blob: 'b'.repeat(40),
    attempt: 1,
    token: '1'.repeat(32),
    dispatcher: 'edge-1',
    instance: 'i',
    claimed_at: '2026-03-31T11:00:00Z',
    timeout_seconds: 60,
    state: 'claimed',
    engine: 'nomad',
    group: null,
    payload_sha256: 'c'.repeat(64),
    accessors: [],
    ...more,
  });
  const ended = (id: string, more: Partial<Tombstone> = {}): Tombstone => ({
    id,
    token: '1'.repeat(32),
    ended_at: '2026-03-31T11:30:00Z',
    ...more,
  });
  const view = (entries: readonly JournalEntry[], tombstones: readonly Tombstone[] = []) => ({
    entries: new Map(entries.map((each) => [each.id, each])),
    ended: new Map(tombstones.map((each) => [each.id, each])),
    damaged: [],
  });

  it('counts our entries for slots and groups, those of others for groups only', () => {
    const holders = holdersOf(
      view([entry('a', { group: 'g' }), entry('b', { group: 'g', dispatcher: 'edge-2' })]),
      new Map(),
      own,
    );
    expect(holders).toEqual([
      { id: 'a', group: 'g', live: true },
      { id: 'b', group: 'g', live: false },
    ]);
  });

  it('counts a tombstone of lost or unknown until its deadline, to the second (R19)', () => {
    const tombstones = [
      ended('held', { group: 'g', held_until: '2026-03-31T12:00:01Z' }),
      ended('over', { group: 'g', held_until: '2026-03-31T12:00:00Z' }),
      ended('done', { group: 'g' }),
    ];
    expect(holdersOf(view([], tombstones), new Map(), own)).toEqual([{ id: 'held', group: 'g', live: true }]);
  });

  it('believes this process more than the journal it last read', () => {
    const active = new Map([
      ['a', { group: null, live: false }],
      ['new', { group: 'g', live: true }],
    ]);
    expect(holdersOf(view([entry('a')]), active, own)).toEqual([
      { id: 'a', group: null, live: false },
      { id: 'new', group: 'g', live: true },
    ]);
  });

  it('counts an id once', () => {
    expect(holdersOf(view([entry('a')], [ended('a')]), new Map(), own)).toEqual([]);
  });
});
