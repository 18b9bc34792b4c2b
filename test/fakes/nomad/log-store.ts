/** The logs on the client: files of a fixed size, the oldest of which goes when there are too many. */

export interface LogName {
  readonly task: string;
  readonly stream: 'stdout' | 'stderr';
}

interface LogFile {
  readonly number: number;
  bytes: Buffer;
}

/** A piece of one file; `end` is the position after it in that file. */
export interface LogPiece {
  readonly file: string;
  readonly end: number;
  readonly bytes: Buffer;
}

export interface LogLimits {
  readonly fileBytes: number;
  readonly files: number;
}

const PIECE_BYTES = 65_536;

export class LogStore {
  readonly #logs = new Map<string, LogFile[]>();
  readonly #listeners = new Map<string, Set<(piece: LogPiece) => void>>();
  readonly #collected = new Set<string>();
  /** A file is full at the last line that still fits. */
  add(allocationId: string, name: LogName, bytes: Buffer, limits: LogLimits): void {
    const key = keyOf(allocationId, name);
    const files = this.#logs.get(key) ?? [{ number: 0, bytes: Buffer.alloc(0) }];
    this.#logs.set(key, files);
    for (let rest = bytes; rest.length > 0; ) {
      const last = files.at(-1) ?? { number: 0, bytes: Buffer.alloc(0) };
      const part = fitting(rest, limits.fileBytes - last.bytes.length, last.bytes.length === 0);
      last.bytes = Buffer.concat([last.bytes, part]);
      rest = rest.subarray(part.length);
      const piece = { file: fileName(name, last.number), end: last.bytes.length, bytes: part };
      if (part.length > 0) for (const listener of this.#listeners.get(key) ?? []) listener(piece);
      if (rest.length > 0) files.push({ number: last.number + 1, bytes: Buffer.alloc(0) });
      if (files.length > limits.files) files.shift();
    }
  }

  /** What is kept from `offset` on, counted from the start, or this many bytes from the end. */
  read(allocationId: string, name: LogName, offset: number, origin: 'start' | 'end'): readonly LogPiece[] {
    const files = this.#logs.get(keyOf(allocationId, name)) ?? [];
    const total = files.reduce((sum, file) => sum + file.bytes.length, 0);
    let skip = origin === 'end' || offset < 0 ? Math.max(total - Math.abs(offset), 0) : offset;
    return files.flatMap((file) => {
      const from = Math.min(skip, file.bytes.length);
      skip -= from;
      return piecesOf(fileName(name, file.number), file.bytes, from);
    });
  }

  /** Calls with every later piece until the answer is called. */
  follow(allocationId: string, name: LogName, listener: (piece: LogPiece) => void): () => void {
    const key = keyOf(allocationId, name);
    const listeners = this.#listeners.get(key) ?? new Set();
    this.#listeners.set(key, listeners);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  /** The oldest bytes of a log are gone: it starts later, without a sign. */
  dropOldest(allocationId: string, name: LogName, count: number): void {
    const files = this.#logs.get(keyOf(allocationId, name)) ?? [];
    const all = Buffer.concat(files.map((file) => file.bytes)).subarray(count);
    this.#logs.set(keyOf(allocationId, name), [{ number: (files.at(-1)?.number ?? 0) + 1, bytes: all }]);
  }

  /** The client has deleted the directory of the allocation. */
  collect(allocationId: string): void {
    this.#collected.add(allocationId);
  }

  isCollected(allocationId: string): boolean {
    return this.#collected.has(allocationId);
  }
}

/** All of it, or as many whole lines as there is room for; a line longer than a file is broken. */
function fitting(bytes: Buffer, room: number, isEmpty: boolean): Buffer {
  if (bytes.length <= room) return bytes;
  const lines = bytes.subarray(0, Math.max(room, 0)).lastIndexOf(10) + 1;
  return bytes.subarray(0, lines === 0 && isEmpty ? room : lines);
}

function piecesOf(file: string, bytes: Buffer, from: number): LogPiece[] {
  const pieces: LogPiece[] = [];
  for (let at = from; at < bytes.length; at += PIECE_BYTES) {
    const part = bytes.subarray(at, at + PIECE_BYTES);
    pieces.push({ file, end: at + part.length, bytes: part });
  }
  return pieces;
}

function fileName({ task, stream }: LogName, number: number): string {
  return `alloc/logs/${task}.${stream}.${number}`;
}

function keyOf(allocationId: string, { task, stream }: LogName): string {
  return `${allocationId}/${task}.${stream}`;
}
