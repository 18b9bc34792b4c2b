import { describe, expect, it } from 'vitest';
import {
  decodeFile,
  emptyState,
  JournalDraft,
  type JournalState,
} from '../../../../src/adapters/ops-repo/journal-draft.ts';
import {
  AWAITS_ADOPTION,
  entryPath,
  type JournalEntry,
  type Tombstone,
  tombstonePath,
} from '../../../../src/domain/journal.ts';
import type { ClaimTerms } from '../../../../src/ports/journal.ts';
import { journalEntry } from '../../../fakes/ops-repo.ts';

const owner = { dispatcher: 'edge-1', instance: 'instance of edge-1' };
const at = new Date('2026-01-01T12:00:00Z');
const terms: ClaimTerms = { groupLimit: 1, replaces: null, now: at };

function stateOf(
  entries: readonly JournalEntry[],
  ended: readonly Tombstone[] = [],
  others: readonly string[] = [],
): JournalState {
  return {
    entries: new Map(entries.map((entry) => [entry.id, entry])),
    ended: new Map(ended.map((tombstone) => [tombstone.id, tombstone])),
    damaged: [],
    paths: new Set([...entries.map(({ id }) => entryPath(id)), ...ended.map(({ id }) => tombstonePath(id)), ...others]),
  };
}

const theirs = (id: string, changes: Partial<JournalEntry> = {}): JournalEntry =>
  journalEntry(id, { dispatcher: 'edge-2', instance: 'theirs', ...changes });
const tombstone = (id: string, changes: Partial<Tombstone> = {}): Tombstone => ({
  id,
  token: '1'.repeat(32),
  ended_at: '2026-01-01T00:00:00Z',
  ...changes,
});

describe('a claim on a state', () => {
  const ours = journalEntry('a');
  const grouped = journalEntry('a', { group: 'g' });
  const next = journalEntry('a', { attempt: 2, token: '2'.repeat(32) });
  const held = tombstone('x', { group: 'g', held_until: '2026-01-01T12:00:01Z' });
  const cases: readonly (readonly [string, JournalState, JournalEntry, ClaimTerms, string])[] = [
    ['of an empty journal', emptyState, ours, terms, 'won'],
    ['that holds it already', stateOf([ours]), ours, terms, 'won'],
    ['that holds it with keys in another order', stateOf([{ ...ours, accessors: [], id: 'a' }]), ours, terms, 'won'],
    ['where another has the id', stateOf([theirs('a')]), ours, terms, 'taken'],
    ['where we have the id with other bytes', stateOf([journalEntry('a', { state: 'running' })]), ours, terms, 'taken'],
    ['where the id has ended', stateOf([], [tombstone('a')]), ours, terms, 'taken'],
    [
      'where the id has ended and is to be replaced',
      stateOf([], [tombstone('a')]),
      next,
      { ...terms, replaces: ours.token },
      'taken',
    ],
    ['where something unreadable has its place', stateOf([], [], [entryPath('a')]), ours, terms, 'taken'],
    ['where its tombstone is unreadable', stateOf([], [], [tombstonePath('a')]), ours, terms, 'taken'],
    ['where our own entry makes room', stateOf([ours]), next, { ...terms, replaces: ours.token }, 'won'],
    [
      'where another entry than the named one is',
      stateOf([ours]),
      next,
      { ...terms, replaces: '3'.repeat(32) },
      'taken',
    ],
    ['where the named entry is not ours', stateOf([theirs('a')]), next, { ...terms, replaces: ours.token }, 'taken'],
    ['where the named entry is gone', emptyState, next, { ...terms, replaces: ours.token }, 'won'],
    ['where the group is full', stateOf([theirs('b', { group: 'g' })]), grouped, terms, 'group-full'],
    ['where the group has room', stateOf([theirs('b', { group: 'g' })]), grouped, { ...terms, groupLimit: 2 }, 'won'],
    ['where another group is full', stateOf([theirs('b', { group: 'h' })]), grouped, terms, 'won'],
    ['without a group beside others without', stateOf([theirs('b')]), ours, terms, 'won'],
    ['where a tombstone holds the slot', stateOf([], [held]), grouped, terms, 'group-full'],
    [
      'where it holds it no more',
      stateOf([], [held]),
      grouped,
      { ...terms, now: new Date('2026-01-01T12:00:01Z') },
      'won',
    ],
    [
      'where another process has our name',
      stateOf([journalEntry('z', { instance: 'another' })]),
      ours,
      terms,
      'fenced',
    ],
  ];

  it.each(cases)('%s', (_, state, entry, ...[given, answer]) => {
    const draft = new JournalDraft(state, owner);
    expect(draft.claim(entry, given)).toBe(answer);
    const isThere = state.entries.get(entry.id)?.token === entry.token;
    const written = answer === 'won' && !isThere ? [entryPath('a')] : [];
    expect(draft.writes.map(({ path }) => path)).toEqual(written);
  });

  it('R19: counts the claims before it in the same group commit', () => {
    const draft = new JournalDraft(emptyState, owner);
    const answers = ['a', 'b', 'c'].map((id) =>
      draft.claim(journalEntry(id, { group: 'g' }), { ...terms, groupLimit: 2 }),
    );
    expect(answers).toEqual(['won', 'won', 'group-full']);
  });
});

