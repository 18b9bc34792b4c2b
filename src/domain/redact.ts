import { Buffer } from 'node:buffer';
import { maskOf, textsOf } from './maskable.ts';
import * as forms from './redact-encodings.ts';

export interface Secret {
  readonly name: string;
  readonly value: string;
}

/** Scrubs one output stream. Not for two streams: what a stream holds back belongs before its own next bytes. */
export interface StreamRedactor {
  /**
   * In: the stream's next bytes, of any length, any binary; they are copied. Out: the bytes that may be forwarded now,
   * possibly none. Held back is only what may still turn out to be part of an encoded secret. Throws after `end`.
   */
  write(chunk: Uint8Array): Uint8Array;
  /** Out: everything held back, as far as it was no secret. Safe to repeat: then there is nothing more. */
  end(): Uint8Array;
}

/** The secrets of one run. */
export interface Redactor {
  /** A new, independent scrubber; call it once per output stream. */
  stream(): StreamRedactor;
  /** How often each secret was replaced so far in all streams together, by name; a name with none is left out. */
  masked(): Record<string, number>;
}

/**
 * Makes the redactor of a run. Every occurrence of a value, in each encoding of redact-encodings.ts and however the
 * stream is cut into chunks, becomes `[masked:NAME]`; all other bytes stay as they are.
 *
 * In: names and values; the same value under two names goes by the first. A value under 8 bytes is left out, because
 * masking it would eat ordinary output: `whyUnmaskable` has stopped such a run unless its formula says `unmasked`.
 * Never throws; keeps no state outside itself. Occurrences that overlap become one mask, named after the longest.
 */
export function createRedactor(secrets: readonly Secret[]): Redactor {
  const values = secrets.map(({ value }) => value);
  const needles = secrets.flatMap(({ name, value }) => {
    const mask = Buffer.from(maskOf(name, values));
    return textsOf(value).map((text) => ({ name, mask, bytes: Buffer.from(text) }));
  });
  const index = new forms.PrefixIndex(needles.map(({ bytes }) => bytes));
  const counts = new Map<string, number>();
  return {
    stream: () => new Scrubber({ needles, index, counts }),
    masked: () => Object.fromEntries(counts),
  };
}

interface Needle {
  readonly name: string;
  readonly mask: Uint8Array;
  readonly bytes: Uint8Array;
}

/** What the streams of one run share. */
interface Plan {
  readonly needles: readonly Needle[];
  readonly index: forms.PrefixIndex;
  readonly counts: Map<string, number>;
}

/** Kinds of a thread that still gathers its first four bytes: as they come, or with line breaks left out. */
const GATHER = -1;
const GATHER_WRAPPED = -2;

/** One reading of the stream that may turn out to be a secret. Positions count from the stream's first byte. */
interface Thread {
  readonly start: number;
  readonly kind: number;
  readonly needle: number;
  mode: number;
  /** The next byte to read. */
  pos: number;
  /** Symbols matched; while gathering, bytes gathered, and `key` holds them. */
  index: number;
  key: number;
  skipped: number;
  /** Where the secret ends if nothing more belongs to it; -1 as long as it is none. */
  end: number;
}

function newThread(start: number, kind: number, needle: number): Thread {
  return { start, kind, needle, mode: forms.LITERAL, pos: start, index: 0, key: 0, skipped: 0, end: -1 };
}

/** Matches that overlap without end (`abcabcabc…`) are cut into masks, lest the stream be held back without end. */
const MAX_CLUSTER = 1 << 16;
/** Wrapped output has lines at least this wide; for narrower ones (`Done`, break) holding back would be for nothing. */
const MIN_WIDTH = 16;
/** Bytes looked at again after they were forwarded: the line before a break. */
const LOOK_BACK = MIN_WIDTH + 1;
/** Longer chunks are worked off in slices, which bounds the window. */
const SLICE = 1 << 16;

/**
 * Threads read the stream byte by byte, each on its own, so that cutting the stream changes nothing but when they read.
 * What is before every thread and every possible beginning of one is settled: masked where matches cover it, else as
 * it was.
 */
