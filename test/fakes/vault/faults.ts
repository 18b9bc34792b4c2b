import type { Answer } from './answers.ts';

/** Which requests a fault hits. */
export interface Aim {
  /** Of the path without `/v1/`; default: every path. */
  readonly path?: RegExp;
  readonly method?: string;
  /** How many requests; default: until `stop`. */
  readonly times?: number;
}

/**
 * What happens to a request that was hit: `answer` in place of the work; `cut` the connection before the work, or
 * `lose` the answer after it; `hold` it before the work until `stop`; `delay` it by so many milliseconds.
 */
export type Fault =
  | { readonly kind: 'answer'; readonly answer: Answer }
  | { readonly kind: 'cut' }
  | { readonly kind: 'lose' }
  | { readonly kind: 'hold'; readonly released: Promise<void> }
  | { readonly kind: 'delay'; readonly ms: number };

/** A fault in force. */
export interface Trouble {
  /** How many requests it hit so far. */
  readonly hits: number;
  /** No request is hit any more; held ones go on. */
  stop(): void;
}

interface Armed {
  readonly aim: Aim;
  readonly fault: Fault;
  hits: number;
  over: boolean;
}

/** The faults in force, oldest first: the first that fits a request hits it. */
export class Faults {
  readonly #armed = new Set<Armed>();
  readonly #releases = new Set<() => void>();

  arm(fault: Fault, aim: Aim, release: () => void = () => {}): Trouble {
    const armed: Armed = { aim, fault, hits: 0, over: false };
    this.#armed.add(armed);
    this.#releases.add(release);
    return {
      get hits() {
        return armed.hits;
      },
      stop: () => {
        armed.over = true;
        this.#armed.delete(armed);
        this.#releases.delete(release);
        release();
      },
    };
  }

  hold(aim: Aim): Trouble {
    let release = (): void => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    return this.arm({ kind: 'hold', released }, aim, release);
  }

  hit(method: string, path: string): Fault | undefined {
    for (const armed of this.#armed) {
      const { aim } = armed;
      if (armed.hits >= (aim.times ?? Infinity)) continue;
      if (aim.method !== undefined && aim.method !== method) continue;
      if (aim.path !== undefined && !aim.path.test(path)) continue;
      armed.hits += 1;
      return armed.fault;
    }
    return undefined;
  }

  /** Ends all of them. */
  clear(): void {
    this.#armed.clear();
    for (const release of this.#releases) release();
    this.#releases.clear();
  }
}
