import { z } from 'zod';
import { TransientError } from '../../../errors.ts';

const frameSchema = z.object({
  /** Base64; absent in a heartbeat and where only something happened to the file. */
  Data: z.base64().nullish(),
  /** `alloc/logs/runner.stdout.0`; the number counts the files of a rotated log. */
  File: z.string().nullish(),
});

export interface Frame {
  readonly file: string;
  readonly bytes: Uint8Array;
}

/** Data is at most 64 KiB a frame. */
const MAX_FRAME_BYTES = 1024 ** 2;

const OPEN = 0x7b;
const CLOSE = 0x7d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Takes apart the body of a log in frames: JSON objects, one glued to the next, cut anywhere by the chunks. Frames
 * without data are left out. What lies between frames is an error that Nomad found after its 200: TransientError, and
 * none of its text becomes output.
 */
export class FrameSplitter {
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;

  push(chunk: Uint8Array): readonly Frame[] {
    const frames: Frame[] = [];
    let start = 0;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at] ?? 0;
      if (this.#depth === 0 && byte !== OPEN) {
        if (!isSpace(byte)) throw broken('an error stands in the place of a frame');
        start = at + 1;
      } else if (this.#isEnd(byte)) {
        this.#hold(chunk.subarray(start, at + 1));
        start = at + 1;
        const frame = this.#take();
        if (frame !== null) frames.push(frame);
      }
    }
    this.#hold(chunk.subarray(start));
    return frames;
  }

  /** To be called when the body has ended. Throws TransientError when it broke off in a frame. */
  end(): void {
    if (this.#depth > 0) throw broken('it ended in the middle of a frame');
  }

  /** Goes one byte on; true after the last one of a frame. */
  #isEnd(byte: number): boolean {
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false;
      else if (byte === BACKSLASH) this.#escaped = true;
      else if (byte === QUOTE) this.#inString = false;
      return false;
    }
    if (byte === QUOTE) this.#inString = true;
    else if (byte === OPEN) this.#depth += 1;
    else if (byte === CLOSE) this.#depth -= 1;
    return this.#depth === 0;
  }

  #hold(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
    if (this.#heldBytes > MAX_FRAME_BYTES) throw broken('a frame is too large');
  }

  #take(): Frame | null {
    const text = Buffer.concat(this.#held).toString('utf8');
    this.#held = [];
    this.#heldBytes = 0;
    const frame = parse(text);
    const data = frame.Data ?? '';
    return data === '' ? null : { file: frame.File ?? '', bytes: Buffer.from(data, 'base64') };
  }
}

function parse(text: string): z.output<typeof frameSchema> {
  try {
    return frameSchema.parse(JSON.parse(text));
  } catch {
    throw broken('something in it is no frame');
  }
}

const isSpace = (byte: number): boolean => byte === 0x0a || byte === 0x0d || byte === 0x20 || byte === 0x09;

const broken = (what: string): TransientError =>
  new TransientError('ERR_ENGINE_UNAVAILABLE', `the log broke off: ${what}`);
