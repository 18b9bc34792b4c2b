import type { z } from 'zod';
import type { Answered, NomadCalls } from '../../src/adapters/engines/nomad/client.ts';
import { Dispatcher } from '../../src/adapters/engines/nomad/dispatch.ts';
import { JobGate } from '../../src/adapters/engines/nomad/dispatch-gate.ts';
import { Finder } from '../../src/adapters/engines/nomad/find.ts';
import { Hub, type HubReads } from '../../src/adapters/engines/nomad/hub.ts';
import { TIMING } from '../../src/adapters/engines/nomad/timing.ts';
import type { Job } from '../../src/adapters/engines/nomad/types.ts';
import { Watches } from '../../src/adapters/engines/nomad/watch.ts';
import { lookAtRun, stopChild } from '../../src/adapters/engines/nomad/watch-calls.ts';
import type { Run, RunStatus } from '../../src/domain/run.ts';
import { TransientError } from '../../src/errors.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type { AttemptRef, DispatchRequest, Engine, LogStream, Place } from '../../src/ports/engine.ts';
import type { Log } from '../../src/ports/log.ts';
import type { Link } from './network.ts';
import type { Event, SimNomad } from './nomad.ts';

export interface SimEngineTools {
  readonly nomad: SimNomad;
  readonly link: Link;
  readonly clock: Clock;
  readonly log: Log;
  readonly placementSeconds: number;
  readonly wrapSeconds: number;
}

/** The real engine but for its transport: what finds, dispatches, follows and stops runs is the code that is shipped. */
export class SimEngine implements Engine {
  readonly kind = 'nomad';
  readonly isolated = true;
  readonly #tools: SimEngineTools;
  readonly #calls: NomadCalls;
  readonly #finder: Finder;
  readonly #gate: JobGate;
  readonly #dispatcher: Dispatcher;
  readonly #watches: Watches;

