import { describe, expect, it } from 'vitest';
import { takeIfSilent } from '../../../src/cli/take-over-look.ts';
import { AWAITS_ADOPTION, type JournalEntry } from '../../../src/domain/journal.ts';
import { MemoryJournal, MemoryJournalRef } from '../../fakes/memory-journal.ts';
import { journalEntry } from '../../fakes/ops-repo.ts';
import { StoryBench } from '../../fakes/story-bench.ts';

const SIGN = '2026-03-31T12:00:00.000Z';

/** The command of edge-1 over a journal with these entries; `meanwhile` happens ten seconds later. */
async function called(held: readonly JournalEntry[], meanwhile: (ref: MemoryJournalRef) => void = () => undefined) {
  const bench = new StoryBench();
  const ref = new MemoryJournalRef();
  ref.change((entries) => {
    for (const entry of held) entries.set(entry.id, entry);
  });
  const journal = new MemoryJournal(ref, { dispatcher: 'edge-1', instance: 'of the command' });
  void bench.clock.sleep(10_000).then(() => meanwhile(ref));
  const looks: number[] = [];
  const wish = {
    from: 'edge-2',
    to: 'edge-1',
    engine: 'subprocess',
    signal: new AbortController().signal,
    onLook: (ms: number) => void looks.push(ms),
  };
  const looked = await bench.drive(takeIfSilent(journal, bench.clock, wish));
  return { ...looked, looks, after: ref.state.entries };
}

const theirs = (id: string, changes: Partial<JournalEntry> = {}) =>
  journalEntry(id, { dispatcher: 'edge-2', instance: 'theirs', engine: 'subprocess', ...changes });

describe('what a dead dispatcher held', () => {
  it('is given to this one to adopt, at once where it gave no signs of life', async () => {
    const { kind, looks, after } = await called([
      theirs('a'),
      theirs('b'),
      journalEntry('c', { dispatcher: 'edge-3' }),
    ]);
    expect([kind, looks]).toEqual(['taken', []]);
    expect(after.get('a')).toEqual(
      theirs('a', { dispatcher: 'edge-1', instance: AWAITS_ADOPTION, taken_from: 'edge-2' }),
    );
    expect([after.get('b')?.dispatcher, after.get('c')?.dispatcher]).toEqual(['edge-1', 'edge-3']);
  });

  it('is looked at for two signs, and taken without its lease when there is none', async () => {
    const { kind, looks, after } = await called([theirs('a', { lease_until: SIGN })]);
    expect([kind, looks, after.get('a')?.lease_until]).toEqual(['taken', [45_000], undefined]);
  });

  it('stays where it is when anything of it changes during the look', async () => {
    const { kind, after } = await called([theirs('a', { lease_until: SIGN }), theirs('b')], (ref) => {
      ref.change((entries) => entries.set('a', theirs('a', { lease_until: '2026-03-31T12:00:20.000Z' })));
    });
    expect([kind, after.get('a')?.dispatcher, after.get('b')?.dispatcher]).toEqual(['alive', 'edge-2', 'edge-2']);
  });

  it('on another engine is left alone', async () => {
    const { kind, entries, left, after } = await called([theirs('a', { engine: 'nomad' })]);
    expect([kind, entries, left.length, after.get('a')?.dispatcher]).toEqual(['nothing', [], 1, 'edge-2']);
  });
});
