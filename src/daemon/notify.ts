import { backoffMs } from '../domain/backoff.ts';
import { type Notification, notificationOf } from '../domain/notification.ts';
import type { Result } from '../domain/result.ts';
import { StalledError, TransientError, toError } from '../errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Notifier } from '../ports/notifier.ts';
import { resultPathOf } from '../story/catalogue.ts';

/*
 * Tells the receiver of `[notify]` of each result that did not succeed and that this process recorded. One request at a
 * time, in their order. It is a courtesy: nothing waits for it, and what can't be told in ten minutes is let go.
 *
 *   taken      the next one
 *   not taken  let go: sent again it would not be taken either
 *   away       all wait, and the first is tried again with back-off, for as long as the receiver asks
 */

export const NOTIFY_OUTCOMES = ['sent', 'failed', 'dropped'] as const;
export type NotifyOutcome = (typeof NOTIFY_OUTCOMES)[number];

export interface NotifyDeps {
  readonly notifier: Notifier;
  readonly clock: Clock;
  readonly log: Log;
  /** `[dispatcher] name`. */
  readonly dispatcher: string;
  /** Folder of the results of sidecars in the ops repo. */
  readonly sidecarsDir: string;
  /** `failed`: the receiver did not want it, or was away for too long. `dropped`: too many waited. */
  readonly count: (outcome: NotifyOutcome) => void;
}

export interface Notifications {
  /** A result was recorded. Returns at once and never throws. */
  recorded(result: Result): void;
  /** What waits is tried once more, up to the first failure and for five seconds at most; then nothing is sent any more. */
  close(): Promise<void>;
}

export function createNotifications(deps: NotifyDeps): Notifications {
  return new QueuedNotifications(deps);
}

const PATIENCE_MS = 10 * 60_000;
const MOST_WAITING = 1000;
const LAST_MS = 5000;
/** One line in the log in this time. */
const QUIET_MS = 30_000;

interface Waiting {
  readonly notification: Notification;
  /** Monotonic time from which it is let go. */
  readonly until: number;
}

class QueuedNotifications implements Notifications {
  readonly #deps: NotifyDeps;
  readonly #queue: Waiting[] = [];
  readonly #stop = new AbortController();
  readonly #closing = new AbortController();
  #working: Promise<void> | null = null;
  #saidAt = -Infinity;
  #unsaid = 0;

  constructor(deps: NotifyDeps) {
    this.#deps = deps;
  }

  recorded(result: Result): void {
    if (result.outcome === 'succeeded' || this.#closing.signal.aborted) return;
    const { clock, dispatcher, sidecarsDir, count } = this.#deps;
    if (this.#queue.length >= MOST_WAITING) {
      count('dropped');
      this.#complain('too many notifications wait: one was dropped', { id: result.id });
      return;
    }
    const notification = notificationOf(result, resultPathOf(result.id, result.action.path, sidecarsDir), dispatcher);
    this.#queue.push({ notification, until: clock.monotonic() + PATIENCE_MS });
    this.#working ??= this.#work();
  }

  async close(): Promise<void> {
    const { clock, log } = this.#deps;
    this.#closing.abort();
    const over = new AbortController();
    const last = clock.sleep(LAST_MS, over.signal).then(() => this.#stop.abort());
    await this.#working;
    over.abort();
    await last;
    const lost = this.#queue.splice(0).length;
    for (let told = 0; told < lost; told += 1) this.#deps.count('failed');
    if (lost > 0) log.warn('notifications were not sent before the end', { count: lost });
  }

  async #work(): Promise<void> {
    // After the caller has gone on.
    await Promise.resolve();
    for (let failures = 0; ; ) {
      const [first] = this.#queue;
      if (first === undefined) {
        // At once, so that whoever comes next begins anew.
        this.#working = null;
        return;
      }
      const { notification, until } = first;
      if (this.#deps.clock.monotonic() >= until) {
        this.#letGo('the receiver of notifications was away too long: one was let go', { id: notification.id });
        continue;
      }
      const pause = await this.#try(notification, failures);
      failures = pause === 0 ? 0 : failures + 1;
      if (pause === 0) continue;
      if (this.#closing.signal.aborted) return;
      await this.#deps.clock.sleep(pause, this.#closing.signal);
    }
  }

  /** Milliseconds to wait before the same one is tried again; 0: it is done with. */
  async #try(notification: Notification, failures: number): Promise<number> {
    const { notifier, clock, count, log } = this.#deps;
    const { id } = notification;
    try {
      const { taken, status } = await notifier.send(notification, this.#stop.signal);
      if (!taken) this.#letGo('the receiver of notifications did not take one', { id, status });
      else {
        this.#queue.shift();
        count('sent');
      }
      return 0;
    } catch (error) {
      if (this.#stop.signal.aborted) return 1;
      if (error instanceof TransientError || error instanceof StalledError) {
        const { code, message, hint } = error;
        this.#complain('cannot notify', { code, reason: message, hint, waiting: this.#queue.length });
        const asked = error instanceof TransientError ? (error.retryAfterMs ?? 0) : 0;
        return Math.min(PATIENCE_MS, Math.max(asked, backoffMs(failures, clock.random())));
      }
      log.error('a notification broke off', { id, err: toError(error) });
      this.#queue.shift();
      count('failed');
      return 0;
    }
  }

  #letGo(message: string, fields: Readonly<Record<string, unknown>>): void {
    this.#queue.shift();
    this.#deps.count('failed');
    this.#complain(message, fields);
  }

  #complain(message: string, fields: Readonly<Record<string, unknown>>): void {
    const { log, clock } = this.#deps;
    const now = clock.monotonic();
    if (now - this.#saidAt < QUIET_MS) {
      this.#unsaid += 1;
      return;
    }
    log.warn(message, { ...fields, ...(this.#unsaid === 0 ? {} : { unsaid: this.#unsaid }) });
    this.#saidAt = now;
    this.#unsaid = 0;
  }
}
