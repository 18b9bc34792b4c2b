import type { IncomingMessage } from 'node:http';

/** What may go wrong with a request before or after its work is done. */
export type Effect =
  | { readonly kind: 'answer'; readonly status: number; readonly text: string }
  /** The socket is cut before anything is done. */
  | { readonly kind: 'cut' }
  /** The work is done, and the socket cut instead of an answer. */
  | { readonly kind: 'lose-answer' }
  /** No answer until it is released; the work is done then. */
  | { readonly kind: 'hang'; readonly released: Promise<void> };

interface Fault {
  readonly matches: RegExp;
  readonly effect: Effect;
  left: number;
}

/** Which requests a fault hits: `pattern` is held against `GET /v1/jobs?prefix=…`; each of the next `times`. */
export interface FaultScope {
  readonly pattern?: RegExp;
  readonly times?: number;
}

/** Faults of single requests, in the order in which they were asked for; each hits a request once. */
export class Faults {
  #faults: Fault[] = [];
  readonly #hanging = new Set<() => void>();

  /** A 5xx, 429 or any other answer instead of the work. */
  answer(status: number, text: string, scope: FaultScope = {}): void {
    this.#add({ kind: 'answer', status, text }, scope);
  }

  /** A server without a leader. */
  noLeader(scope: FaultScope = {}): void {
    this.answer(500, 'No cluster leader', scope);
  }

  tooManyConnections(scope: FaultScope = {}): void {
    const text = 'Your IP is issuing too many concurrent connections, please rate limit your calls\n';
    this.answer(429, text, scope);
  }

  /** Connection reset, nothing done. */
  cut(scope: FaultScope = {}): void {
    this.#add({ kind: 'cut' }, scope);
  }

  /** Everything done, connection reset. */
  loseAnswer(scope: FaultScope = {}): void {
    this.#add({ kind: 'lose-answer' }, scope);
  }

  /** Requests wait; the answer sets them free. */
  hang(scope: FaultScope = {}): () => void {
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#hanging.add(release);
    this.#add({ kind: 'hang', released }, scope);
    return () => {
      this.#hanging.delete(release);
      release();
    };
  }

  /** From now on all is well, but for requests that hang. */
  clear(): void {
    this.#faults = [];
  }

  /** Sets everything free. */
  close(): void {
    this.clear();
    for (const release of this.#hanging) release();
  }

  /** The fault of this request, which is used up by it. */
  take(request: IncomingMessage): Effect | null {
    const line = `${request.method} ${request.url}`;
    const fault = this.#faults.find((one) => one.left > 0 && one.matches.test(line));
    if (!fault) return null;
    fault.left -= 1;
    this.#faults = this.#faults.filter(({ left }) => left > 0);
    return fault.effect;
  }

  #add(effect: Effect, { pattern = /./, times = 1 }: FaultScope): void {
    this.#faults.push({ matches: pattern, effect, left: times });
  }
}
