import type { JournalEntry } from '../domain/journal.ts';
import { leaseUntil, RENEW_MS, SILENCE_MS } from '../domain/lease.ts';
import { type EdgeError, StalledError, TransientError, toError } from '../errors.ts';
import type { Holder, JournalView } from '../ports/journal.ts';
import type { StoryContext } from '../story/context.ts';
import { isLocal } from './checks.ts';
import { PeerWatch } from './peer-watch.ts';

/*
 * Life signs of this daemon in its entries of the journal, and what becomes of the entries of a peer whose signs stop
 * (docs/hand-over.md). Whoever is taken over may be alive all the same: the compare-and-swap decides who holds an entry,
 * and the wrapper who executes.
 */

export interface Peers {
  /** Gives signs, and takes over from whom is silent, until the signal is aborted. */
  run(signal: AbortSignal): Promise<void>;
  /** Only gives signs: who is about to end takes nothing over. */
  giveSigns(signal: AbortSignal): Promise<void>;
}

export interface PeersDeps {
  readonly context: Omit<StoryContext, 'world' | 'tell'>;
  /** There are entries of ours that nobody works on yet. */
  readonly onTaken: () => void;
}

export function createPeers(deps: PeersDeps): Peers {
  return new JournalPeers(deps);
}

/** Who holds our entries from now on; with a sign of life only where there are peers to see it. */
export function ownHolder({ settings, clock }: Pick<StoryContext, 'settings' | 'clock'>): Holder {
  const { dispatcher, instance, peers } = settings;
  return { dispatcher, instance, leaseUntil: peers.length === 0 ? undefined : leaseUntil(clock.now()) };
}

class JournalPeers implements Peers {
  readonly #deps: PeersDeps;
  readonly #watch = new PeerWatch();
  /** Peers of which was said that nothing of theirs can be taken. */
  readonly #said = new Set<string>();
  #trouble: string | null = null;

  constructor(deps: PeersDeps) {
    this.#deps = deps;
  }

  run(signal: AbortSignal): Promise<void> {
    return this.#every(signal, async () => {
      await this.#giveSign();
      await this.#look(signal);
    });
  }

  giveSigns(signal: AbortSignal): Promise<void> {
    return this.#every(signal, () => this.#giveSign());
  }

  async #every(signal: AbortSignal, turn: () => Promise<void>): Promise<void> {
    const { clock, log } = this.#deps.context;
    while (!signal.aborted) {
      try {
        await turn();
        this.#trouble = null;
      } catch (error) {
        // Who can't write or read here can't tell whether others could.
        this.#watch.missed();
        if (signal.aborted) return;
        if (error instanceof TransientError || error instanceof StalledError) this.#sayTrouble(error);
        else log.error('could not give or see signs of life', { err: toError(error) });
      }
      await clock.sleep(RENEW_MS, signal);
    }
  }

  async #giveSign(): Promise<void> {
    const { journal, settings, clock } = this.#deps.context;
    const { dispatcher, instance } = settings;
    const own = heldBy(dispatcher, journal.view()).some((entry) => entry.instance === instance);
    if (own) await journal.renew(leaseUntil(clock.now()));
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { journal, settings, clock } = this.#deps.context;
    const asked = clock.monotonic();
    const view = await journal.refresh(signal);
    const held = new Map(
      settings.peers.flatMap((peer) => {
        const entries = heldBy(peer, view);
        return entries.length === 0 ? [] : [[peer, entries] as const];
      }),
    );
    const silent = this.#watch.look(held, { asked, answered: clock.monotonic() });
    for (const peer of silent) await this.#takeOver(peer, held.get(peer) ?? []);
  }

  async #takeOver(from: string, watched: readonly JournalEntry[]): Promise<void> {
    const { context, onTaken } = this.#deps;
    // However it ends: it is a new watch. Where pushes failed, they may have failed for the peer as well.
    this.#watch.forget(from);
    const ids = new Set<string>();
    for (const entry of watched) if (await this.#canTake(entry)) ids.add(entry.id);
    if (ids.size < watched.length) this.#sayLeft(from, watched.length - ids.size);
    if (ids.size === 0) return;
    const taken = await context.journal.takeOver({ from, watched, ids, to: ownHolder(context) });
    if (taken.length === 0) return;
    context.log.warn('took over what a peer held that gave no sign of life', {
      peer: from,
      silent_seconds: SILENCE_MS / 1000,
      ids: taken.map(({ id }) => id),
    });
    onTaken();
  }

  /** Who gives no signs misses none; and what another engine, or another machine, runs can't be followed from here. */
  async #canTake({ token, engine, lease_until }: JournalEntry): Promise<boolean> {
    const { context } = this.#deps;
    if (lease_until === undefined || engine !== context.engine.kind) return false;
    return !isLocal(context.engine) || (await context.records.load(token)) !== null;
  }

  #sayTrouble({ code, message }: EdgeError): void {
    if (this.#trouble !== message)
      this.#deps.context.log.warn('cannot give or see signs of life', { code, reason: message });
    this.#trouble = message;
  }

  #sayLeft(peer: string, count: number): void {
    if (this.#said.has(peer)) return;
    this.#said.add(peer);
    this.#deps.context.log.warn('a silent peer holds attempts that can not be taken over from here', { peer, count });
  }
}

function heldBy(dispatcher: string, { entries }: JournalView): readonly JournalEntry[] {
  return [...entries.values()].filter((entry) => entry.dispatcher === dispatcher);
}
