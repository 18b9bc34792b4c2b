import { backoffMs } from '../domain/backoff.ts';
import { type Code, type EdgeError, InvalidError, RefusedError, StalledError, TransientError } from '../errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';

/*
 * Whether one service may be asked now.
 *
 *   there     every call goes through
 *   away      after three failures in a row, or one with a Retry-After: told in log, status and metrics
 *   closed    away, and more than one subject failed, or a Retry-After: every call is refused at once, for a jittered time
 *             that doubles from 1 s to 30 s, or for as long as was asked for
 *   probing   that time is over: the next call goes through, the others are refused until it is answered
 *
 * Any answer ends it, also one that says no. Failures of one subject alone (a file that can't be read, an issue that is
 * too big) may be its own: whoever asks for it backs off by himself, and the others are served.
 */

/** The call was not made: its service is away, and is left alone. */
export class LeftAlone extends TransientError {}

export interface ServiceTools {
  readonly clock: Clock;
  /** What is said of the outage itself; told at most once in half a minute. */
  readonly log: Log;
}

export interface ServiceName {
  /** As log, status and metrics name it. */
  readonly service: string;
  /** As a sentence names it. */
  readonly name: string;
  /** What its adapters throw when it is away. */
  readonly code: Code;
}

/** An outage that lasts. */
export interface Away {
  readonly since: Date;
  /** Until then calls are refused; null: none is. */
  readonly nextTry: Date | null;
  /** Calls that failed or were not made since then. */
  readonly failed: number;
  readonly reason: EdgeError;
}

export interface Call {
  /** What it is about; of an outage more than one fails. */
  readonly subject: string;
  /** It can't wait (a person's wish, a proof that ends with its wrapper): never refused. */
  readonly isUrgent: boolean;
}

const FAILURES = 3;
const SUBJECTS = 2;
/** `backoffMs` begins at a quarter of a second; a service that was away gets a second. */
const FIRST = 2;
/** Who asks for more is asked again all the same. */
const MOST_ASKED_MS = 3_600_000;
/** So much later at most than it asked for, so that not everybody comes back at the same moment. */
const JITTER = 0.1;
/** Adapters end their calls long before; a probe that never ends must not hold up everything. */
const PROBE_MS = 120_000;
const QUIET_MS = 30_000;

interface Outage {
  readonly since: Date;
  readonly at: number;
  /** Calls with a number up to this one began before. */
  readonly lastCall: number;
  until: number;
  /** How often it was closed; 0: every call goes through. */
  closings: number;
  failed: number;
  reason: EdgeError;
}

export class Breaker {
  readonly #of: ServiceName;
  readonly #tools: ServiceTools;
  /** Failures since the last answer, and what they were of. */
  #row = 0;
  readonly #subjects = new Set<string>();
  #outage: Outage | null = null;
  #probe: { readonly call: number; readonly at: number } | null = null;
  #calls = 0;
  #awayMs = 0;
  readonly #said = { at: Number.NEGATIVE_INFINITY, failed: 0, isAway: false };

  constructor(of: ServiceName, tools: ServiceTools) {
    this.#of = of;
    this.#tools = tools;
  }

