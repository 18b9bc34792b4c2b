import type { Clock } from '../../src/ports/clock.ts';
import type { Chance } from './chance.ts';
import type { Timeline } from './timeline.ts';

/** Wall time at the beginning of every simulation. */
export const EPOCH = Date.parse('2026-03-31T12:00:00.000Z');

/** A machine's wall clock. It may be wrong, and jump. */
export class WallClock {
  /** How far it is ahead of the true time, in milliseconds. */
  skewMs = 0;
  readonly #timeline: Timeline;

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  now(): Date {
    return new Date(EPOCH + this.#timeline.now + this.skewMs);
  }
}

/**
 * One process as the operating system sees it: it runs, it is stopped (SIGSTOP, or its virtual machine is), or it is gone.
 * What it asked for before reaches others all the same; what comes back waits until it runs again, or is lost with it.
 */
export class SimProcess {
  readonly name: string;
  /** Why it died, and what died with it. */
  onDeath: () => void = () => undefined;
  #state: 'running' | 'stopped' | 'dead' = 'running';
  #held: (() => void)[] = [];
  #pointsLeft = Infinity;
  /** Points passed: every call outside has one before and one after it. */
  points = 0;
  /** Milliseconds that its monotonic clock stood still. */
  pausedMs = 0;

  constructor(name: string) {
    this.name = name;
  }

  get isDead(): boolean {
    return this.#state === 'dead';
  }

  get isStopped(): boolean {
    return this.#state === 'stopped';
  }

  /** Does it in this process: now, when it runs again, or never. */
  deliver(work: () => void): void {
    if (this.#state === 'running') work();
    else if (this.#state === 'stopped') this.#held.push(work);
  }

  stop(): void {
    if (this.#state === 'running') this.#state = 'stopped';
  }

  resume(): void {
    if (this.#state !== 'stopped') return;
    this.#state = 'running';
    while (this.#held.length > 0 && this.#state === 'running') this.#held.shift()?.();
  }

  kill(): void {
    if (this.#state === 'dead') return;
    this.#state = 'dead';
    this.#held = [];
    this.onDeath();
  }

  /** Dies after so many more points. */
  dieAfter(points: number): void {
    this.#pointsLeft = points;
  }

  /** False: it died here. */
  pass(): boolean {
    this.points += 1;
    this.#pointsLeft -= 1;
    if (this.#pointsLeft <= 0) this.kill();
    return !this.isDead;
  }
}

/** Time as one process sees it, on its machine. */
export function processClock(process: SimProcess, wall: WallClock, timeline: Timeline, chance: Chance): Clock {
  return {
    now: () => wall.now(),
    monotonic: () => timeline.now - process.pausedMs,
    sleep: (ms, signal) => {
      if (signal?.aborted === true || ms <= 0) return Promise.resolve();
      return new Promise((resolve) => {
        const wake = (): void => {
          callOff();
          signal?.removeEventListener('abort', wake);
          resolve();
        };
        const callOff = ms === Infinity ? () => undefined : timeline.after(ms, () => process.deliver(wake));
        signal?.addEventListener('abort', wake, { once: true });
      });
    },
    random: () => chance.next(),
    key: () => Array.from({ length: 64 }, () => chance.between(0, 15).toString(16)).join(''),
  };
}
