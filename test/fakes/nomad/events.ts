import type { ServerResponse } from 'node:http';
import type { EventLine } from './wire.ts';

interface Subscriber {
  readonly response: ServerResponse;
  readonly namespace: string;
  /** Topic to key; `*` is every key. */
  readonly topics: readonly (readonly [string, string])[];
  readonly heartbeat: NodeJS.Timeout;
}

interface Subscription {
  readonly namespace: string;
  readonly topics: readonly (readonly [string, string])[];
  readonly from: number | null;
}

/**
 * `GET /v1/event/stream`: the last lines the server holds and who listens. Its knobs are the faults of a stream; they
 * work on the streams that are open, and on later ones until they are taken back.
 */
export class EventStreams {
  /** Later streams answer 200 and not one byte, and stay open: what Nomad does with a refused token. */
  answersNothing = false;
  /** Nothing is sent any more, no heartbeat either; the connection stays open. */
  silent = false;
  readonly #size: number;
  readonly #heartbeatMs: number;
  readonly #subscribers = new Set<Subscriber>();
  readonly #refused = new Set<ServerResponse>();
  #buffer: EventLine[] = [];
  #cut = false;

  constructor(size: number, heartbeatMs: number) {
    this.#size = size;
    this.#heartbeatMs = heartbeatMs;
  }

  /** Streams that listen now. */
  get open(): number {
    return this.#subscribers.size;
  }

  /** Answers 200; a refused stream gets nothing more. */
  subscribe(response: ServerResponse, wanted: Subscription, allowed: boolean): void {
    openBody(response);
    if (!allowed || this.answersNothing) {
      this.#refused.add(response);
      response.once('close', () => this.#refused.delete(response));
      return;
    }
    const heartbeat = setInterval(() => this.#send(subscriber, '{}\n'), this.#heartbeatMs).unref();
    const subscriber = { response, heartbeat, namespace: wanted.namespace, topics: wanted.topics };
    this.#subscribers.add(subscriber);
    response.once('close', () => this.#drop(subscriber));
    this.#send(subscriber, '{}\n');
    for (const line of this.#held(wanted.from)) this.#offer(subscriber, line);
  }

  publish(lines: readonly EventLine[]): void {
    this.#buffer = [...this.#buffer, ...lines].slice(-this.#size);
    for (const line of lines) for (const subscriber of this.#subscribers) this.#offer(subscriber, line);
  }

  /** The next line of every open stream breaks off in the middle, and the stream ends. */
  cutNextLine(): void {
    this.#cut = true;
  }

  /** The server no longer holds any line: who comes back with an index has missed some. Open streams are closed. */
  overtake(): void {
    this.#buffer = [];
    this.end();
  }

  /** Ends every stream cleanly; the lines stay. */
  end(): void {
    for (const subscriber of this.#subscribers) {
      this.#drop(subscriber);
      subscriber.response.end();
    }
    for (const response of this.#refused) response.end();
  }

  /** From the index on, inclusive; an evicted one silently starts at the oldest, one beyond the end waits. */
  #held(from: number | null): readonly EventLine[] {
    return this.#buffer.filter((line) => line.Index >= (from ?? 0));
  }

  #offer(subscriber: Subscriber, line: EventLine): void {
    const events = line.Events.filter(
      (event) =>
        (subscriber.namespace === '*' || subscriber.namespace === event.Namespace) &&
        subscriber.topics.some(
          ([topic, key]) =>
            (topic === '*' || topic === event.Topic) &&
            (key === '*' || key === event.Key || (event.FilterKeys ?? []).includes(key)),
        ),
    );
    if (events.length === 0) return;
    const text = `${JSON.stringify({ Index: line.Index, Events: events })}\n`;
    if (!this.#cut) return this.#send(subscriber, text);
    this.#drop(subscriber);
    subscriber.response.end(text.slice(0, text.length / 2));
    this.#cut = this.#subscribers.size > 0;
  }

  #send(subscriber: Subscriber, text: string): void {
    if (!this.silent) subscriber.response.write(text);
  }

  #drop(subscriber: Subscriber): void {
    clearInterval(subscriber.heartbeat);
    this.#subscribers.delete(subscriber);
  }
}

/** Headers at once, then a body without length or chunks that ends with the connection. */
function openBody(response: ServerResponse): void {
  response.shouldKeepAlive = false;
  response.removeHeader('transfer-encoding');
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-cache' });
  response.flushHeaders();
}