  /** Throws LeftAlone without doing the work, or what the work throws. */
  async call<T>(call: Call, work: () => Promise<T>): Promise<T> {
    const number = this.#enter(call);
    try {
      const value = await work();
      this.#answered(number);
      return value;
    } catch (error) {
      this.#failed(error, call, number);
      throw error;
    } finally {
      if (this.#probe?.call === number) this.#probe = null;
    }
  }

  /** null: nothing is known against it. */
  away(): Away | null {
    if (this.#outage === null) return null;
    const { since, failed, reason, until, closings } = this.#outage;
    const nextTry = new Date(this.#tools.clock.now().getTime() + this.#left(until));
    return { since, failed, reason, nextTry: closings === 0 ? null : nextTry };
  }

  /** How long it was away since the start of this process, in milliseconds. */
  awayMs(): number {
    return this.#awayMs + (this.#outage === null ? 0 : this.#tools.clock.monotonic() - this.#outage.at);
  }

  #enter({ isUrgent }: Call): number {
    const now = this.#tools.clock.monotonic();
    const outage = this.#outage;
    this.#calls += 1;
    if (outage === null || outage.closings === 0) return this.#calls;
    const left = this.#left(outage.until);
    const isProbed = this.#probe !== null && now - this.#probe.at < PROBE_MS;
    if (left === 0 && !isProbed) this.#probe = { call: this.#calls, at: now };
    else if (!isUrgent) throw this.#refusal(outage, left);
    return this.#calls;
  }

  /** The words stay the same for as long as it is away: where an action is told, only the time would change. */
  #refusal(outage: Outage, left: number): LeftAlone {
    this.#count(outage);
    const { name, code } = this.#of;
    const { message, hint } = outage.reason;
    const retry = left > 0 ? { retryAfterMs: Math.ceil(left) } : {};
    return new LeftAlone(code, `${name} is left alone for now, because: ${message}`, { hint, ...retry });
  }

  #answered(call: number): void {
    // What was asked before it went away says nothing of now.
    if (this.#outage !== null && call <= this.#outage.lastCall) return;
    this.#row = 0;
    this.#subjects.clear();
    if (this.#outage !== null) this.#end(this.#outage);
    else if (this.#tools.clock.monotonic() - this.#said.at >= QUIET_MS) this.#said.failed = 0;
  }

  #failed(error: unknown, { subject }: Call, call: number): void {
    if (isAnswer(error)) this.#answered(call);
    if (!(error instanceof TransientError) || error.code !== this.#of.code) return;
    this.#row += 1;
    if (this.#outage === null || this.#outage.closings === 0) this.#subjects.add(subject);
    const asked = askedMs(error, this.#tools.clock.random());
    if (this.#outage === null && asked === 0 && this.#row < FAILURES) {
      this.#said.failed += 1;
      return;
    }
    const outage = this.#outage ?? this.#begin(error);
    if (asked > 0 || this.#subjects.size >= SUBJECTS) this.#close(outage, error, { asked, call });
    this.#count(outage);
  }

  #begin(reason: TransientError): Outage {
    const { clock } = this.#tools;
    const [since, at] = [clock.now(), clock.monotonic()];
    this.#outage = { since, at, lastCall: this.#calls, until: at, closings: 0, failed: this.#row - 1, reason };
    return this.#outage;
  }

  /** Of the calls that fail side by side only the first, and later only the probe, makes the pause longer. */
  #close(outage: Outage, reason: TransientError, { asked, call }: { asked: number; call: number }): void {
    const { clock } = this.#tools;
    const isNew = outage.closings === 0 || this.#probe?.call === call;
    const pause = isNew ? backoffMs(FIRST + outage.closings, clock.random()) : 0;
    outage.until = Math.max(outage.until, clock.monotonic() + Math.max(asked, pause));
    if (!isNew) return;
    outage.closings += 1;
    outage.reason = reason;
  }

  #count(outage: Outage): void {
    outage.failed += 1;
    this.#said.failed += 1;
    this.#say(outage);
  }

  #say(outage: Outage): void {
    const { clock, log } = this.#tools;
    const now = clock.monotonic();
    if (now - this.#said.at < QUIET_MS) return;
    const { code, message, hint } = outage.reason;
    log.warn('a service does not answer', {
      service: this.#of.service,
      failed: this.#said.failed,
      since: outage.since.toISOString(),
      left_alone_until: this.away()?.nextTry?.toISOString() ?? null,
      code,
      reason: message,
      hint,
    });
    Object.assign(this.#said, { at: now, failed: 0, isAway: true });
  }

  #end(outage: Outage): void {
    const { clock, log } = this.#tools;
    this.#outage = null;
    const ms = clock.monotonic() - outage.at;
    this.#awayMs += ms;
    // One that comes and goes is told of once in half a minute, too.
    if (!this.#said.isAway) return;
    this.#said.isAway = false;
    log.info('a service answers again', {
      service: this.#of.service,
      away_seconds: Math.round(ms / 1000),
      failed: outage.failed,
    });
  }

  #left(until: number): number {
    return Math.max(0, until - this.#tools.clock.monotonic());
  }
}

function askedMs({ retryAfterMs }: TransientError, random: number): number {
  return Math.min(retryAfterMs ?? 0, MOST_ASKED_MS) * (1 + JITTER * random);
}

/** It was there, and said no. Whatever else was thrown (an abort, a mistake of ours, a damaged clone) tells nothing of it. */
function isAnswer(error: unknown): boolean {
  if (error instanceof TransientError) return error.code === 'ERR_PUSH_REJECTED';
  return error instanceof StalledError || error instanceof InvalidError || error instanceof RefusedError;
}
