/** An action that may run as soon as there is a slot. */
export interface Wanting {
  readonly id: string;
  readonly group: string | null;
  readonly groupLimit: number;
  /** 1..100, higher first. */
  readonly priority: number;
  readonly committedAt: string;
  /** Whose turn it is. */
  readonly author: string;
}

/** What one author wants, the next one last. */
interface Queue {
  readonly waiting: Wanting[];
  /** Slots that belong to the author. */
  held: number;
  /** The number of the author's last turn; 0: none yet. */
  last: number;
}

/** What is known of authors; of who is missing, nothing. */
export interface Standing {
  /** How many slots belong to each. */
  readonly held: ReadonlyMap<string, number>;
  /** The number of the turn that each had last, in any row that only grows. */
  readonly last: ReadonlyMap<string, number>;
}

/**
 * The order in which actions are asked whether they may start: authors in turn, and the actions of each by priority. With
 * n actions of a authors n × log(n) comparisons, and n moves within a list of a.
 */
export class Turns {
  /** The author whose turn it is last. */
  readonly #line: Queue[] = [];
  #current: Queue | null = null;
  #turn: number;

  constructor(wanting: readonly Wanting[], { held, last }: Standing) {
    this.#turn = Math.max(0, ...last.values());
    const queues = new Map<string, Queue>();
    for (const each of wanting.toSorted((a, b) => byTurn(b, a))) {
      const { author } = each;
      const queue = queues.get(author) ?? { waiting: [], held: held.get(author) ?? 0, last: last.get(author) ?? 0 };
      queue.waiting.push(each);
      queues.set(author, queue);
    }
    this.#line.push(...[...queues.values()].toSorted((a, b) => byAuthor(b, a)));
  }

  /** null: nobody is left. After each `took` has to be called. */
  next(): Wanting | null {
    this.#current = this.#line.pop() ?? null;
    return this.#current?.waiting.pop() ?? null;
  }

  /** Whether the author of the last one has a slot more now. */
  took(isMore: boolean): void {
    const queue = this.#current;
    if (queue === null || queue.waiting.length === 0) return;
    if (isMore) {
      this.#turn += 1;
      queue.held += 1;
      queue.last = this.#turn;
    }
    this.#line.splice(this.#placeOf(queue), 0, queue);
  }

  #placeOf(queue: Queue): number {
    let low = 0;
    let high = this.#line.length;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const other = this.#line[middle];
      if (other !== undefined && byAuthor(other, queue) > 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function byAuthor(a: Queue, b: Queue): number {
  const [first, second] = [a.waiting.at(-1), b.waiting.at(-1)];
  const order = a.held - b.held || a.last - b.last;
  return order !== 0 || first === undefined || second === undefined ? order : byTurn(first, second);
}

function byTurn(a: Wanting, b: Wanting): number {
  return b.priority - a.priority || compare(a.committedAt, b.committedAt) || compare(a.id, b.id);
}

/** By code units, which is the same everywhere, and for ISO times their order. */
const compare = (a: string, b: string): number => (a < b ? -1 : Number(a > b));
