import type { FileHandle } from 'node:fs/promises';
import type { Frame } from './logs-frames.ts';

/** So much of the spool is read again from Nomad, to see that both are still of one piece. */
const OVERLAP_BYTES = 4096;

/** The spool of one stream. */
export class SpoolFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** Where the next read is to begin, and what takes its frames; the file grows to at most `maxBytes`. */
  async joint(maxBytes: number): Promise<Joint> {
    const { size } = await this.#handle.stat();
    const last = Buffer.alloc(Math.min(size, OVERLAP_BYTES));
    await this.#handle.read(last, 0, last.length, size - last.length);
    return new Joint(this.#handle, { size, last, maxBytes });
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** Where a log joins on to the spool: it has to begin with the spool's last bytes and to have no hole. */
class Joint {
  /** For the log to be read from. */
  readonly offset: number;
  /** Bytes that were new. */
  added = 0;
  readonly #handle: FileHandle;
  readonly #size: number;
  readonly #maxBytes: number;
  #expected: Buffer;
  #file: number | null = null;

  constructor(handle: FileHandle, { size, last, maxBytes }: { size: number; last: Buffer; maxBytes: number }) {
    this.#handle = handle;
    this.#size = size;
    this.#maxBytes = maxBytes;
    this.#expected = last;
    this.offset = size - last.length;
  }

  /** The log has gone at least as far as the spool. */
  get isMet(): boolean {
    return this.#expected.length === 0;
  }

  /** False: it does not join on. Nothing of this frame was written then. */
  async add({ file, bytes }: Frame): Promise<boolean> {
    if (!this.#follows(file)) return false;
    const again = Math.min(bytes.length, this.#expected.length);
    if (this.#expected.compare(bytes, 0, again, 0, again) !== 0) return false;
    this.#expected = this.#expected.subarray(again);
    const fresh = bytes.subarray(again);
    const position = this.#size + this.added;
    if (position + fresh.length > this.#maxBytes) return false;
    await write(this.#handle, fresh, position);
    this.added += fresh.length;
    return true;
  }

  /** Of a rotated log, the files come one after the other; one that is left out was deleted meanwhile. */
  #follows(file: string): boolean {
    const before = this.#file;
    this.#file = Number(/\.(\d{1,9})$/.exec(file)?.[1] ?? 0);
    return before === null || this.#file === before || this.#file === before + 1;
  }
}

async function write(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}