class Scrubber implements StreamRedactor {
  readonly #plan: Plan;
  readonly #window: forms.Window = { bytes: new Uint8Array(0), end: 0, final: false };
  /** Position of the window's first byte; the others are positions as well. */
  #base = 0;
  #scanned = 0;
  #settled = 0;
  /** The last four bytes scanned. */
  #key = 0;
  /** Threads that need more bytes. */
  #waiting: Thread[] = [];
  /** Threads that came to their end, until it is settled which of them name a mask. */
  #matches: Thread[] = [];

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  write(chunk: Uint8Array): Uint8Array {
    if (this.#window.final) throw new Error('written to a stream redactor after its end');
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < chunk.length; at += SLICE) {
      this.#append(chunk.subarray(at, at + SLICE));
      pieces.push(this.#advance());
    }
    return Buffer.concat(pieces);
  }

  end(): Uint8Array {
    this.#window.final = true;
    return this.#advance();
  }

  #advance(): Uint8Array {
    for (const thread of this.#waiting.splice(0)) this.#run(thread);
    this.#scan();
    return this.#settle();
  }

  #append(chunk: Uint8Array): void {
    const { bytes, end } = this.#window;
    if (end + chunk.length > bytes.length) {
      const from = Math.max(0, Math.min(this.#settled - this.#base, end - LOOK_BACK));
      this.#window.bytes = new Uint8Array(2 * (end - from + chunk.length));
      this.#window.bytes.set(bytes.subarray(from, end));
      this.#window.end = end - from;
      this.#base += from;
    }
    this.#window.bytes.set(chunk, this.#window.end);
    this.#window.end += chunk.length;
  }

  #scan(): void {
    const { bytes, end } = this.#window;
    const { filter, shift } = this.#plan.index;
    let key = this.#key;
    for (let at = this.#scanned - this.#base; at < end; at += 1) {
      const byte = bytes[at] ?? 0;
      key = (key << 8) | byte;
      const hit = (filter[Math.imul(key, forms.MULTIPLIER) >>> shift] ?? 0) & 8;
      if ((hit | (forms.SPECIAL[byte] ?? 0)) !== 0) this.#inspect(this.#base + at, key);
    }
    this.#key = key;
    this.#scanned = this.#base + end;
  }

  /** Starts the threads that have the byte at `at` as their fourth, or as an escape or line break in their first four. */
  #inspect(at: number, key: number): void {
    if (this.#plan.index.mayBegin(key, 4)) this.#begin(at - 3, key);
    const inWindow = at - this.#base;
    if (forms.isLineBreak(key & 255)) {
      for (const head of [1, 2, 3]) if (this.#isWrapped(inWindow, head)) this.#seed(at, head, key >>> 8, forms.LITERAL);
    } else {
      const mode = forms.forkAt(forms.LITERAL, this.#window, inWindow);
      if (mode !== forms.LITERAL) for (const head of [0, 1, 2, 3]) this.#seed(at, head, key >>> 8, mode);
    }
  }

  /** Starts a thread that began `head` bytes before `at` (the last ones of `key`) and reads on there in another way. */
  #seed(at: number, head: number, key: number, mode: number): void {
    const before = head === 0 ? 0 : key & ((1 << (8 * head)) - 1);
    if (head > 0 && !this.#plan.index.mayBegin(before, head)) return;
    const first = forms.singleByte(forms.decode(mode, this.#window, at - this.#base));
    if (first >= 0 && !this.#plan.index.mayBegin((before << 8) | first, head + 1)) return;
    const kind = mode === forms.LITERAL ? GATHER_WRAPPED : GATHER;
    this.#run({ ...newThread(at - head, kind, 0), mode, pos: at, index: head, key: before });
  }

  /** Whether the break at `at` of the window may be one of wrapped output, in which a secret began `head` bytes before. */
  #isWrapped(at: number, head: number): boolean {
    const { bytes } = this.#window;
    return forms.COLUMNS.some((belongs) => {
      let from = at;
      while (from > 0 && at - from < MIN_WIDTH && belongs(bytes[from - 1] ?? 0)) from -= 1;
      const startsLine = this.#base + from === 0 || forms.isLineBreak(bytes[from - 1] ?? 0);
      return at - from === MIN_WIDTH || (at - from === head && startsLine);
    });
  }

  #begin(start: number, key: number): void {
    if (start < 0) return;
    this.#plan.index.eachBeginning(key, (needle, kind) => this.#run(newThread(start, kind, needle)));
  }

  /** Reads on until the thread fails, ends in a match, or needs bytes that are not there yet. */
  #run(thread: Thread): void {
    for (let going = true; going; ) {
      const at = thread.pos - this.#base;
      const more = at < this.#window.end;
      const mode = more ? forms.forkAt(thread.mode, this.#window, at) : forms.LITERAL;
      if (mode !== forms.LITERAL) this.#run({ ...thread, mode });
      const unit = more ? forms.decode(thread.mode, this.#window, at) : forms.NEED_MORE;
      if (unit === forms.NEED_MORE && !this.#window.final) {
        this.#waiting.push(thread);
        return;
      }
      const bytes = more ? forms.advance(thread, unit) : [];
      going = more && bytes.every((taken) => this.#take(thread, taken));
    }
    if (thread.end >= 0) this.#matches.push(thread);
  }

  #gather(thread: Thread, byte: number): boolean {
    if (forms.isFiller(forms.BASE64, thread.index, thread.skipped, byte)) {
      thread.skipped += 1;
      if (thread.kind === GATHER_WRAPPED) return true;
      this.#run({ ...thread, kind: GATHER_WRAPPED });
    }
    thread.key = (thread.key << 8) | byte;
    thread.index += 1;
    thread.skipped = 0;
    if (!this.#plan.index.mayBegin(thread.key, thread.index)) return false;
    if (thread.index === 4) this.#begin(thread.start, thread.key);
    return thread.index < 4;
  }

  #take(thread: Thread, byte: number): boolean {
    const { kind } = thread;
    if (kind < 0) return this.#gather(thread, byte);
    const secret = (this.#plan.needles[thread.needle] as Needle).bytes;
    const over = thread.index - forms.symbolsIn(kind, secret);
    const fits = forms.isNext(kind, secret, thread.index, byte);
    thread.skipped = fits ? 0 : thread.skipped + 1;
    if (!fits) return over <= 0 && forms.isFiller(kind, thread.index, thread.skipped - 1, byte);
    thread.index += 1;
    if (over >= -1) thread.end = thread.pos;
    return over + 1 < forms.tailLength(kind, secret) || over < -1;
  }

  /** Forwards what can't change any more: up to the first byte that a thread or the beginning of one may still claim. */
  #settle(): Uint8Array {
    const hold = this.#hold();
    const pieces: Uint8Array[] = [];
    this.#matches.sort((a, b) => a.start - b.start);
    let next = 0;
    for (let first = this.#matches[0]; first !== undefined; first = this.#matches[next]) {
      const cluster = clusterAt(this.#matches, next);
      if (cluster.end > hold) break;
      next = cluster.next;
      if (cluster.end <= this.#settled) continue;
      this.#forward(first.start, pieces);
      const { name, mask } = this.#plan.needles[cluster.named.needle] as Needle;
      pieces.push(mask);
      this.#settled = cluster.end;
      this.#plan.counts.set(name, (this.#plan.counts.get(name) ?? 0) + 1);
    }
    this.#matches = this.#matches.slice(next);
    this.#forward(Math.min(hold, this.#matches[0]?.start ?? hold), pieces);
    return Buffer.concat(pieces);
  }

  #hold(): number {
    const end = this.#base + this.#window.end;
    if (this.#window.final) return end;
    const heads = [3, 2, 1].filter((length) => length <= end && this.#plan.index.mayBegin(this.#key, length));
    return this.#waiting.reduce((hold, { start }) => Math.min(hold, start), end - (heads[0] ?? 0));
  }

  #forward(to: number, pieces: Uint8Array[]): void {
    if (to <= this.#settled) return;
    pieces.push(this.#window.bytes.subarray(this.#settled - this.#base, to - this.#base));
    this.#settled = to;
  }
}

/** The matches (sorted by start) that overlap from number `first` on; named after the longest, then the first secret. */
function clusterAt(matches: readonly Thread[], first: number): { named: Thread; end: number; next: number } {
  let [named, end, next] = [matches[first] as Thread, 0, first];
  const limit = named.start + MAX_CLUSTER;
  for (let match: Thread | undefined = named; match !== undefined; match = matches[next]) {
    if (next > first && match.start >= Math.min(end, limit)) break;
    const longer = match.end - match.start - (named.end - named.start);
    if (longer > 0 || (longer === 0 && match.needle < named.needle)) named = match;
    end = Math.max(end, match.end);
    next += 1;
  }
  return { named, end, next };
}
