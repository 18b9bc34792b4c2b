import { backoffMs } from '../../../domain/backoff.ts';
import type { AttemptToken } from '../../../domain/ids.ts';
import type { Run } from '../../../domain/run.ts';
import { TransientError, toError } from '../../../errors.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { LogStream } from '../../../ports/engine.ts';
import type { Log } from '../../../ports/log.ts';
import { Lanes } from '../../lanes.ts';
import type { Spool } from './spool.ts';
import type { Timing } from './timing.ts';

export interface OutputTools {
  readonly spool: Spool;
  readonly clock: Clock;
  readonly log: Log;
  readonly timing: Timing;
  /** The allocation that counts for this run; null: the engine has none (any more). */
  readonly allocationOf: (run: Run, signal?: AbortSignal) => Promise<string | null>;
}

export interface DrainFrom {
  readonly allocation: string;
  readonly isLast: boolean;
  readonly isLost?: boolean;
}

/** Runs drained at once: each is a read of both streams from the machine where the run is. */
const DRAINS_AT_ONCE = 4;
/** The last drain: after so many tries the run's end matters more than what is left of its output. */
const LAST_TRIES = 6;
/** Of a run whose place is gone: its machine hardly ever answers again. */
const LOST_TRIES = 2;

/** What runs have said, kept in the spool while they run, because Nomad's clients collect logs early. */
export class Output {
  readonly #tools: OutputTools;
  readonly #lanes = new Lanes(DRAINS_AT_ONCE);
  /** Runs that have ended and whose output is in the spool: the engine has no more to give. */
  readonly #complete = new Set<AttemptToken>();

  constructor(tools: OutputTools) {
    this.#tools = tools;
  }

  /**
   * Keeps what is there now; `isLast`: the run has ended, so all of it, with some tries. Ends without an error: what can
   * not be had is logged. An aborted signal ends it.
   */
  async drain(run: Run, from: DrainFrom, signal: AbortSignal): Promise<void> {
    const { spool, clock, log, timing } = this.#tools;
    const { allocation, isLast, isLost = false } = from;
    const most = isLost ? LOST_TRIES : isLast ? LAST_TRIES : 1;
    for (let tries = 1; !signal.aborted; tries += 1) {
      try {
        const drained = await this.#lanes.run(() => spool.drain(run, allocation, signal));
        if (isLast) this.#complete.add(run.token);
        if (isLast) log.debug('the output of a run is kept', { run: run.id, ...drained });
        return;
      } catch (error) {
        if (signal.aborted) return;
        const isFinal = !(error instanceof TransientError) || tries >= most;
        if (isFinal) return this.#giveUp(run, from, toError(error));
      }
      await clock.sleep(Math.min(backoffMs(tries, clock.random()), timing.retryMs), signal);
    }
  }

  #giveUp(run: Run, { isLast, isLost }: DrainFrom, err: Error): void {
    // Its place is gone: nothing more ever comes, so nobody has to wait for it.
    if (isLost === true) this.#complete.add(run.token);
    // Of one that goes on it is read again soon; a node that is away would else be a line a run each time.
    const say = isLast ? 'warn' : 'debug';
    this.#tools.log[say]('the output of a run can not be read', { run: run.id, err });
  }

  /** See `Engine.logs`. Errors: TransientError, StalledError. */
  async *read(run: Run, stream: LogStream, offset: number, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    const { spool, allocationOf } = this.#tools;
    if (!this.#complete.has(run.token)) {
      const allocation = await allocationOf(run, signal);
      if (allocation !== null) await this.#lanes.run(() => spool.drain(run, allocation, signal));
    }
    yield* spool.read(run.token, stream, offset, signal);
  }

  async forget(token: AttemptToken): Promise<void> {
    this.#complete.delete(token);
    await this.#tools.spool.forget(token);
  }
}
