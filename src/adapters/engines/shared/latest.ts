/** A mailbox for the newest value only: what was not taken in time is replaced. */
export class Latest<T> {
  #value: { readonly of: T } | null = null;
  #notify: () => void = () => undefined;

  put(value: T): void {
    this.#value = { of: value };
    this.#notify();
  }

  /** The next value, null once the signal is aborted. One taker at a time. */
  async take(signal: AbortSignal): Promise<{ readonly of: T } | null> {
    while (this.#value === null && !signal.aborted) await this.#change(signal);
    const value = this.#value;
    this.#value = null;
    return signal.aborted ? null : value;
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        signal.removeEventListener('abort', done);
        this.#notify = () => undefined;
        resolve();
      };
      this.#notify = done;
      signal.addEventListener('abort', done, { once: true });
    });
  }
}
