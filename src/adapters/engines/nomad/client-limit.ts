/** Aborts its signal when the time is over or the outer signal is aborted. `end` has to be called; again is no error. */
export class TimeLimit {
  readonly signal: AbortSignal;
  /** The time was over, and not the outer signal aborted. */
  isOver = false;
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(ms: number, outer: AbortSignal | undefined) {
    this.signal = this.#controller.signal;
    this.#outer = outer;
    outer?.addEventListener('abort', this.#abort, { once: true });
    if (outer?.aborted === true) this.#abort();
    this.restart(ms);
  }

  /** So much from now on; null: no limit for the time being. */
  restart(ms: number | null): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (ms === null || this.signal.aborted) return;
    this.#timer = setTimeout(() => {
      this.isOver = true;
      this.#controller.abort();
    }, ms);
  }

  /** Also lets go of a socket that is still in use. */
  end(): void {
    this.restart(null);
    this.#outer?.removeEventListener('abort', this.#abort);
    this.#controller.abort();
  }

  readonly #abort = (): void => {
    this.#controller.abort();
  };
}
