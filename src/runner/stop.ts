import process from 'node:process';

export type StopCause = 'cancelled' | 'deadline';

/** Timers hold no longer time; 24 days. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * The one reason why a command is made to end before its own end: TERM to the runner, or the deadline. Whichever is
 * first counts, and what comes later changes nothing.
 */
export class Stop {
  readonly #controller = new AbortController();
  #cause: StopCause | null = null;

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get cause(): StopCause | null {
    return this.#cause;
  }

  /** From now on the runner hears what would else have ended it. To be called before anybody can know of it. */
  listen(): void {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => this.#now('cancelled'));
  }

  /** Counted from the start of this process, by a clock that nobody can set. */
  setDeadline(seconds: number): void {
    const left = seconds * 1000 - performance.now();
    setTimeout(() => this.#now('deadline'), Math.min(Math.max(left, 0), MAX_TIMER_MS)).unref();
  }

  #now(cause: StopCause): void {
    if (this.#cause !== null) return;
    this.#cause = cause;
    this.#controller.abort();
  }
}