  constructor(tools: SimEngineTools) {
    const { nomad, link, clock, log } = tools;
    this.#tools = tools;
    this.#calls = callsOver(nomad, link);
    this.#finder = new Finder(this.#calls, clock);
    this.#gate = new JobGate({ client: this.#calls, clock, driftOf: () => [] });
    this.#dispatcher = new Dispatcher(this.#calls, this.#gate);
    this.#watches = new Watches({
      hub: new Hub({ reads: readsOver(nomad, link), clock, log, timing: TIMING }),
      clock,
      log,
      timing: TIMING,
      placementMs: tools.placementSeconds * 1000,
      startMs: tools.wrapSeconds * 1000 - 90_000,
      stop: (child, signal) => stopChild(this.#calls, child, signal),
      drain: async () => undefined,
    });
  }

  async check() {
    return [];
  }

  ready(place: Place): Promise<void> {
    return this.#gate.pass(place);
  }

  find(attempt: AttemptRef, signal?: AbortSignal): Promise<Run | null> {
    return this.#finder.find(attempt, signal);
  }

  look(run: Run, signal?: AbortSignal): Promise<RunStatus | null> {
    return lookAtRun(this.#calls, run, signal);
  }

  dispatch(request: DispatchRequest, signal?: AbortSignal): Promise<Run> {
    return this.#dispatcher.dispatch(request, signal);
  }

  watch(run: Run, signal: AbortSignal): AsyncIterable<RunStatus> {
    return this.#watches.watch(run, signal);
  }

  async *logs(run: Run, stream: LogStream, offset: number): AsyncIterable<Uint8Array> {
    const { link, nomad } = this.#tools;
    const text = await link.call(`logs of ${run.id}`, () => nomad.outputOf(run.id, stream));
    yield Buffer.from(text).subarray(offset);
  }

  async artifact(): Promise<null> {
    return null;
  }

  async cancel(run: Run, _why: unknown, signal?: AbortSignal): Promise<void> {
    await stopChild(this.#calls, run.id, signal);
    this.#watches.hint(run);
  }

  async forget(): Promise<void> {}
}

/** Nomad's own API, as far as it is asked. */
function callsOver(nomad: SimNomad, link: Link): NomadCalls {
  const answered = <T>(schema: z.ZodType<T>, value: unknown): Answered<T> => {
    return { value: schema.parse(value), index: nomad.index, date: null };
  };
  return {
    get: async <T>(
      path: string,
      schema: z.ZodType<T>,
      ask?: { readonly query?: Readonly<Record<string, unknown>> },
    ) => {
      const value = await link.call(`GET ${decodeURIComponent(path)}`, () =>
        read(nomad, path, textOf(ask?.query?.['filter'])),
      );
      return value === null ? null : answered(schema, value);
    },
    send: async <T>(
      [method, path]: readonly [string, string],
      body: unknown,
      schema: z.ZodType<T>,
      ask?: { readonly query?: Readonly<Record<string, unknown>> },
    ) => {
      const value = await link.call(`${method} ${decodeURIComponent(path)}`, () => {
        const [, id = '', action = ''] = /^\/v1\/job\/([^/]+)(?:\/(\w+))?$/.exec(path) ?? [];
        const name = decodeURIComponent(id);
        if (method === 'DELETE') {
          nomad.stop(name);
          return {};
        }
        if (action !== 'dispatch') throw new Error(`nobody answers ${method} ${path}`);
        const { job } = nomad.dispatch(
          name,
          body as Parameters<SimNomad['dispatch']>[1],
          textOf(ask?.query?.['idempotency_token']),
        );
        return { DispatchedJobID: job.ID, EvalID: 'eval', Index: nomad.index };
      });
      return answered(schema, value);
    },
    stream: () => Promise.reject(new Error('events are read otherwise')),
  };
}

const PARENT = { ID: 'vault-runner', Status: 'running', Stop: false };

const textOf = (value: unknown) => (typeof value === 'string' ? value : '');

/** null: 404. */
function read(nomad: SimNomad, path: string, filter: string): unknown {
  if (path === '/v1/jobs') {
    const tokens = new Set(filter.match(/[0-9a-f]{32}/g));
    return [...nomad.children.values()].flatMap(({ job }) => (tokens.has(job.DispatchIdempotencyToken) ? [job] : []));
  }
  const [, id = '', list] = /^\/v1\/job\/([^/]+)(?:\/(\w+))?$/.exec(path) ?? [];
  const name = decodeURIComponent(id);
  if (name === PARENT.ID) return PARENT;
  const child = nomad.children.get(name);
  if (list === undefined) return child?.job ?? null;
  return (list === 'allocations' ? child?.allocations : child?.evaluations) ?? [];
}

/** What the hub asks; each answer as it is at this moment. */
function readsOver(nomad: SimNomad, link: Link): HubReads {
  const ask = <T>(what: string, work: () => T) => link.call(what, work);
  return {
    openEvents: (index, signal) => openEvents(nomad, link, signal, index),
    allocationsMatching: (pattern) =>
      ask('list of allocations', () => {
        const wanted = new RegExp(pattern);
        return [...nomad.children.values()]
          .filter(({ job }) => wanted.test(job.ID))
          .flatMap(({ allocations }) => allocations);
      }),
    allocationsOf: (child) => ask(`allocations of ${child}`, () => nomad.children.get(child)?.allocations ?? []),
    evaluationsOf: (child) => ask(`evaluations of ${child}`, () => nomad.children.get(child)?.evaluations ?? []),
    job: (child) => ask(`job ${child}`, (): Job | null => nomad.children.get(child)?.job ?? null),
  };
}

/** A stream ends when somebody ends it: the storm that comes up, or the client. */
async function openEvents(
  nomad: SimNomad,
  link: Link,
  signal: AbortSignal,
  _index: number,
): Promise<AsyncIterable<Uint8Array>> {
  const { process } = link;
  const lines: string[] = [];
  let wake = (): void => undefined;
  const put = (line: string) => {
    lines.push(line);
    process.deliver(() => wake());
  };
  const listener = (child: string, event: Event, index: number) => {
    const Topic = 'Allocation' in event ? 'Allocation' : 'Evaluation' in event ? 'Evaluation' : 'Job';
    const Type = 'Job' in event && event.Job.Stop ? 'JobDeregistered' : 'Updated';
    const line = JSON.stringify({ Index: index, Events: [{ Topic, Type, Key: child, Index: index, Payload: event }] });
    link.later(() => put(line));
  };
  await link.call('event stream', () => void nomad.listeners.add(listener));
  put('{}');
  return (async function* () {
    try {
      while (!signal.aborted) {
        const line = lines.shift();
        if (line !== undefined) yield Buffer.from(`${line}\n`);
        else if (link.isDown()) throw new TransientError('ERR_ENGINE_UNAVAILABLE', 'the event stream was cut');
        else {
          await new Promise<void>((resolve) => {
            wake = resolve;
            signal.addEventListener('abort', () => resolve(), { once: true });
            // Nomad's heartbeat; and the moment where a cut is seen.
            link.later(() => put('{}'), 25_000);
          });
        }
      }
    } finally {
      nomad.listeners.delete(listener);
    }
  })();
}
