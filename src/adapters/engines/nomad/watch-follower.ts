import type { Run, RunEnd, RunStatus } from '../../../domain/run.ts';
import { TransientError, toError } from '../../../errors.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { Log } from '../../../ports/log.ts';
import type { Latest } from '../shared/latest.ts';
import type { Hub, Listener, Membership } from './hub.ts';
import type { News } from './hub-view.ts';
import { type Reading, readStatus, statusOf } from './status.ts';
import type { Timing } from './timing.ts';
import type { DrainFrom } from './watch-output.ts';

export interface FollowerTools {
  readonly hub: Hub;
  readonly clock: Clock;
  readonly log: Log;
  readonly timing: Timing;
  /** How long a run may take to be placed. */
  readonly placementMs: number;
  /** How long one that is placed may take to start its runner (an image, a template): its wrapper must not have ended. */
  readonly startMs: number;
  /** Stops a child job without purging it; again is fine. Errors: TransientError, StalledError. */
  stop(child: string, signal: AbortSignal): Promise<void>;
  /**
   * Keeps what the run has said so far; `isLast`: all of it, now or never. Errors are the drain's own matter: it ends
   * when it has done what it can, or the signal is aborted.
   */
  drain(run: Run, from: DrainFrom, signal: AbortSignal): Promise<void>;
}

type Ended = Extract<Reading, { kind: 'ended' }>;

/**
 * One run, from the first watcher to its end or to the last watcher's leaving. Only a whole list of its allocations
 * decides; what an event tells meanwhile is passed on, and wakes.
 */
export class Follower implements Listener {
  readonly #run: Run;
  readonly #tools: FollowerTools;
  readonly #membership: Membership;
  readonly #readers = new Set<Latest<RunStatus | Error>>();
  readonly #over = new AbortController();
  #status: RunStatus | null = null;
  /** What takes longer than a moment: a stop, the last drain. What is heard meanwhile is looked at again after it. */
  #work: Promise<void> | null = null;
  #drain: Promise<void> = Promise.resolve();
  #drainedAt: number;
  #hasLooked = false;
  // Monotonic milliseconds, of the first time each was seen.
  #unplacedSince: number | null = null;
  #stoppedAt: number | null = null;
  #goneSince: number | null = null;
  #awaySince: number | null = null;
  /** Why it was not placed in time, once we have stopped it for that. */
  #notPlaced: string | null = null;

  constructor(run: Run, tools: FollowerTools) {
    this.#run = run;
    this.#tools = tools;
    this.#drainedAt = tools.clock.monotonic();
    this.#membership = tools.hub.join(run.id, this);
  }

  get isAlone(): boolean {
    return this.#readers.size === 0;
  }

