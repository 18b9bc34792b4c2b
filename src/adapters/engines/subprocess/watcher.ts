import { setMaxListeners } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import type { AttemptToken } from '../../../domain/ids.ts';
import type { Run, RunStatus } from '../../../domain/run.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { Log, LogFields } from '../../../ports/log.ts';
import type { ProcessStat } from '../../process-identity.ts';
import { Latest } from '../shared/latest.ts';
import { findMembers } from './members.ts';
import { needsMembers, settle } from './settle.ts';
import { lookAt, type Sight } from './sight.ts';
import type { Timing } from './timing.ts';

/** One run that somebody watches. */
interface Watched {
  readonly run: Run;
  readonly directory: string;
  readonly readers: Set<Latest<RunStatus>>;
  status: RunStatus | null;
  /** Monotonic milliseconds of the first look that found its end, or no runner. */
  endingSince: number | null;
  readonly warned: Set<string>;
}

// Wishes that come in quick succession (1,000 adopted runs) share a look.
const SPACING_MS = 20;
// Looks are synchronous and quick; between so many of them other work gets its turn.
const CHUNK = 100;
// At most a tenth of the time is spent looking.
const REST_FACTOR = 10;

/**
 * Watches all runs with one loop, which lives only while somebody watches. Polling, because a runner that this process
 * did not start tells nobody of its end; the end of a child is a hint to look at once.
 */
export class Watcher {
  readonly #watched = new Map<AttemptToken, Watched>();
  readonly #hinted = new Set<AttemptToken>();
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #timing: Timing;
  #looping = false;
  #rest = new AbortController();

  constructor(tools: { readonly clock: Clock; readonly log: Log }, timing: Timing) {
    this.#clock = tools.clock;
    this.#log = tools.log;
    this.#timing = timing;
  }

  async *watch(run: Run, directory: string, signal: AbortSignal): AsyncIterable<RunStatus> {
    // One shutdown signal is shared by all runs: ten listeners are no leak.
    setMaxListeners(0, signal);
    const reader = new Latest<RunStatus>();
    this.#join(run, directory, reader);
    try {
      for (let next = await reader.take(signal); next !== null; next = await reader.take(signal)) {
        yield next.of;
        if (next.of.state === 'ended') return;
      }
    } finally {
      this.#leave(run.token, reader);
    }
  }

  /** Look at this run now; nothing to do when nobody watches it. */
  hint(token: AttemptToken): void {
    if (!this.#watched.has(token)) return;
    this.#hinted.add(token);
    this.#rest.abort();
  }

  #join(run: Run, directory: string, reader: Latest<RunStatus>): void {
    const watched = this.#watched.get(run.token) ?? newlyWatched(run, directory);
    watched.readers.add(reader);
    if (watched.status !== null) reader.put(watched.status);
    this.#watched.set(run.token, watched);
    this.hint(run.token);
    if (!this.#looping) void this.#keepLooking();
  }

  #leave(token: AttemptToken, reader: Latest<RunStatus>): void {
    const watched = this.#watched.get(token);
    watched?.readers.delete(reader);
    if (watched?.readers.size === 0) this.#watched.delete(token);
    if (this.#watched.size === 0) this.#rest.abort();
  }

  async #keepLooking(): Promise<void> {
    this.#looping = true;
    let nextRound = 0;
    while (this.#watched.size > 0) {
      const start = this.#clock.monotonic();
      const isRound = start >= nextRound;
      const tokens = isRound ? [...this.#watched.keys()] : [...this.#hinted];
      this.#hinted.clear();
      await this.#lookAtAll(tokens.flatMap((token) => this.#watched.get(token) ?? []));
      const now = this.#clock.monotonic();
      if (isRound) nextRound = now + Math.max(this.#timing.pollMs, REST_FACTOR * (now - start));
      await this.#clock.sleep(SPACING_MS);
      await this.#restUntil(nextRound);
    }
    this.#looping = false;
  }

  async #restUntil(end: number): Promise<void> {
    if (this.#hinted.size > 0 || this.#watched.size === 0) return;
    this.#rest = new AbortController();
    await this.#clock.sleep(end - this.#clock.monotonic(), this.#rest.signal);
  }

  async #lookAtAll(all: readonly Watched[]): Promise<void> {
    const seen: (readonly [Watched, Sight])[] = [];
    for (const [index, watched] of all.entries()) {
      await this.#orLater(watched, () => void seen.push([watched, lookAt(watched.directory)]));
      if (index % CHUNK === CHUNK - 1) await setImmediate();
    }
    const members = this.#membersOf(seen);
    for (const [watched, sight] of seen) {
      await this.#orLater(watched, () => this.#settle(watched, sight, members.get(watched.directory) ?? []));
    }
  }

  #membersOf(seen: readonly (readonly [Watched, Sight])[]): ReturnType<typeof findMembers> {
    const unsettled = seen.filter(([{ directory }, sight]) => needsMembers(directory, sight, this.#timing));
    if (unsettled.length === 0) return new Map();
    return findMembers(
      unsettled.map(([{ directory }, sight]) => ({ directory, started: 'started' in sight ? sight.started : null })),
    );
  }

  async #settle(watched: Watched, sight: Sight, members: readonly ProcessStat[]): Promise<void> {
    const endingMs = this.#endingMs(watched, sight);
    const scene = { directory: watched.directory, sight, endingMs, members, now: this.#clock.now() };
    const { status, unkillable } = await settle(scene, this.#timing);
    const { id: run } = watched.run;
    if (unkillable.length > 0)
      this.#warnOnce(watched, 'processes of a run may not be killed', { run, pids: unkillable });
    publish(watched, status);
  }

  /** What the disk does not tell now is looked at again in the next round: an outage is no verdict. */
  async #orLater(watched: Watched, look: () => void | Promise<void>): Promise<void> {
    try {
      await look();
    } catch (err) {
      this.#warnOnce(watched, 'the state of a run can not be read', { run: watched.run.id, err });
    }
  }

  #endingMs(watched: Watched, sight: Sight): number {
    if (sight.kind !== 'closing' && sight.kind !== 'vanished') return 0;
    watched.endingSince ??= this.#clock.monotonic();
    return this.#clock.monotonic() - watched.endingSince;
  }

  #warnOnce(watched: Watched, message: string, fields: LogFields): void {
    if (watched.warned.has(message)) return;
    watched.warned.add(message);
    this.#log.warn(message, fields);
  }
}

function newlyWatched(run: Run, directory: string): Watched {
  return { run, directory, readers: new Set(), status: null, endingSince: null, warned: new Set() };
}

/** Tells each change once. */
function publish(watched: Watched, status: RunStatus): void {
  if (JSON.stringify(watched.status) === JSON.stringify(status)) return;
  watched.status = status;
  for (const reader of watched.readers) reader.put(status);
}
