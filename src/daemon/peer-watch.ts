import type { JournalEntry } from '../domain/journal.ts';
import { LONGEST_STEP_MS, SILENCE_MS } from '../domain/lease.ts';

interface Seen {
  readonly sign: string;
  /** How long nothing has changed, of the time that counts. */
  readonly silentMs: number;
}

/**
 * For how long nothing of each peer has changed in the journal. Only time between two looks that both succeeded counts,
 * and at most LONGEST_STEP_MS of it: what the reader slept through, or could not see, says nothing of others.
 */
export class PeerWatch {
  #seen = new Map<string, Seen>();
  #lookedAt: number | null = null;

  /**
   * After a look. `held`: all entries of each peer that has any. `asked`, `answered`: monotonic, around the reading.
   * Answers the peers that have been silent for SILENCE_MS.
   */
  look(
    held: ReadonlyMap<string, readonly JournalEntry[]>,
    { asked, answered }: { readonly asked: number; readonly answered: number },
  ): readonly string[] {
    const step = this.#lookedAt === null ? 0 : Math.min(Math.max(asked - this.#lookedAt, 0), LONGEST_STEP_MS);
    this.#lookedAt = answered;
    const now = new Map<string, Seen>();
    for (const [peer, entries] of held) {
      const sign = signOf(entries);
      const before = this.#seen.get(peer);
      now.set(peer, { sign, silentMs: before?.sign === sign ? before.silentMs + step : 0 });
    }
    this.#seen = now;
    return [...now].filter(([, { silentMs }]) => silentMs >= SILENCE_MS).map(([peer]) => peer);
  }

  /** A look that failed: the time up to the next one does not count. */
  missed(): void {
    this.#lookedAt = null;
  }

  /** Begins anew with this peer. */
  forget(peer: string): void {
    this.#seen.delete(peer);
  }
}

/** Whatever its holder writes, a sign, a claim or an end, is another text. */
function signOf(entries: readonly JournalEntry[]): string {
  const each = entries.map(({ id, token, instance, lease_until = '' }) => [id, token, instance, lease_until].join(' '));
  return each.toSorted().join('\n');
}
