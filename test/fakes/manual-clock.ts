import { createHash } from 'node:crypto';
import type { Clock } from '../../src/ports/clock.ts';

interface Sleeper {
  readonly at: number;
  readonly order: number;
  readonly wake: () => void;
}

/** Time that stands still until it is moved, and chance that is the same each time. */
export class ManualClock implements Clock {
  #now: number;
  #asleep: Sleeper[] = [];
  #order = 0;
  #chance = 1;
  #keys = 0;

  constructor(start = '2026-03-31T12:00:00.000Z') {
    this.#now = Date.parse(start);
  }

  now(): Date {
    return new Date(this.#now);
  }

  monotonic(): number {
    return this.#now;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true || ms <= 0) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#asleep = this.#asleep.filter((other) => other !== sleeper);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      const sleeper: Sleeper = { at: this.#now + ms, order: this.#order, wake };
      this.#order += 1;
      this.#asleep.push(sleeper);
      signal?.addEventListener('abort', wake, { once: true });
    });
  }

  /** Numerical Recipes' linear congruence: looks random enough for jitter. */
  random(): number {
    this.#chance = (Math.imul(this.#chance, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#chance / 2 ** 32;
  }

  key(): string {
    this.#keys += 1;
    return createHash('sha256').update(`key ${this.#keys}`).digest('hex');
  }

  /** How many sleep. */
  get sleeping(): number {
    return this.#asleep.length;
  }

  /** Goes on to when the next sleeper wakes, and wakes that one. False: nobody ever wakes by himself. */
  step(): boolean {
    const [next] = this.#asleep.filter(({ at }) => at < Infinity).toSorted((a, b) => a.at - b.at || a.order - b.order);
    if (next === undefined) return false;
    this.#now = Math.max(this.#now, next.at);
    next.wake();
    return true;
  }

  /** Goes on by so much, waking whoever's time has come on the way. */
  advance(ms: number): void {
    const end = this.#now + ms;
    while (this.#asleep.some(({ at }) => at <= end)) this.step();
    this.#now = end;
  }
}
