import { setMaxListeners } from 'node:events';
import { backoffMs } from '../../../domain/backoff.ts';
import { TransientError, toError } from '../../../errors.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { Log } from '../../../ports/log.ts';
import { Lanes } from '../../lanes.ts';
import type { OpenStream } from './events.ts';
import { HubStream } from './hub-stream.ts';
import { type News, View } from './hub-view.ts';
import type { Timing } from './timing.ts';
import type { Allocation, Evaluation, Job, StreamEvent } from './types.ts';

/** What the hub asks of the server. Errors: TransientError, StalledError. */
export interface HubReads {
  readonly openEvents: OpenStream;
  /** All allocations of the namespace whose job id matches this regular expression. */
  allocationsMatching(pattern: string, signal: AbortSignal): Promise<readonly Allocation[]>;
  allocationsOf(child: string, signal: AbortSignal): Promise<readonly Allocation[]>;
  evaluationsOf(child: string, signal: AbortSignal): Promise<readonly Evaluation[]>;
  /** Null: the server says that there is none. */
  job(child: string, signal: AbortSignal): Promise<Job | null>;
}

export interface HubTools {
  readonly reads: HubReads;
  readonly clock: Clock;
  readonly log: Log;
  readonly timing: Timing;
}

/** Who wants to know of one child job. Both calls are made one after the other and take no time. */
export interface Listener {
  hear(news: News): void;
  /** A look at the child failed; it is repeated by itself. */
  failed(error: Error): void;
}

export interface Membership {
  /** Have a look at the child in this many milliseconds at the latest. */
  wish(ms: number): void;
  /** Resolves when nothing is under way any more for those who left. */
  leave(): Promise<void>;
}

interface Child {
  readonly id: string;
  readonly listener: Listener;
  readonly view: View;
  dueAt: number;
  isLookedAt: boolean;
  failures: number;
  /** After a failure; no wish counts before it. */
  restsUntil: number;
}

/** The work for all children between the first that joins and the last that leaves. */
interface Session {
  readonly over: AbortController;
  readonly work: Promise<unknown>;
}

/** So many children or fewer are asked for one by one: an index look-up each, where a list reads the whole namespace. */
const FEW = 8;
/** Children of one list: their names are part of a URL, for which some servers have 16 KiB. */
const CHUNK = 200;
/** Further questions at once. */
const AT_ONCE = 8;

/**
 * Follows child jobs in one namespace for all who watch: one event stream, which wakes, and lists of allocations, which
 * count. A list of every child is read when the stream (re)connects, because what happened before may be out of the
 * server's buffer; after a line that can't be read; every `reconcileMs`; and every `blindMs` while there is no stream.
 * The newest index is kept from one stream to the next and asked for again, since it may have come in part only.
 * Works only while somebody is a member. Outages of the server are waited out, and told to nobody but the listeners.
 */
export class Hub {
  readonly #children = new Map<string, Child>();
  readonly #tools: HubTools;
  readonly #lanes = new Lanes(AT_ONCE);
  readonly #stream: HubStream;
  #session: Session | null = null;
  #rest = new AbortController();

