import { spawnSync } from 'node:child_process';
import { chownSync, closeSync, constants, openSync, readlinkSync, unlinkSync } from 'node:fs';
import { Socket } from 'node:net';
import path from 'node:path';
import { STANDARD_PATH } from './environment.ts';
import type { OutputStream } from './output.ts';
import type { Places } from './places.ts';
import { RunnerError } from './runner-error.ts';

const MKFIFO = 'mkfifo';

/** Throws RunnerError (ERR_RUNNER) where no pipes can be made. */
export function makePipes(places: Places): { readonly stdout: Pipe; readonly stderr: Pipe } {
  const [stdout, stderr] = [path.join(places.given, 'stdout'), path.join(places.given, 'stderr')];
  const made = spawnSync(MKFIFO, ['-m', '600', stdout, stderr], { env: { PATH: STANDARD_PATH }, stdio: 'ignore' });
  if (made.status !== 0) throw new RunnerError('ERR_RUNNER', "mkfifo failed: the runner can't make its pipes");
  return { stdout: new Pipe(stdout, places), stderr: new Pipe(stderr, places) };
}

/**
 * Takes one stream of the command to one of ours. A real pipe, which child_process has not: it makes sockets, and a
 * program that opens /dev/stderr fails on these. The command's user owns it, or it could not open it by that name.
 */
export class Pipe {
  /** The end for the command; closed by `release` as soon as the command has it. */
  readonly fd: number;
  /** As /proc/<pid>/fd shows it. */
  readonly label: string;
  readonly #source: Socket;
  #isForwarding = false;

  constructor(file: string, { owner }: Places) {
    if (owner !== null) chownSync(file, owner.uid, owner.gid);
    // In this order neither waits for the other end.
    const readEnd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    this.fd = openSync(file, constants.O_WRONLY);
    unlinkSync(file);
    this.label = readlinkSync(`/proc/self/fd/${this.fd}`);
    this.#source = new Socket({ fd: readEnd, readable: true, writable: false });
  }

  /** Nothing is on its way: with nobody left to write, there will be nothing more. */
  get isIdle(): boolean {
    return !this.#isForwarding && this.#source.readableLength === 0;
  }

  release(): void {
    closeSync(this.fd);
  }

  /** Forwards until every holder of the other end has closed it, or `close`; then what the scrubber held back. */
  async forwardTo(output: OutputStream): Promise<void> {
    try {
      for await (const chunk of this.#source as AsyncIterable<Uint8Array>) {
        this.#isForwarding = true;
        await output.write(chunk);
        this.#isForwarding = false;
      }
    } catch {
      // Closed by us, because somebody holds the other end for ever.
    }
    await output.end();
  }

  close(): void {
    this.#source.destroy();
  }
}
