import { AWAITS_ADOPTION, type JournalEntry } from '../domain/journal.ts';
import { RENEW_MS } from '../domain/lease.ts';
import type { Clock } from '../ports/clock.ts';
import type { Journal } from '../ports/journal.ts';

export interface Wish {
  readonly from: string;
  /** This dispatcher, and what its engine is. */
  readonly to: string;
  readonly engine: string;
  readonly signal: AbortSignal;
  /** Called once, before a look that takes its time. */
  readonly onLook: (milliseconds: number) => void;
}

/** `left`: of another engine, which this dispatcher can't ask. */
export interface Looked {
  readonly kind: 'nothing' | 'alive' | 'interrupted' | 'taken';
  readonly entries: readonly JournalEntry[];
  readonly left: readonly JournalEntry[];
}

/**
 * Takes what `from` holds, if nothing of it changes during a look: two signs are due in that time from whoever gives any.
 * The entries then await adoption, so that a daemon that runs as `to` is not fenced by them. Safe to repeat. Errors of
 * the journal.
 */
export async function takeIfSilent(journal: Journal, clock: Clock, wish: Wish): Promise<Looked> {
  const { from, to, engine, signal, onLook } = wish;
  const seen = await heldBy(from, journal);
  const left = seen.filter((entry) => entry.engine !== engine);
  const ids = new Set(seen.filter((entry) => entry.engine === engine).map(({ id }) => id));
  const entries = seen.filter(({ id }) => ids.has(id));
  if (entries.length === 0) return { kind: 'nothing', entries, left };
  if (seen.some(({ lease_until }) => lease_until !== undefined)) {
    onLook(LOOK_MS);
    for (let passed = 0; passed < LOOK_MS; passed += STEP_MS) {
      await clock.sleep(STEP_MS, signal);
      if (signal.aborted) return { kind: 'interrupted', entries, left };
      if (textOf(await heldBy(from, journal)) !== textOf(seen)) return { kind: 'alive', entries, left };
    }
  }
  const taken = await journal.takeOver({ from, watched: seen, ids, to: { dispatcher: to, instance: AWAITS_ADOPTION } });
  return { kind: taken.length === 0 ? 'alive' : 'taken', entries, left };
}

const LOOK_MS = 2 * RENEW_MS + 5000;
const STEP_MS = 5000;

async function heldBy(dispatcher: string, journal: Journal): Promise<readonly JournalEntry[]> {
  const { entries } = await journal.refresh();
  const held = [...entries.values()].filter((entry) => entry.dispatcher === dispatcher);
  return held.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

const textOf = (entries: readonly JournalEntry[]): string => JSON.stringify(entries);
