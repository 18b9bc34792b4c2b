import { backoffMs } from '../../../domain/backoff.ts';
import { type EdgeError, TransientError } from '../../../errors.ts';
import type { Clock } from '../../../ports/clock.ts';
import { failure } from './answers.ts';

/**
 * Whether the forge may be asked now. Closed for as long as it asked us to wait, and for a short while after failures:
 * whoever comes then is told so at once, so that waiting costs the forge nothing.
 */
export class Gate {
  readonly #clock: Clock;
  #failures = 0;
  /** Counts calls and failures, to tell which came first. */
  #count = 0;
  #lastFailure = 0;
  #closedUntil = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A number for the call that begins now. Throws TransientError with the time that is left. */
  pass(name: string): number {
    const left = this.#closedUntil - this.#clock.monotonic();
    if (left > 0) throw failure('busy', name, { retryAfterMs: Math.ceil(left) });
    this.#count += 1;
    return this.#count;
  }

  answered(): void {
    this.#failures = 0;
  }

  closeFor(ms: number): void {
    this.#closedUntil = Math.max(this.#closedUntil, this.#clock.monotonic() + ms);
  }

  /**
   * The same error, after it was taken note of. `call`: what `pass` answered. One failure may be of that one request (a
   * change too big to list must not delay the others); the second in a row is the forge's. Of calls that failed side by
   * side, one counts.
   */
  noted(error: EdgeError, call: number): EdgeError {
    if (!(error instanceof TransientError)) this.#failures = 0;
    else if (error.retryAfterMs !== undefined) this.closeFor(error.retryAfterMs);
    else if (call > this.#lastFailure) {
      this.#count += 1;
      this.#lastFailure = this.#count;
      this.#failures += 1;
      if (this.#failures > 1) this.closeFor(backoffMs(this.#failures - 2, this.#clock.random()));
    }
    return error;
  }
}
