import { TransientError } from '../../errors.ts';
import type { Clock } from '../../ports/clock.ts';

/** What fails of one subject for long rests at most so long between two tries, in milliseconds. */
const REST_MS = 300_000;
/** After its first failure; twice as long after each further one. */
const FIRST_MS = 15_000;
/** So many different subjects that fail one after the other are an outage, and none of theirs. */
const OUTAGE = 2;

interface Failed {
  readonly times: number;
  /** Monotonic. */
  readonly until: number;
}

/** Subjects (changes, commits) of which something fails rest, each time longer, so that the others go on. */
export class Rests {
  readonly #clock: Clock;
  readonly #complain: (error: unknown) => void;
  readonly #failed = new Map<string, Failed>();
  #inARow = 0;

  constructor(clock: Clock, complain: (error: unknown) => void) {
    this.#clock = clock;
    this.#complain = complain;
  }

  /** A new round: what failed in the last one does not count towards an outage any more. */
  begin(): void {
    this.#inARow = 0;
  }

  isResting(subject: string): boolean {
    const failed = this.#failed.get(subject);
    return failed !== undefined && this.#clock.monotonic() < failed.until;
  }

  /** How often it failed since it last worked. */
  failures(subject: string): number {
    return this.#failed.get(subject)?.times ?? 0;
  }

  rest(subject: string): void {
    this.#failed.set(subject, { times: this.failures(subject) + 1, until: this.#clock.monotonic() + REST_MS });
  }

  forget(subject: string): void {
    this.#failed.delete(subject);
  }

  /**
   * Does the work unless its subject rests; it answers true where something was asked and answered. Errors: the signal's reason, and
   * those that are of no single subject, with which the round ends: the forge named a time, or is away for another too.
   */
  async attempt(subject: string, work: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
    if (this.isResting(subject)) return;
    try {
      if (!(await work())) return;
      this.#inARow = 0;
      this.forget(subject);
    } catch (error) {
      if (signal.aborted) throw error;
      const isAway = error instanceof TransientError;
      if (isAway && error.retryAfterMs !== undefined) throw error;
      if (isAway) this.#restLonger(subject);
      else this.rest(subject);
      this.#inARow += isAway ? 1 : 0;
      if (this.#inARow >= OUTAGE) throw error;
      this.#complain(error);
    }
  }

  #restLonger(subject: string): void {
    const times = this.failures(subject);
    const until = this.#clock.monotonic() + Math.min(FIRST_MS * 2 ** times, REST_MS);
    this.#failed.set(subject, { times: times + 1, until });
  }
}
