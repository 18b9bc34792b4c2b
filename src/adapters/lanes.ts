import { setMaxListeners } from 'node:events';

/**
 * Lets so many pieces of work run at once and the rest wait in order, or until their signal is aborted. The time limit of
 * a call counts from when it is sent, so that a queue of our own making never looks like an outage.
 */
export class Lanes {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(count: number) {
    this.#free = count;
  }

  /** Waits for a lane; the answer frees it again and is to be called exactly once. Throws the reason of the signal. */
  async enter(signal?: AbortSignal): Promise<() => void> {
    // One signal ends all that wait and all that is under way: a listener for each is no leak, however many there are.
    if (signal !== undefined) setMaxListeners(0, signal);
    if (this.#free > 0) this.#free -= 1;
    else await this.#turn(signal);
    return () => this.#leave();
  }

  /** Throws what the work throws, or the reason of the signal while it waits. */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const leave = await this.enter(signal);
    try {
      return await work();
    } finally {
      leave();
    }
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const go = (): void => {
        signal?.removeEventListener('abort', give);
        resolve();
      };
      const give = (): void => {
        this.#waiting.delete(go);
        reject(signal?.reason);
      };
      signal?.throwIfAborted();
      this.#waiting.add(go);
      signal?.addEventListener('abort', give, { once: true });
    });
  }

  #leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free += 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
