import { TransientError } from '../../../errors.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { Timing } from './timing.ts';
import { type EventLine, eventLine } from './types.ts';

/**
 * Asks for the stream of one namespace from this index on (inclusive) and gives its body. It has to let go of the
 * socket when the signal is aborted: Nomad leaves a refused stream open for minutes.
 */
export type OpenStream = (index: number, signal: AbortSignal) => Promise<AsyncIterable<Uint8Array>>;

export interface StreamTools {
  readonly open: OpenStream;
  readonly clock: Clock;
  readonly timing: Pick<Timing, 'firstLineMs' | 'silenceMs'>;
}

/**
 * The lines of Nomad's event stream from `index` on. The first one says that we are let in (a heartbeat, `{}`, without
 * events); null stands for a line that can't be read, of which only is known that something happened. An index may come
 * as several lines, and each line may have been seen before.
 *
 * Ends only by TransientError (nothing within `firstLineMs`, silence, a cut, a clean end) or when the signal is aborted;
 * then it just ends. The socket is closed in any case.
 */
export async function* readEvents(
  index: number,
  { open, clock, timing }: StreamTools,
  signal: AbortSignal,
): AsyncGenerator<EventLine | null> {
  const watchdog = new Watchdog(clock, timing.firstLineMs, signal);
  try {
    const splitter = new LineSplitter();
    for await (const chunk of await open(index, watchdog.signal)) {
      for (const line of splitter.push(chunk)) {
        watchdog.feed(timing.silenceMs);
        yield parseLine(line);
      }
      if (watchdog.signal.aborted) break;
    }
  } catch (error) {
    if (!watchdog.signal.aborted) throw error;
  } finally {
    watchdog.end();
  }
  if (signal.aborted) return;
  throw new TransientError('ERR_ENGINE_UNAVAILABLE', `the event stream ${watchdog.hasBitten ? 'is silent' : 'ended'}`);
}

/** Aborts its signal when it is not fed in time, or with the outer one. */
class Watchdog {
  readonly #bite = new AbortController();
  readonly #over = new AbortController();
  readonly #clock: Clock;
  readonly #outer: AbortSignal;
  #end: number;
  hasBitten = false;

  constructor(clock: Clock, ms: number, outer: AbortSignal) {
    this.#clock = clock;
    this.#outer = outer;
    this.#end = clock.monotonic() + ms;
    outer.addEventListener('abort', this.end, { once: true });
    if (outer.aborted) this.end();
    void this.#watch();
  }

  get signal(): AbortSignal {
    return this.#bite.signal;
  }

  feed(ms: number): void {
    this.#end = this.#clock.monotonic() + ms;
  }

  readonly end = (): void => {
    this.#outer.removeEventListener('abort', this.end);
    this.#over.abort();
    this.#bite.abort();
  };

  async #watch(): Promise<void> {
    for (let left = this.#left(); left > 0 && !this.#over.signal.aborted; left = this.#left()) {
      await this.#clock.sleep(left, this.#over.signal);
    }
    if (this.#over.signal.aborted) return;
    this.hasBitten = true;
    this.#bite.abort();
  }

  #left(): number {
    return this.#end - this.#clock.monotonic();
  }
}

/** One entry of the server's log is one line: hundreds of whole allocations at some 10 kB each, and a wide margin. */
const LINE_MAX_BYTES = 64 * 1024 ** 2;
const LINE_FEED = 0x0a;

/** Cuts chunks into lines. A last line without its line feed was cut off, and is never given. */
export class LineSplitter {
  readonly #max: number;
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  constructor(max = LINE_MAX_BYTES) {
    this.#max = max;
  }

  /** The lines that this chunk completes, without line feed and without empty ones; null for one longer than the cap. */
  push(chunk: Uint8Array): (Uint8Array | null)[] {
    const lines: (Uint8Array | null)[] = [];
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, start)) {
      this.#keep(chunk.subarray(start, end));
      if (this.#bytes > 0) lines.push(this.#take());
      start = end + 1;
    }
    this.#keep(chunk.subarray(start));
    return lines;
  }

  #keep(piece: Uint8Array): void {
    this.#bytes += piece.length;
    if (this.#bytes > this.#max) this.#pieces = [];
    else this.#pieces.push(piece);
  }

  #take(): Uint8Array | null {
    const line = this.#bytes > this.#max ? null : Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#bytes = 0;
    return line;
  }
}

/** What it says is a hint only, so one line that nobody understands ends nothing: it would come again for ever. */
function parseLine(line: Uint8Array | null): EventLine | null {
  if (line === null) return null;
  try {
    return eventLine.safeParse(JSON.parse(Buffer.from(line).toString('utf8'))).data ?? null;
  } catch {
    return null;
  }
}
