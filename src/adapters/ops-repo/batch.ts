import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { GitFailure } from './failure.ts';
import type { Git } from './git.ts';
import { closingError } from './git.ts';

export interface GitObject {
  readonly oid: string;
  readonly type: string;
  readonly size: number;
  /** null: larger than the limit, it was passed over. */
  readonly content: Buffer | null;
}

interface Request {
  readonly name: string;
  readonly limit: number;
  readonly resolve: (object: GitObject | null) => void;
  readonly reject: (error: Error) => void;
}

/** What of the answer to the oldest request is still to come. */
type Expected =
  | { readonly part: 'header' }
  | { readonly part: 'content'; readonly object: GitObject; readonly chunks: Buffer[]; left: number };

/**
 * One `git cat-file --batch` process that answers in order; started at the first request and again when it died. A
 * reader of many small objects pays for one process.
 */
export class Batch {
  readonly #git: Git;
  #child: ChildProcessWithoutNullStreams | undefined;
  #waiting: Request[] = [];
  #expected: Expected = { part: 'header' };
  #line = Buffer.alloc(0);

  constructor(git: Git) {
    this.#git = git;
  }

  /** The object of this name (an id or `<id>:<path>`), null when there is none. Throws GitFailure. */
  read(name: string, limit: number): Promise<GitObject | null> {
    if (this.#git.closing.aborted) return Promise.reject(closingError());
    // The protocol is one name a line: nothing with a line break can be asked for, or be there for us.
    if (/[\n\r\0]/.test(name)) return Promise.resolve(null);
    return new Promise((resolve, reject) => {
      this.#child ??= this.#start();
      this.#waiting.push({ name, limit, resolve, reject });
      this.#child.stdin.write(`${name}\n`);
    });
  }

  /** Ends the process; what waits for an answer gets `error`, the next request starts another process. */
  async stop(error: Error): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
    child.stdin.end();
    child.kill('SIGTERM');
    this.#fail(error);
    await gone;
  }

  #start(): ChildProcessWithoutNullStreams {
    const child = this.#git.spawn(['cat-file', '--batch']);
    this.#expected = { part: 'header' };
    this.#line = Buffer.alloc(0);
    const isPresent = (): boolean => this.#child === child;
    child.stdin.on('error', () => undefined);
    child.stderr.resume();
    child.stdout.on('data', (chunk: Buffer) => {
      if (isPresent()) this.#take(chunk);
    });
    child.once('error', () => undefined);
    // It ends by itself only when the clone is gone or can't be read.
    child.once('close', () => {
      if (!isPresent()) return;
      this.#child = undefined;
      this.#fail(new GitFailure('damaged', 'git cat-file'));
    });
    return child;
  }

  #fail(error: Error): void {
    const failed = this.#waiting;
    this.#waiting = [];
    for (const request of failed) request.reject(error);
  }

  #take(chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0) {
      rest = this.#expected.part === 'header' ? this.#takeHeader(rest) : this.#takeContent(rest, this.#expected);
    }
  }

  #takeHeader(chunk: Buffer): Buffer {
    const end = chunk.indexOf(10);
    if (end === -1) {
      this.#line = Buffer.concat([this.#line, chunk]);
      return chunk.subarray(chunk.length);
    }
    const line = Buffer.concat([this.#line, chunk.subarray(0, end)]).toString('utf8');
    this.#line = Buffer.alloc(0);
    const [, id = '', type = '', size = ''] = /^([0-9a-f]{40,64}) ([a-z]+) ([0-9]+)$/.exec(line) ?? [];
    if (id === '') this.#answer(null);
    else this.#expectContent({ oid: id, type, size: Number(size), content: null });
    return chunk.subarray(end + 1);
  }

  #expectContent(object: GitObject): void {
    // One line feed follows the content.
    this.#expected = { part: 'content', object, chunks: [], left: object.size + 1 };
  }

  #takeContent(chunk: Buffer, expected: Extract<Expected, { part: 'content' }>): Buffer {
    const part = chunk.subarray(0, expected.left);
    expected.left -= part.length;
    const limit = this.#waiting[0]?.limit ?? 0;
    if (expected.object.size <= limit) expected.chunks.push(part);
    if (expected.left === 0) {
      const { object } = expected;
      const content = object.size <= limit ? Buffer.concat(expected.chunks).subarray(0, object.size) : null;
      this.#answer({ ...object, content });
    }
    return chunk.subarray(part.length);
  }

  #answer(object: GitObject | null): void {
    this.#expected = { part: 'header' };
    this.#waiting.shift()?.resolve(object);
  }
}