  add(reader: Latest<RunStatus | Error>): void {
    this.#readers.add(reader);
    if (this.#status !== null) reader.put(this.#status);
  }

  remove(reader: Latest<RunStatus | Error>): void {
    this.#readers.delete(reader);
  }

  hint(): void {
    this.#membership.wish(0);
  }

  /** Nothing of it is under way any more when this resolves. */
  async end(): Promise<void> {
    this.#over.abort();
    await Promise.all([this.#membership.leave(), this.#work, this.#drain]);
  }

  hear(news: News): void {
    if (this.#work !== null || this.#over.signal.aborted) return;
    try {
      this.#consider(news);
    } catch (error) {
      this.#fail(toError(error));
    }
  }

  #consider(news: News): void {
    const reading = readStatus(news);
    if (news.isWhole) this.#decide(reading, news);
    else if (reading.kind === 'ended') this.#membership.wish(0);
    else if (this.#hasLooked) this.#tell(statusOf(reading));
  }

  /** An outage is no verdict, and nobody is told. A denial is passed on: a person has to mend something. */
  failed(error: Error): void {
    this.#goneSince = null;
    if (!(error instanceof TransientError)) this.#fail(error);
  }

  #decide(reading: Reading, news: News): void {
    this.#hasLooked = true;
    if (this.#isGone(news)) return;
    const away = this.#awayFor(news);
    if (away !== null) {
      this.#do(() => this.#finish(away, true));
      return;
    }
    switch (reading.kind) {
      case 'queued':
        this.#tell(statusOf(reading));
        this.#seeToPlacement(reading.message, news);
        return;
      case 'running':
        this.#tell(statusOf(reading));
        this.#drainNowAndThen(reading.allocation);
        return;
      case 'ended':
        this.#seeToEnd(reading, news);
        return;
      default:
        return reading satisfies never;
    }
  }

  /** The server keeps nothing of a run that was once dispatched: true while two answers have yet to agree, and after. */
  #isGone({ allocations, evaluations, job }: News): boolean {
    const { clock, timing } = this.#tools;
    const isKept = job !== null && (job?.Status !== 'dead' || evaluations.length > 0);
    if (allocations.length > 0 || isKept) {
      this.#goneSince = null;
      return false;
    }
    const since = (this.#goneSince ??= clock.monotonic());
    const left = since + timing.confirmMs - clock.monotonic();
    if (left > 0) this.#membership.wish(left);
    else this.#tell(ended({ kind: 'unknown', message: 'the engine keeps nothing of it any more' }));
    return true;
  }

  /** Nomad calls a node's runs lost when it was away for long, but not those that were stopped meanwhile: so we do. */
  #awayFor({ allocations }: News): Ended | null {
    const { clock, timing } = this.#tools;
    const live = allocations.filter(({ ClientStatus }) => !isOver(ClientStatus));
    const isAway =
      live.length > 0 && live.every((each) => each.ClientStatus === 'unknown' && each.DesiredStatus !== 'run');
    if (!isAway) this.#awaySince = null;
    if (!isAway) return null;
    this.#awaySince ??= clock.monotonic();
    const left = this.#awaySince + timing.lostAfterMs - clock.monotonic();
    if (left > 0) {
      this.#membership.wish(left);
      return null;
    }
    const [first] = allocations.toSorted((one, two) => one.CreateIndex - two.CreateIndex);
    const end: RunEnd = { kind: 'lost', message: 'its node is disconnected, and it was stopped meanwhile' };
    return { kind: 'ended', end, allocation: first?.ID ?? null, node: first?.NodeName ?? null, replaced: false };
  }

  #seeToPlacement(message: string | null, { allocations, job }: News): void {
    const { clock, timing, placementMs, startMs } = this.#tools;
    if (this.#stoppedAt !== null || job?.Stop === true) this.#membership.wish(timing.settleMs);
    if (this.#stoppedAt !== null) return;
    const limit = allocations.length > 0 ? Math.max(placementMs, startMs) : placementMs;
    this.#unplacedSince ??= clock.monotonic();
    // A stop counts as a submission, so the time of a stopped job says nothing.
    const sinceSubmit = job == null || job.Stop ? 0 : clock.now().getTime() - job.SubmitTime / 1e6;
    const left = limit - Math.max(clock.monotonic() - this.#unplacedSince, sinceSubmit);
    if (left > 0) {
      this.#membership.wish(left);
      return;
    }
    this.#notPlaced = message ?? 'the engine gives no reason';
    this.#stop('a run did not begin in time and is stopped', { reason: this.#notPlaced });
  }

  #seeToEnd(reading: Ended, { allocations }: News): void {
    const { clock, timing } = this.#tools;
    const mayBeReplaced = reading.replaced || reading.end.kind === 'lost' || reading.end.kind === 'not-started';
    if (mayBeReplaced && reading.allocation !== null && this.#stoppedAt === null) {
      this.#stop('a run can be started a second time by the engine and is stopped', { end: reading.end.kind });
      return;
    }
    const others = allocations.filter(({ ID }) => ID !== reading.allocation);
    const stoppedFor = clock.monotonic() - (this.#stoppedAt ?? clock.monotonic());
    if (others.some(({ ClientStatus }) => !isOver(ClientStatus)) && stoppedFor < timing.settleLimitMs) {
      this.#membership.wish(timing.settleMs);
      return;
    }
    // Its exit may have been told before its node went: the output is gone with it all the same.
    const isLost = allocations.some(({ ID, ClientStatus }) => ID === reading.allocation && ClientStatus === 'lost');
    this.#do(() => this.#finish(reading, isLost));
  }

  async #finish(reading: Ended, isLost: boolean): Promise<void> {
    const { end, allocation } = reading;
    if (allocation !== null) {
      await this.#drain;
      await this.#tools.drain(this.#run, { allocation, isLast: true, isLost }, this.#over.signal);
    }
    if (this.#over.signal.aborted) return;
    const isOurs = end.kind === 'not-started' && this.#notPlaced !== null;
    const { placementMs, startMs } = this.#tools;
    const inTime = (ms: number) => `within ${Math.round(ms / 1000)} s: ${this.#notPlaced}`;
    const isPlaced = allocation !== null;
    const message = isPlaced
      ? `not started ${inTime(Math.max(placementMs, startMs))}`
      : `not placed ${inTime(placementMs)}`;
    this.#tell(isOurs ? ended({ kind: 'not-started', message }) : statusOf(reading));
  }

  /** Tried once for each look that wants it, since the next look may see it otherwise. */
  #stop(why: string, fields: Readonly<Record<string, string>>): void {
    const { clock, log } = this.#tools;
    this.#do(async () => {
      try {
        await this.#tools.stop(this.#run.id, this.#over.signal);
        this.#stoppedAt = clock.monotonic();
        log.warn(why, { run: this.#run.id, ...fields });
      } catch (error) {
        if (!this.#over.signal.aborted) this.failed(toError(error));
      }
    });
  }

  #drainNowAndThen(allocation: string): void {
    const { clock, timing } = this.#tools;
    const now = clock.monotonic();
    if (now - this.#drainedAt < timing.drainMs) return;
    this.#drainedAt = Infinity;
    this.#drain = this.#tools.drain(this.#run, { allocation, isLast: false }, this.#over.signal).then(
      () => void (this.#drainedAt = clock.monotonic()),
      (error: unknown) => this.#fail(toError(error)),
    );
  }

  #do(work: () => Promise<void>): void {
    this.#work = work()
      .catch((error: unknown) => this.#fail(toError(error)))
      .finally(() => {
        this.#work = null;
        this.#membership.wish(this.#tools.timing.settleMs);
      });
  }

  /** Each change once. */
  #tell(status: RunStatus): void {
    if (JSON.stringify(this.#status) === JSON.stringify(status)) return;
    this.#status = status;
    if (status.state === 'ended') this.#over.abort();
    for (const reader of this.#readers) reader.put(status);
  }

  #fail(error: Error): void {
    for (const reader of this.#readers) reader.put(error);
  }
}

const ended = (end: RunEnd): RunStatus => ({ state: 'ended', end });
const isOver = (clientStatus: string): boolean => ['complete', 'failed', 'lost'].includes(clientStatus);
