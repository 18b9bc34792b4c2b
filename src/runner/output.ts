import { createHash } from 'node:crypto';
import { write } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Redactor, StreamRedactor } from '../domain/redact.ts';
import { isFull, whenThereIsRoom } from './room.ts';
import { errorCode } from './runner-error.ts';

/** What was forwarded of one stream, as the trailer tells it. */
export interface StreamSummary {
  readonly bytes: number;
  readonly sha256: string;
  /** Not all of it: the limit was reached, or nobody takes our output any more. */
  readonly cut: boolean;
}

const RETRY_MS = 5;
const NEWLINE = 0x0a;
const NOTHING = new Uint8Array();
const writeOnce = promisify(write);

/** One of the runner's own streams: everything written to it is scrubbed, cut at the limit, counted and hashed. */
export class OutputStream {
  readonly #fd: number;
  readonly #limit: number;
  readonly #redactor: StreamRedactor;
  readonly #hash = createHash('sha256');
  #bytes = 0;
  #cut = false;
  #lastByte = NEWLINE;

  /** `limit`: most bytes that are forwarded. */
  constructor(fd: number, limit: number, redactor: Redactor) {
    this.#fd = fd;
    this.#limit = limit;
    this.#redactor = redactor.stream();
  }

  /** Resolves when the bytes are handed over (or dropped, behind the cut): whoever waits for it has back-pressure. */
  async write(chunk: Uint8Array): Promise<void> {
    if (!this.#cut) await this.#forward(this.#scrub(() => this.#redactor.write(chunk)));
  }

  /** Forwards what was held back. Nothing but `line` may follow. */
  async end(): Promise<void> {
    if (!this.#cut) await this.#forward(this.#scrub(() => this.#redactor.end()));
  }

  /** A line of the runner's own, counted as part of the stream; on a line of its own. */
  async line(text: string): Promise<void> {
    const start = this.#lastByte === NEWLINE ? '' : '\n';
    if (!this.#cut) await this.#forward(Buffer.from(`${start}${text}\n`));
  }

  /** To be asked once, when all is written. */
  summary(): StreamSummary {
    return { bytes: this.#bytes, sha256: this.#hash.digest('hex'), cut: this.#cut };
  }

  /** Should the scrubber fail, nothing more is forwarded, least of all what it did not scrub. */
  #scrub(scrub: () => Uint8Array): Uint8Array {
    try {
      return scrub();
    } catch {
      this.#cut = true;
      return NOTHING;
    }
  }

  async #forward(scrubbed: Uint8Array): Promise<void> {
    const kept = scrubbed.subarray(0, this.#limit - this.#bytes);
    const written = await writeAll(this.#fd, kept);
    this.#hash.update(kept.subarray(0, written));
    this.#bytes += written;
    this.#lastByte = kept[written - 1] ?? this.#lastByte;
    if (written < scrubbed.length) this.#cut = true;
  }
}

/**
 * Writes all of it, to a file or to a pipe of either kind, and says how much was taken. Less only where nobody reads any
 * more or the disk is full. Never blocks the event loop: deadline and TERM are heard while a reader is slow.
 */
export async function writeAll(fd: number, bytes: Uint8Array): Promise<number> {
  const { written } = await writeUntilRefused(fd, bytes);
  return written;
}

/** The same for what has to be there: while the disk is full it waits for room. */
export async function writeWhole(fd: number, bytes: Uint8Array): Promise<void> {
  let left = bytes;
  const write = async () => {
    const { written, refusal } = await writeUntilRefused(fd, left);
    left = left.subarray(written);
    if (isFull(refusal)) throw refusal;
  };
  await whenThereIsRoom(write).catch(() => undefined);
}

/** `refusal`: what was thrown in place of taking the rest; undefined: all was taken. */
async function writeUntilRefused(fd: number, bytes: Uint8Array): Promise<{ written: number; refusal?: unknown }> {
  let written = 0;
  while (written < bytes.length) {
    try {
      written += (await writeOnce(fd, bytes, written, bytes.length - written, null)).bytesWritten;
    } catch (refusal) {
      if (errorCode(refusal) !== 'EAGAIN') return { written, refusal };
      await delay(RETRY_MS);
    }
  }
  return { written };
}
