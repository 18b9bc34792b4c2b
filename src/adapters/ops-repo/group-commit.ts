import type { Clock } from '../../ports/clock.ts';

export interface Flush<Answer> {
  /** One for each item, in order; an Error rejects that item alone. */
  readonly answers: readonly (Answer | Error)[];
  /** A push landed: the next one waits for the spacing. */
  readonly pushed: boolean;
}

export interface GroupCommitOptions<Item, Answer> {
  /** What it throws rejects all of its items. Never called twice at the same time. */
  readonly flush: (items: readonly Item[]) => Promise<Flush<Answer>>;
  readonly spacingMs: number;
  readonly clock: Clock;
  /** Aborted: what waits is rejected with its reason, as is all that comes later. */
  readonly signal: AbortSignal;
}

const LARGEST_GROUP = 1_000;

/**
 * A queue whose items are flushed together: the first at once, then, at least `spacingMs` after each push that landed,
 * all that came meanwhile. So a burst becomes few pushes, and a single item does not wait.
 */
export class GroupCommit<Item, Answer> {
  readonly #options: GroupCommitOptions<Item, Answer>;
  #waiting: { item: Item; resolve: (answer: Answer) => void; reject: (error: unknown) => void }[] = [];
  #running: Promise<void> | undefined;
  #notBefore = -Infinity;

  constructor(options: GroupCommitOptions<Item, Answer>) {
    this.#options = options;
  }

  submit(item: Item): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      // Started a turn later, so that what is submitted in one go is one group.
      this.#running ??= Promise.resolve().then(() => this.#run());
    });
  }

  /** Resolves when nothing waits or runs. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, signal } = this.#options;
    while (this.#waiting.length > 0) {
      await clock.sleep(this.#notBefore - clock.monotonic(), signal);
      if (signal.aborted) this.#rejectAll(signal.reason);
      else await this.#flush();
    }
    this.#running = undefined;
  }

  #rejectAll(reason: unknown): void {
    for (const { reject } of this.#waiting.splice(0)) reject(reason);
  }

  async #flush(): Promise<void> {
    const group = this.#waiting.splice(0, LARGEST_GROUP);
    try {
      const { answers, pushed } = await this.#options.flush(group.map(({ item }) => item));
      if (pushed) this.#notBefore = this.#options.clock.monotonic() + this.#options.spacingMs;
      for (const [index, { resolve, reject }] of group.entries()) {
        const answer = answers[index];
        if (answer === undefined || answer instanceof Error) reject(answer ?? new Error('a group was not answered'));
        else resolve(answer);
      }
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
  }
}