describe('the end of an entry', () => {
  it('removes it and leaves a tombstone, once', () => {
    const draft = new JournalDraft(stateOf([journalEntry('a')]), owner);
    draft.end(tombstone('a'));
    draft.end(tombstone('a'));
    expect(draft.writes.map(({ path, content }) => [path, content === null])).toEqual([
      [entryPath('a'), true],
      [tombstonePath('a'), false],
    ]);
  });

  it('of an older attempt leaves the newer one alone', () => {
    const draft = new JournalDraft(stateOf([journalEntry('a', { attempt: 2, token: '2'.repeat(32) })]), owner);
    draft.end(tombstone('a'));
    expect(draft.writes).toEqual([]);
  });

  it('is kept as long as it must be, and not dropped in the commit that writes it', () => {
    const old = tombstone('old');
    const held = tombstone('held', { held_until: '2026-01-02T00:00:00Z' });
    const before = new Date('2026-01-01T06:00:00Z');
    const idle = new JournalDraft(stateOf([], [old, held]), owner);
    idle.dropExpired(before, at);
    expect(idle.writes).toEqual([]);
    const busy = new JournalDraft(
      stateOf([], [old, held, tombstone('young', { ended_at: '2026-01-01T06:00:00Z' })]),
      owner,
    );
    busy.end(tombstone('late'));
    busy.dropExpired(before, at);
    expect(busy.writes.filter(({ content }) => content === null).map(({ path }) => path)).toEqual([
      tombstonePath('old'),
    ]);
  });
});

describe('an update and an adoption', () => {
  it('is written for our own entry only, and not when nothing changes', () => {
    const draft = new JournalDraft(stateOf([journalEntry('a')]), owner);
    expect(draft.update(journalEntry('a'))).toBe(true);
    expect(draft.update(journalEntry('b'))).toBe(false);
    expect(draft.update(journalEntry('a', { token: '2'.repeat(32) }))).toBe(false);
    expect(draft.writes).toEqual([]);
    expect(draft.update(journalEntry('a', { state: 'running' }))).toBe(true);
    expect(draft.writes).toHaveLength(1);
  });

  it('of what another process adopted is an error, of what was taken over from another name is not', () => {
    const draft = new JournalDraft(stateOf([journalEntry('a', { instance: 'another' }), theirs('b')]), owner);
    expect(() => draft.update(journalEntry('a'))).toThrow(expect.objectContaining({ code: 'ERR_FENCED' }));
    expect(draft.update(theirs('b', { instance: owner.instance }))).toBe(true);
  });

  it('writes the instance into all entries of the name and into no other', () => {
    const mine = journalEntry('a', { instance: 'old' });
    const draft = new JournalDraft(stateOf([mine, theirs('b')]), owner);
    expect(draft.adopt({ dispatcher: 'edge-1', instance: 'new' })).toEqual([{ ...mine, instance: 'new' }]);
    expect(draft.adopt({ dispatcher: 'edge-1', instance: 'new' })).toEqual([{ ...mine, instance: 'new' }]);
    expect(draft.writes.map(({ path }) => path)).toEqual([entryPath('a')]);
  });
});

