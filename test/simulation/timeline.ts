import type { Chance } from './chance.ts';

interface Moment {
  readonly at: number;
  /** Drawn: what is due at the same time comes in any order, the same for the same seed. */
  readonly turn: number;
  readonly work: () => void;
  isOff: boolean;
}

/** The one time that everything simulated shares, in milliseconds. It moves only from one thing that is due to the next. */
export class Timeline {
  now = 0;
  readonly #chance: Chance;
  readonly #heap: Moment[] = [];

  constructor(chance: Chance) {
    this.#chance = chance;
  }

  /** Does `work` after so long; answers what calls it off. */
  after(ms: number, work: () => void): () => void {
    const moment: Moment = { at: this.now + Math.max(0, ms), turn: this.#chance.next(), work, isOff: false };
    this.#push(moment);
    return () => {
      moment.isOff = true;
    };
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.after(ms, resolve));
  }

  /** Goes on to the next thing that is due, and does it. False: nothing ever is. */
  step(): boolean {
    for (let next = this.#pop(); next !== undefined; next = this.#pop()) {
      if (next.isOff) continue;
      this.now = next.at;
      next.work();
      return true;
    }
    return false;
  }

  #push(moment: Moment): void {
    const heap = this.#heap;
    let at = heap.push(moment) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || !isBefore(moment, parent)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = moment;
  }

  #pop(): Moment | undefined {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      const child = smallerChild(heap, at);
      const below = heap[child];
      if (below === undefined || !isBefore(below, last)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

const isBefore = (one: Moment, other: Moment) => one.at < other.at || (one.at === other.at && one.turn < other.turn);

function smallerChild(heap: readonly Moment[], at: number): number {
  const left = heap[2 * at + 1];
  const right = heap[2 * at + 2];
  return left !== undefined && right !== undefined && isBefore(right, left) ? 2 * at + 2 : 2 * at + 1;
}

/** Until nothing is left that only waits for promises. */
export function quiet(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
