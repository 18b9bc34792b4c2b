import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { emptyState, JournalDraft, type JournalState } from '../../../../src/adapters/ops-repo/journal-draft.ts';
import { lossesOf } from '../../../../src/adapters/ops-repo/journal-losses.ts';
import { entryPath, type JournalEntry, type Tombstone, tombstonePath } from '../../../../src/domain/journal.ts';

const SIGNS = { endedAfter: new Date('2026-03-01T00:00:00Z'), isOld: false };
const OWNER = { dispatcher: 'edge-1', instance: 'now' };

function entry(id: string, fields: Partial<JournalEntry> = {}): JournalEntry {
  const oid = 'a'.repeat(40);
  return {
    id,
    blob: oid,
    formula_blob: oid,
    attempt: 1,
    token: '1'.repeat(32),
    dispatcher: 'edge-2',
    instance: 'other',
    claimed_at: '2026-03-31T12:00:00.000Z',
    timeout_seconds: 60,
    state: 'claimed',
    engine: 'nomad',
    group: null,
    payload_sha256: 'b'.repeat(64),
    accessors: [],
    ...fields,
  };
}

const tombstone = (id: string, ended_at = '2026-03-31T12:00:00.000Z'): Tombstone => ({
  id,
  token: '1'.repeat(32),
  ended_at,
});

function state(entries: readonly JournalEntry[], ended: readonly Tombstone[] = []): JournalState {
  const paths = [...entries.map(({ id }) => entryPath(id)), ...ended.map(({ id }) => tombstonePath(id))];
  return {
    entries: new Map(entries.map((one) => [one.id, one])),
    ended: new Map(ended.map((one) => [one.id, one])),
    damaged: [],
    paths: new Set(paths),
  };
}

describe('what a journal has lost', () => {
  it.each([
    ['everything', state([entry('a')], [tombstone('b')]), emptyState, ['a', 'b']],
    ['an entry', state([entry('a'), entry('b')]), state([entry('b')]), ['a', 'b']],
    [
      'the next attempt of an entry',
      state([entry('a', { attempt: 2, token: '2'.repeat(32) })]),
      state([entry('a')]),
      ['a'],
    ],
    ['a tombstone, so that its entry is back', state([], [tombstone('a')]), state([entry('a')]), ['a']],
  ])('is seen when it was %s (R4)', (_, before, now, ids) => {
    const losses = lossesOf(before, now, SIGNS);
    expect([...(losses?.entries ?? []), ...(losses?.tombstones ?? [])].map(({ id }) => id)).toEqual(ids);
  });

  it.each([
    ['an entry became its tombstone', state([entry('a')]), state([], [tombstone('a')])],
    ['the next attempt came', state([entry('a')]), state([entry('a', { attempt: 2, token: '2'.repeat(32) })])],
    ['another process adopted it', state([entry('a')]), state([entry('a', { instance: 'newer' })])],
    ['a tombstone was too old', state([], [tombstone('a', '2026-02-01T00:00:00.000Z')]), emptyState],
    ['a file of it can not be read', state([entry('a')]), { ...emptyState, paths: new Set([entryPath('a')]) }],
    ['something came to it', emptyState, state([entry('a')], [tombstone('b')])],
  ])('is nothing when %s', (_, before, now) => {
    expect(lossesOf(before, now, SIGNS)).toBeNull();
  });

  it('is who held an entry, where the ref stands at a commit that it had left (R4)', () => {
    const [before, now] = [state([entry('a', { instance: 'newer' })]), state([entry('a')])];
    expect(lossesOf(before, now, SIGNS)).toBeNull();
    const losses = lossesOf(before, now, { ...SIGNS, isOld: true });
    expect(losses?.entries.map(({ instance }) => instance)).toEqual(['newer']);
  });

  it('overrides nobody where a tombstone alone is gone: another one may find it too old sooner', () => {
    const before = state([entry('a', { instance: 'older' })], [tombstone('b')]);
    const losses = lossesOf(before, state([entry('a', { instance: 'newer' })]), SIGNS);
    expect([losses?.entries, losses?.tombstones.map(({ id }) => id)]).toEqual([[], ['b']]);
  });

  it('is put back, and what has come since stays; nothing is missing after that (R4)', () => {
    const ids = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { maxLength: 5 });
    const states = fc.tuple(ids, ids).map(([open, over]) => {
      const live = open.filter((id) => !over.includes(id)).map((id) => entry(id));
      return state(
        live,
        over.map((id) => tombstone(id)),
      );
    });
    fc.assert(
      fc.property(states, states, (before, now) => {
        const losses = lossesOf(before, now, SIGNS);
        const draft = new JournalDraft(now, OWNER);
        if (losses !== null) draft.restore(losses);
        const written = new Set(draft.writes.flatMap(({ path, content }) => (content === null ? [] : [path])));
        const after = new Set([...now.paths, ...written]);
        for (const { path, content } of draft.writes) if (content === null) after.delete(path);
        for (const id of [...before.ended.keys(), ...now.ended.keys()]) expect(after).toContain(tombstonePath(id));
        for (const id of [...before.entries.keys(), ...now.entries.keys()]) {
          const isThere = after.has(entryPath(id));
          const isOver = losses !== null ? after.has(tombstonePath(id)) : now.ended.has(id);
          expect(isThere || isOver).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });
});