  constructor(tools: HubTools) {
    this.#tools = tools;
    const { clock, log, timing, reads } = tools;
    this.#stream = new HubStream({
      openEvents: reads.openEvents,
      clock,
      log,
      timing,
      pauseMs: (failures) => this.#pause(failures),
      lookAtAll: (ms) => this.#wishAll(ms),
      hear: (child, events) => this.#hear(child, events),
    });
  }

  /** Each child may have one listener at a time. The first look comes at once. */
  join(id: string, listener: Listener): Membership {
    const child: Child = {
      id,
      listener,
      view: new View(),
      dueAt: Infinity,
      isLookedAt: false,
      failures: 0,
      restsUntil: 0,
    };
    this.#children.set(id, child);
    this.#session ??= this.#open();
    const { work } = this.#session;
    this.#wish(child, 0);
    return {
      wish: (ms) => this.#wish(child, ms),
      leave: async () => {
        if (this.#children.get(id) === child) this.#children.delete(id);
        if (this.#children.size > 0) return;
        this.#close();
        await work;
      },
    };
  }

  #open(): Session {
    const over = new AbortController();
    // All requests of a session share it: ten listeners are no leak.
    setMaxListeners(0, over.signal);
    return { over, work: Promise.all([this.#keepLooking(over.signal), this.#stream.keep(over.signal)]) };
  }

  #close(): void {
    this.#session?.over.abort();
    this.#session = null;
    this.#rest.abort();
  }

  #wish(child: Child, ms: number): void {
    const { clock, timing } = this.#tools;
    const at = Math.max(clock.monotonic() + Math.max(ms, timing.spacingMs), child.restsUntil);
    if (at >= child.dueAt) return;
    child.dueAt = at;
    this.#rest.abort();
  }

  #wishAll(ms: number): void {
    for (const child of this.#children.values()) this.#wish(child, ms);
  }

  #hear(id: string, events: readonly StreamEvent[]): void {
    const child = this.#children.get(id);
    if (child === undefined) return;
    const payloads = events.flatMap(({ Payload }) => Payload ?? []);
    const allocations = payloads.flatMap(({ Allocation }) => Allocation ?? []);
    const evaluations = payloads.flatMap(({ Evaluation }) => Evaluation ?? []);
    // Stopped or gone: whether anything of it is left shows by a look only.
    if (events.some(({ Type }) => DEREGISTERED.has(Type))) this.#wish(child, 0);
    if (allocations.length + evaluations.length === 0) return;
    child.view.hear(allocations, evaluations);
    child.listener.hear(child.view.news());
  }

  // The looks

  async #keepLooking(signal: AbortSignal): Promise<void> {
    const { clock, timing } = this.#tools;
    const looks = new Set<Promise<unknown>>();
    while (!signal.aborted) {
      const now = clock.monotonic();
      const idle = [...this.#children.values()].filter(({ isLookedAt }) => !isLookedAt);
      const due = idle.filter(({ dueAt }) => dueAt <= now);
      if (due.length === 0) await this.#restUntil(Math.min(...idle.map(({ dueAt }) => dueAt)));
      else {
        const period = this.#stream.isLive ? timing.reconcileMs : timing.blindMs;
        for (const child of due) Object.assign(child, { dueAt: now + period, isLookedAt: true });
        const look: Promise<unknown> = this.#look(due, signal).finally(() => looks.delete(look));
        looks.add(look);
        await this.#patiently(look);
      }
    }
    await Promise.all(looks);
  }

  /** What is wished for during a look shares the next one; but a question that hangs holds up nobody else's. */
  async #patiently(look: Promise<unknown>): Promise<void> {
    const { clock, timing } = this.#tools;
    const over = new AbortController();
    await Promise.race([look, clock.sleep(timing.slowMs, over.signal)]);
    over.abort();
  }

  async #restUntil(end: number): Promise<void> {
    const { clock } = this.#tools;
    this.#rest = new AbortController();
    await clock.sleep(end - clock.monotonic(), this.#rest.signal);
  }

  async #look(due: readonly Child[], signal: AbortSignal): Promise<void> {
    const { reads } = this.#tools;
    if (due.length <= FEW) {
      const lookAt = (child: Child) => this.#lookAt([child], () => reads.allocationsOf(child.id, signal), signal);
      await Promise.all(due.map(lookAt));
      return;
    }
    for (let start = 0; start < due.length; start += CHUNK) {
      const chunk = due.slice(start, start + CHUNK);
      const pattern = patternOf(chunk.map(({ id }) => id));
      await this.#lookAt(chunk, () => reads.allocationsMatching(pattern, signal), signal);
    }
  }

  async #lookAt(
    children: readonly Child[],
    list: () => Promise<readonly Allocation[]>,
    signal: AbortSignal,
  ): Promise<void> {
    const moments = new Map(children.map((child) => [child, child.view.moment()] as const));
    const listed = await list().catch((error: unknown) => toError(error));
    const byJob = new Map<string, Allocation[]>();
    if (!(listed instanceof Error))
      for (const each of listed) byJob.set(each.JobID, [...(byJob.get(each.JobID) ?? []), each]);
    const finish = async ([child, moment]: readonly [Child, number]): Promise<void> => {
      const allocations = byJob.get(child.id) ?? [];
      if (!(listed instanceof Error)) await this.#finishLook(child, { allocations, moment }, signal);
      else if (!signal.aborted) this.#lookFailed(child, listed);
      child.isLookedAt = false;
    };
    await Promise.all([...moments].map((each) => finish(each)));
    this.#rest.abort();
  }

  /** Of a child without allocations its job and evaluations say why; what these placed is in a list asked for later. */
  async #finishLook(
    child: Child,
    { allocations, moment }: { readonly allocations: readonly Allocation[]; readonly moment: number },
    signal: AbortSignal,
  ): Promise<void> {
    const { reads } = this.#tools;
    try {
      if (allocations.length > 0) child.view.see(moment, { allocations });
      else {
        const job = await this.#lanes.run(() => reads.job(child.id, signal));
        const evaluations = await this.#lanes.run(() => reads.evaluationsOf(child.id, signal));
        const after = await this.#lanes.run(() => reads.allocationsOf(child.id, signal));
        child.view.see(moment, after.length > 0 ? { allocations: after } : { allocations: after, evaluations, job });
      }
    } catch (error) {
      if (!signal.aborted) this.#lookFailed(child, toError(error));
      return;
    }
    child.failures = 0;
    if (!signal.aborted) child.listener.hear(child.view.news());
  }

  #lookFailed(child: Child, error: Error): void {
    child.failures += 1;
    child.restsUntil = this.#tools.clock.monotonic() + this.#pause(child.failures, error);
    child.dueAt = child.restsUntil;
    child.listener.failed(error);
  }

  #pause(failures: number, error?: Error): number {
    const { clock, timing } = this.#tools;
    const asked = error instanceof TransientError ? (error.retryAfterMs ?? 0) : 0;
    return Math.max(asked, Math.min(backoffMs(failures, clock.random()), timing.retryMs));
  }
}

const DEREGISTERED: ReadonlySet<string> = new Set(['JobDeregistered', 'JobBatchDeregistered']);

/** Matches the allocations of these children, and hardly any other: what is special in an expression matches anything. */
function patternOf(ids: readonly string[]): string {
  return `^(${ids.map((id) => id.replaceAll(/[^A-Za-z0-9_/-]/g, '.')).join('|')})$`;
}
