import { once } from 'node:events';
import { Writable } from 'node:stream';
import type { LogStream } from '../ports/engine.ts';
import { type Io, quoted } from './io.ts';
import type { Place, Places } from './log-places.ts';
import { StderrFilter } from './stderr-filter.ts';

/**
 * Output of a run on its way to the user's own stdout and stderr: byte for byte into files and pipes, escaped on a
 * terminal (colours are let through), gathered for --json. Knows how much of each stream was shown, so that it can go on
 * from another source.
 */
export class LogOutput {
  readonly #io: Io;
  readonly #json: boolean;
  #token: string | null = null;
  #filter = new StderrFilter(null);
  #states = freshStates();
  #lookedAt = performance.now();

  constructor(io: Io, json: boolean) {
    this.#io = io;
    this.#json = json;
  }

  /** What comes next is of this attempt; of another one than before it starts anew. `key`: of its trailer, hex. */
  begin(token: string, key: string | null): void {
    if (this.#token === token) return;
    this.#token = token;
    this.#filter = new StderrFilter(key);
    this.#states = freshStates();
  }

  /** Of the attempt that was shown; null: none was. */
  get token(): string | null {
    return this.#token;
  }

  /** Bytes taken by `put`. */
  offset(stream: LogStream): number {
    return this.#states[stream].taken;
  }

  /** Bytes shown, or gathered. */
  bytes(stream: LogStream): number {
    return this.#states[stream].shown;
  }

  /** The runner has said its last words: nothing more of this run comes. */
  get hasEnded(): boolean {
    return this.#filter.hasTrailer;
  }

  /** True once in each `ms`. */
  isDue(ms: number): boolean {
    if (performance.now() - this.#lookedAt < ms) return false;
    this.#lookedAt = performance.now();
    return true;
  }

  /** The next bytes of a stream as the engine has it, trailer included. */
  async put(stream: LogStream, chunk: Uint8Array): Promise<void> {
    this.#states[stream].taken += chunk.length;
    await this.#show(stream, stream === 'stderr' ? this.#filter.push(chunk) : chunk);
  }

  /** A whole stream as the store has it: what was not shown yet. `isProven`: it has no trailer any more. */
  async take(
    stream: LogStream,
    content: AsyncIterable<Uint8Array>,
    { isProven }: { isProven: boolean },
  ): Promise<void> {
    let skip = this.#states[stream].shown;
    const filter = stream === 'stderr' && !isProven ? new StderrFilter(null) : null;
    if (stream === 'stderr') this.#filter = filter ?? new StderrFilter(null);
    for await (const chunk of content) {
      const fresh = chunk.subarray(Math.min(skip, chunk.length));
      skip -= chunk.length - fresh.length;
      await this.#show(stream, filter === null ? fresh : filter.push(fresh));
    }
  }

  /** Nothing more comes: what was held back is shown, but never the trailer. */
  async end(): Promise<void> {
    await this.#show('stderr', this.#filter.end());
    for (const stream of ['stdout', 'stderr'] as const) {
      const { terminal } = this.#states[stream];
      if (terminal !== null) await this.#write(stream, terminal.end());
    }
  }

  /** `places`: null where there is no output. */
  asJson(id: string, state: string, places: Places | null): Readonly<Record<string, unknown>> {
    const part = (stream: LogStream) => ({
      text: Buffer.concat(this.#states[stream].gathered).toString('utf8'),
      ...(places?.[stream] ?? NOWHERE),
    });
    return { id, state, stdout: part('stdout'), stderr: part('stderr') };
  }

  async #show(stream: LogStream, bytes: Uint8Array): Promise<void> {
    const state = this.#states[stream];
    if (bytes.length === 0) return;
    state.shown += bytes.length;
    if (this.#json) {
      state.gathered.push(Buffer.from(bytes));
      return;
    }
    if (this.#io[stream].isTTY !== true) return this.#write(stream, bytes);
    state.terminal ??= new TerminalText();
    await this.#write(stream, state.terminal.of(bytes));
  }

  /** Waits for a slow reader, so that a large log is never all in memory. */
  async #write(stream: LogStream, content: string | Uint8Array): Promise<void> {
    if (content.length === 0) return;
    const target = this.#io[stream];
    const hasRoom = target.write(content);
    if (hasRoom === false && target instanceof Writable) await once(target, 'drain');
  }
}

const NOWHERE: Place = { uri: null, bytes: 0, sha256: null, complete: false, missing: 0, why: null };

interface StreamState {
  taken: number;
  shown: number;
  gathered: Buffer[];
  terminal: TerminalText | null;
}

const fresh = (): StreamState => ({ taken: 0, shown: 0, gathered: [], terminal: null });
const freshStates = (): Record<LogStream, StreamState> => ({ stdout: fresh(), stderr: fresh() });

const ESCAPE = '\u001b';
/** Line ends, tabs and colours may pass; every other control character is shown as what it is. */
const MAY_PASS = new RegExp(String.raw`(\r?\n|\t|${ESCAPE}\[[0-9;]*m)`);
const UNFINISHED = new RegExp(String.raw`(?:\r|${ESCAPE}(?:\[[0-9;]{0,32})?)$`);
const RESET = `${ESCAPE}[0m`;

class TerminalText {
  readonly #decoder = new TextDecoder();
  #held = '';
  #isColoured = false;

  of(bytes: Uint8Array): string {
    const text = this.#held + this.#decoder.decode(bytes, { stream: true });
    this.#held = UNFINISHED.exec(text)?.[0] ?? '';
    return this.#safe(text.slice(0, text.length - this.#held.length));
  }

  /** What is left; nobody's terminal stays coloured. */
  end(): string {
    const rest = this.#safe(this.#held + this.#decoder.decode());
    this.#held = '';
    return this.#isColoured ? `${rest}${RESET}` : rest;
  }

  #safe(text: string): string {
    const parts = text.split(MAY_PASS);
    this.#isColoured ||= parts.some((part) => part.endsWith('m') && part.startsWith(`${ESCAPE}[`));
    return parts.map((part, index) => (index % 2 === 1 ? part : quoted(part))).join('');
  }
}
