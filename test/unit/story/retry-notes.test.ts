import { describe, expect, it } from 'vitest';
import type { AttemptRecord } from '../../../src/domain/attempt-record.ts';
import { claimedNotes } from '../../../src/story/retry-notes.ts';
import { claimed } from '../../fakes/claimed-attempt.ts';

const { record } = await claimed();
const note = (id: string, attempt: number, isClaimed: boolean): AttemptRecord => ({
  ...record,
  claimed: isClaimed,
  entry: { ...record.entry, id, attempt },
});
const known = (...notes: AttemptRecord[]) => [...claimedNotes(notes)].map(([id, { entry }]) => [id, entry.attempt]);

describe('the notes of this host', () => {
  it('tell the last attempt of each action that was claimed', () => {
    expect(known(note('a', 2, true), note('a', 1, true), note('b', 1, true), note('c', 1, false))).toEqual([
      ['a', 2],
      ['b', 1],
    ]);
  });

  it('take an attempt for claimed when that before it has gone, because only its claim removes it', () => {
    expect(known(note('a', 1, true), note('a', 2, false))).toEqual([['a', 1]]);
    expect(known(note('a', 2, false))).toEqual([['a', 2]]);
  });
});
