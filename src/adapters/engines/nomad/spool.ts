import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { type AttemptToken, isAttemptToken } from '../../../domain/ids.ts';
import type { Run } from '../../../domain/run.ts';
import { TRAILER_MAX_BYTES } from '../../../domain/trailer.ts';
import { EdgeError, TransientError } from '../../../errors.ts';
import type { LogStream } from '../../../ports/engine.ts';
import type { EngineTools } from '../../factory.ts';
import { readRegular } from '../../regular-file.ts';
import { stateLayout } from '../../state-dir.ts';
import type { NomadClient } from './client.ts';
import { readLog } from './logs.ts';
import { SpoolFile } from './spool-file.ts';
import { RUNNER_TASK } from './types.ts';

/**
 * What a drain found of a stream. `kept`: all that Nomad has lies in the spool. `gone`, `not-started`: Nomad has nothing;
 * the spool is as it was. `apart`: what Nomad has does not join on to the spool (rotated, or more than may be kept), so
 * nothing was added; the runner's signed trailer then tells that the output is not complete.
 */
export type Kept = 'kept' | 'gone' | 'not-started' | 'apart';
export type Drained = Readonly<Record<LogStream, Kept>>;

const STREAMS: readonly LogStream[] = ['stdout', 'stderr'];
/** A log that seems shorter than the spool may be an answer that was cut: it is read so often before that is believed. */
const SHORT_READS = 3;

type Flight = Promise<Drained>;

/**
 * The output of runs, in `<state_dir>/cache/spool/<token>/`: Nomad's clients and servers collect it early, the spool
 * keeps it until the result is recorded. It may be deleted at any time; what Nomad still has is then read anew.
 */
export class Spool {
  readonly #client: NomadClient;
  readonly #root: string;
  readonly #maxBytes: number;
  /** By token: the drain under way, and the one that begins when it has ended. */
  readonly #flights = new Map<AttemptToken, { readonly now: Flight; next: Flight | null }>();
  /** Streams of which a part is missing: appending after it would hide that. */
  readonly #apart = new Set<string>();

  constructor(client: NomadClient, tools: Pick<EngineTools, 'stateDir' | 'wanted'>) {
    this.#client = client;
    this.#root = path.join(stateLayout(tools.stateDir).cache, 'spool');
    // The runner ends the output there and adds its trailer; what comes beyond is none of its output.
    this.#maxBytes = tools.wanted.logBytes + TRAILER_MAX_BYTES;
  }

  /**
   * Adds to the spool what Nomad has of both streams of this allocation, to the end. What was there when it was called is
   * read, whatever drain was under way. Safe to repeat. Throws TransientError, StalledError; what was read by then stays.
   */
  async drain(run: Run, allocation: string, signal?: AbortSignal): Promise<Drained> {
    const { token } = run;
    const flight = this.#flights.get(token);
    if (flight !== undefined) {
      flight.next ??= flight.now.then(
        () => this.#begin(run, allocation, signal),
        () => this.#begin(run, allocation, signal),
      );
      return await flight.next;
    }
    return await this.#begin(run, allocation, signal);
  }

  /** The bytes of the spool from `offset` on; nothing when there is none. Throws TransientError. */
  async *read(
    token: AttemptToken,
    stream: LogStream,
    offset: number,
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    try {
      yield* readRegular(path.join(this.#directory(token), stream), offset, signal);
    } catch (error) {
      throw unavailable('read', error);
    }
  }

  /** Removes the spool of a run; unknown is no error. */
  async forget(token: AttemptToken): Promise<void> {
    for (let flight = this.#flights.get(token); flight !== undefined; flight = this.#flights.get(token)) {
      await (flight.next ?? flight.now).catch(() => undefined);
    }
    for (const stream of STREAMS) this.#apart.delete(`${token}/${stream}`);
    try {
      await rm(this.#directory(token), { recursive: true, force: true });
    } catch (error) {
      throw unavailable('removed', error);
    }
  }

  #begin(run: Run, allocation: string, signal: AbortSignal | undefined): Flight {
    const now = this.#both(run.token, allocation, signal).finally(() => {
      const flight = this.#flights.get(run.token);
      if (flight?.now === now && flight.next === null) this.#flights.delete(run.token);
    });
    this.#flights.set(run.token, { now, next: null });
    return now;
  }

  async #both(token: AttemptToken, allocation: string, signal: AbortSignal | undefined): Promise<Drained> {
    const [stdout, stderr] = await Promise.allSettled(
      STREAMS.map((stream) => this.#one({ token, stream, allocation }, signal)),
    );
    return { stdout: settled(stdout), stderr: settled(stderr) };
  }

  async #one(of: StreamOf, signal: AbortSignal | undefined): Promise<Kept> {
    const name = `${of.token}/${of.stream}`;
    if (this.#apart.has(name)) return 'apart';
    const file = await this.#open(of);
    try {
      const kept = await this.#passes(file, of, signal);
      if (kept === 'apart') this.#apart.add(name);
      return kept;
    } catch (error) {
      throw error instanceof EdgeError || signal?.aborted === true ? error : unavailable('written', error);
    } finally {
      await file.close();
    }
  }

  /** Reads until nothing more comes. */
  async #passes(file: SpoolFile, of: StreamOf, signal: AbortSignal | undefined): Promise<Kept> {
    for (let shortReads = 0; shortReads < SHORT_READS; ) {
      signal?.throwIfAborted();
      const pass = await this.#pass(file, of, signal);
      if (pass !== 'short' && pass !== 'more') return pass;
      if (pass === 'short') shortReads += 1;
    }
    return 'apart';
  }

  /** One read of the log. `more`: it brought something, so there may be more; `short`: the spool is ahead of it. */
  async #pass(file: SpoolFile, of: StreamOf, signal: AbortSignal | undefined): Promise<Kept | 'more' | 'short'> {
    const joint = await file.joint(this.#maxBytes);
    const log = readLog(this.#client, { ...of, task: RUNNER_TASK, offset: joint.offset }, signal);
    try {
      for (let next = await log.next(); ; next = await log.next()) {
        if (next.done === true) {
          if (next.value !== 'end') return next.value;
          if (!joint.isMet) return 'short';
          return joint.added > 0 ? 'more' : 'kept';
        }
        if (!(await joint.add(next.value))) return 'apart';
      }
    } finally {
      await log.return('end');
    }
  }

  async #open({ token, stream }: StreamOf): Promise<SpoolFile> {
    const directory = this.#directory(token);
    let handle: FileHandle;
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
      handle = await open(path.join(directory, stream), flags, 0o600);
    } catch (error) {
      throw unavailable('written', error);
    }
    return new SpoolFile(handle);
  }

  #directory(token: AttemptToken): string {
    if (!isAttemptToken(token)) throw new Error('not an attempt token');
    return path.join(this.#root, token);
  }
}

interface StreamOf {
  readonly token: AttemptToken;
  readonly stream: LogStream;
  readonly allocation: string;
}

function settled(result: PromiseSettledResult<Kept> | undefined): Kept {
  if (result?.status === 'fulfilled') return result.value;
  throw result?.reason;
}

function unavailable(what: string, error: unknown): TransientError {
  const why = error instanceof Error && 'code' in error ? String(error.code) : 'it failed';
  return new TransientError('ERR_ENGINE_UNAVAILABLE', `the log spool can not be ${what}: ${why}`);
}
