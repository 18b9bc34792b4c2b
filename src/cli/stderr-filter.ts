import { splitTrailer, TRAILER_MAX_BYTES } from '../domain/trailer.ts';

const MARK = Buffer.from('\n::edge-trailer ');
const TRAILER = /^\n::edge-trailer \{[^\n]*\} [0-9a-f]{64}\n$/;
const NEWLINE = 0x0a;

/**
 * Takes the runner's last words out of a stderr that flows by. What could be their beginning is held back until more
 * comes or the stream ends. `key`: of the attempt, hex; null: not known, and then whatever has their form at the very
 * end counts as them.
 */
export class StderrFilter {
  readonly #key: string | null;
  #held: Buffer = Buffer.alloc(0);

  constructor(key: string | null) {
    this.#key = key;
  }

  /** Bytes that may be shown now. */
  push(chunk: Uint8Array): Buffer {
    this.#held = Buffer.concat([this.#held, chunk]);
    const keep = this.#heldFrom();
    const out = this.#held.subarray(0, keep);
    this.#held = this.#held.subarray(keep);
    return out;
  }

  /** The stream has ended as far as anybody can say: a whole trailer of this attempt is held. */
  get hasTrailer(): boolean {
    if (this.#key !== null) return splitTrailer(this.#held, this.#held.length, this.#key).trailer !== null;
    return TRAILER.test(this.#held.toString('utf8'));
  }

  /** The rest, without the trailer. */
  end(): Buffer {
    const rest = this.hasTrailer ? Buffer.alloc(0) : this.#held;
    this.#held = Buffer.alloc(0);
    return rest;
  }

  /** Offset of the first byte that may belong to a trailer at the very end. */
  #heldFrom(): number {
    let from = 0;
    for (;;) {
      const at = this.#held.indexOf(MARK, from);
      if (at < 0) return this.#partialMark(from);
      const lineEnd = this.#held.indexOf(NEWLINE, at + MARK.length);
      const isLast = lineEnd < 0 || lineEnd === this.#held.length - 1;
      if (isLast && this.#held.length - at <= TRAILER_MAX_BYTES) return at;
      // More follows: it was the command's own. Its line end may begin the next one.
      from = lineEnd < 0 ? at + 1 : lineEnd;
    }
  }

  #partialMark(from: number): number {
    const { length } = this.#held;
    for (let at = Math.max(from, length - MARK.length + 1); at < length; at += 1) {
      if (MARK.subarray(0, length - at).equals(this.#held.subarray(at))) return at;
    }
    return length;
  }
}