describe('a sign of life', () => {
  const SIGN = '2026-01-01T00:02:00.000Z';

  it('is one file however many entries there are, and all of those that bore none yet', () => {
    const [a, b, c] = ['a', 'b', 'c'].map((id) => journalEntry(id, { lease_until: '2026-01-01T00:00:00Z' }));
    const draft = new JournalDraft(stateOf([b, a, c, theirs('d')].flatMap((entry) => entry ?? [])), owner);
    expect(draft.renew(SIGN)).toBe(3);
    expect(draft.writes.map(({ path }) => path)).toEqual([entryPath('a')]);
    const first = new JournalDraft(stateOf([journalEntry('a'), journalEntry('b')]), owner);
    first.renew(SIGN);
    expect(first.writes).toHaveLength(2);
  });

  it('is given for nothing of another process of our name, and none where there is nothing', () => {
    const draft = new JournalDraft(stateOf([journalEntry('a', { instance: 'another' })]), owner);
    expect([draft.renew(SIGN), draft.writes]).toEqual([0, []]);
  });

  it('leaves a claim that landed before what it was: won', () => {
    const draft = new JournalDraft(stateOf([journalEntry('a', { lease_until: SIGN })]), owner);
    expect([draft.claim(journalEntry('a'), terms), draft.writes]).toEqual(['won', []]);
  });
});

describe('a take-over', () => {
  const watched = [theirs('a', { lease_until: '2026-01-01T00:00:00Z' }), theirs('b')];
  const to = { ...owner, leaseUntil: '2026-01-02T00:00:00.000Z' };
  const take = { from: 'edge-2', watched, ids: new Set(['a']), to };
  const taken = { ...watched[0], ...owner, lease_until: to.leaseUntil, taken_from: 'edge-2' };

  it('gives the named entries, as long as all of them are what was watched; again is the same', () => {
    const draft = new JournalDraft(stateOf(watched), owner);
    expect(draft.takeOver(take)).toEqual([taken]);
    expect(draft.takeOver(take)).toEqual([taken]);
    expect(draft.writes.map(({ path }) => path)).toEqual([entryPath('a')]);
  });

  it.each([
    [
      'a sign on another entry',
      [theirs('a', { lease_until: '2026-01-01T00:00:00Z' }), theirs('b', { state: 'running' })],
    ],
    ['an end', watched.slice(0, 1)],
    ['a new claim', [...watched, theirs('c')]],
    ['a process of our name that fences us', [...watched, journalEntry('z', { instance: 'another' })]],
  ])('takes nothing after %s', (_, entries) => {
    const draft = new JournalDraft(stateOf(entries), owner);
    expect([draft.takeOver(take), draft.writes]).toEqual([[], []]);
  });

  it('by a command is no fence to whoever runs under the name, who adopts it', () => {
    const given = new JournalDraft(stateOf(watched), { dispatcher: 'edge-1', instance: 'of the command' });
    const awaiting = given.takeOver({ ...take, to: { dispatcher: 'edge-1', instance: AWAITS_ADOPTION } });
    expect(awaiting).toMatchObject([{ id: 'a', dispatcher: 'edge-1', instance: AWAITS_ADOPTION }]);
    const draft = new JournalDraft(stateOf([...awaiting, journalEntry('own')]), owner);
    expect(draft.claim(journalEntry('new'), terms)).toBe('won');
    expect(draft.adoptGiven(to)).toMatchObject([
      { id: 'a', instance: owner.instance, lease_until: to.leaseUntil },
      { id: 'own' },
      { id: 'new' },
    ]);
    const fenced = new JournalDraft(stateOf([...awaiting, journalEntry('own', { instance: 'another' })]), owner);
    expect([fenced.adoptGiven(to), fenced.writes]).toEqual([[], []]);
  });

  it('leaves no lease on what is adopted by a process that gives no signs', () => {
    const draft = new JournalDraft(stateOf([journalEntry('a', { lease_until: '2026-01-01T00:00:00Z' })]), owner);
    expect(draft.adopt(owner)).toEqual([journalEntry('a')]);
  });
});

describe('a file of the journal', () => {
  const bytes = (value: unknown): Uint8Array => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));

  it('is an entry or a tombstone at its own place', () => {
    const entry = journalEntry('a');
    expect(decodeFile(entryPath('a'), bytes(entry))).toEqual({ entry });
    expect(decodeFile(tombstonePath('a'), bytes(tombstone('a')))).toEqual({ tombstone: tombstone('a') });
  });

  it.each([
    ['at another place', entryPath('b'), journalEntry('a')],
    ['of the other kind', tombstonePath('a'), journalEntry('a')],
    ['that is no JSON', entryPath('a'), '{'],
    ['with an unknown field', entryPath('a'), { ...journalEntry('a'), extra: 1 }],
    ['that is a list', entryPath('a'), []],
  ])('%s is damaged', (_, path, value) => {
    expect(decodeFile(path, bytes(value))).toEqual({ damage: expect.stringMatching(/./) });
  });

  it('that is too large or no file is damaged', () => {
    expect(decodeFile(entryPath('a'), null)).toEqual({ damage: 'no JSON of a sensible size' });
  });
});
