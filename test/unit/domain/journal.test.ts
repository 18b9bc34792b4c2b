import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  entryPath,
  type JournalEntry,
  journalDeadline,
  journalEntrySchema,
  tombstonePath,
  tombstoneSchema,
} from '../../../src/domain/journal.ts';

const entry: JournalEntry = {
  id: 'release-v120',
  blob: 'a'.repeat(40),
  formula_blob: 'b'.repeat(64),
  attempt: 1,
  token: '1'.repeat(32),
  dispatcher: 'edge-1',
  instance: 'i',
  claimed_at: '2026-03-31T12:00:00Z',
  timeout_seconds: 60,
  state: 'claimed',
  engine: 'nomad',
  group: null,
  payload_sha256: 'c'.repeat(64),
  accessors: ['x'],
};

describe('journal paths', () => {
  it('lie in a folder of two hex digits of the id', () => {
    const folder = createHash('sha256').update('release-v120').digest('hex').slice(0, 2);
    expect(entryPath('release-v120')).toBe(`${folder}/release-v120.json`);
    expect(tombstonePath('release-v120')).toBe(`ended/${folder}/release-v120.json`);
  });

  it('have a place for the ids of sidecars, which are the only ones with a slash', () => {
    expect(entryPath('sidecar/triage-12-1')).toMatch(/^[0-9a-f]{2}\/sidecar\/triage-12-1\.json$/);
  });
});

describe('journalEntrySchema', () => {
  it('takes an entry, with and without what is optional', () => {
    expect(journalEntrySchema.parse(entry)).toEqual(entry);
    const more = { ...entry, lease_until: '2026-03-31T12:05:00.250Z', run_id: 'vault-runner/x', group: 'release' };
    expect(journalEntrySchema.parse(more)).toEqual(more);
  });

  it.each([
    { id: '' },
    { id: 'x'.repeat(301) },
    { blob: 'abc' },
    { attempt: 0 },
    { attempt: 1.5 },
    { token: 'A'.repeat(32) },
    { dispatcher: '' },
    { claimed_at: 'yesterday' },
    { claimed_at: '2026-03-31T12:00:00+02:00' },
    { timeout_seconds: 0 },
    { state: 'ended' },
    { payload_sha256: '' },
    { accessors: null },
    { secret: 'x' },
  ])('refuses %j', (change) => {
    expect(journalEntrySchema.safeParse({ ...entry, ...change }).success).toBe(false);
  });
});

describe('tombstoneSchema', () => {
  it('takes a tombstone that holds a slot and one that does not', () => {
    const plain = { id: 'a', token: '1'.repeat(32), ended_at: '2026-03-31T12:00:00Z' };
    const held = { ...plain, group: 'release', held_until: '2026-03-31T13:00:00Z' };
    expect([tombstoneSchema.parse(plain), tombstoneSchema.parse(held)]).toEqual([plain, held]);
    expect(tombstoneSchema.safeParse({ ...plain, held_until: 'later' }).success).toBe(false);
  });
});

describe('journalDeadline', () => {
  it('is claim + placement + timeout + two minutes', () => {
    expect(journalDeadline(entry, 600).toISOString()).toBe('2026-03-31T12:13:00.000Z');
  });
});
