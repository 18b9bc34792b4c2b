import { describe, expect, it } from 'vitest';
import { PeerWatch } from '../../../src/daemon/peer-watch.ts';
import type { JournalEntry } from '../../../src/domain/journal.ts';
import { LONGEST_STEP_MS, RENEW_MS, SILENCE_MS } from '../../../src/domain/lease.ts';
import { journalEntry } from '../../fakes/ops-repo.ts';

const held = (changes: Partial<JournalEntry> = {}) =>
  new Map([['edge-2', [journalEntry('a', { dispatcher: 'edge-2', lease_until: '2026-01-01T00:00:00Z', ...changes })]]]);
/** A look that takes no time. */
const at = (time: number) => ({ asked: time, answered: time });

describe('the silence of a peer', () => {
  it('is called so after the whole of it, and not before', () => {
    const watch = new PeerWatch();
    const looks = Array.from({ length: SILENCE_MS / RENEW_MS + 1 }, (_, look) =>
      watch.look(held(), at(look * RENEW_MS)),
    );
    expect(looks.map((silent) => silent.length)).toEqual([...looks.slice(1).map(() => 0), 1]);
  });

  it.each([
    ['a sign of life', { lease_until: '2026-01-01T00:00:01Z' }],
    ['another instance', { instance: 'restarted' }],
    ['another attempt', { token: '2'.repeat(32) }],
  ])('ends with %s', (_, changes) => {
    const watch = new PeerWatch();
    for (let time = 0; time < SILENCE_MS; time += RENEW_MS) watch.look(held(), at(time));
    expect(watch.look(held(changes), at(SILENCE_MS))).toEqual([]);
  });

  it('counts what the reader slept for no more than one step (E8)', () => {
    const watch = new PeerWatch();
    watch.look(held(), at(0));
    const looks = [1, 2, 3, 4].map((hours) => watch.look(held(), at(hours * 3_600_000)));
    expect(looks.map((silent) => silent.length)).toEqual([0, 0, 0, SILENCE_MS <= 4 * LONGEST_STEP_MS ? 1 : 0]);
  });

  it('does not count the time around a look that failed, nor time that runs backwards (R18)', () => {
    const watch = new PeerWatch();
    let time = 0;
    for (let look = 0; look < 100; look += 1) {
      time += look % 3 === 0 ? -RENEW_MS : RENEW_MS;
      watch.look(held(), at(time));
      watch.missed();
    }
    expect(watch.look(held(), at(time + RENEW_MS))).toEqual([]);
  });

  it('does not count the time that the readings themselves took', () => {
    const watch = new PeerWatch();
    for (let turn = 0; turn < 50; turn += 1) {
      expect(watch.look(held(), { asked: turn * 20_000, answered: (turn + 1) * 20_000 })).toEqual([]);
    }
  });
});
