import { Counter, collectDefaultMetrics, Gauge, Histogram, type OpenMetricsContentType, Registry } from 'prom-client';
import type { Result } from '../../domain/result.ts';
import { OUTCOMES } from '../../domain/run.ts';
import { StalledError, TransientError } from '../../errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import type { Board } from '../board.ts';
import { LeftAlone } from '../breaker.ts';
import type { DaemonDeps, Figures } from '../daemon.ts';
import { NOTIFY_OUTCOMES, type NotifyOutcome } from '../notify.ts';
import { counted } from './counted.ts';
import { HOOK_OUTCOMES, type HookOutcome } from './hooks.ts';

/*
 * What the daemon tells a Prometheus. Labels are states, codes and kinds: never an id, a name or an address.
 */

/** What is looked at when somebody asks. */
export interface Seen {
  readonly board: Pick<Board, 'lines'>;
  figures(): Figures;
  unready(): readonly unknown[];
  /** Back-off of engine and access in milliseconds. */
  backoff(): ReadonlyMap<string, number>;
}

export interface Metrics {
  /** The same parts with their calls, results and steps counted. */
  observe(deps: DaemonDeps): DaemonDeps;
  /** A result was told to the receiver of `[notify]`, or was not. */
  notified(outcome: NotifyOutcome): void;
  /** A webhook came. */
  hooked(outcome: HookOutcome): void;
  /** The exposition, in the OpenMetrics text format. */
  text(seen: Seen): Promise<string>;
}

export interface BuildInfo {
  readonly version: string;
  readonly engine: string;
  readonly access: string;
}

export const CONTENT_TYPE: OpenMetricsContentType = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

/** `processFigures`: those of Node and the process too, which listens to the garbage collector until the process ends. */
export function createMetrics(build: BuildInfo, clock: Clock, processFigures: boolean): Metrics {
  return new DaemonMetrics(build, clock, processFigures);
}

const SERVICES = ['git', 'engine', 'access', 'store', 'forge'] as const;
type Service = (typeof SERVICES)[number];
/** The first two are said in the log and have no result of their own; the others are the reason of a result. */
const SECURITY_LINES: readonly unknown[] = ['ERR_FOREIGN_RUN', 'ERR_FOREIGN_RESULT'];
const SECURITY_REASONS: readonly string[] = ['ERR_WRAPPER_USED', 'ERR_DIGEST'];
const STATES = ['judging', 'granting', 'claiming', 'dispatching', 'running', 'revoking', 'collecting', 'recording'];
const PHASES = ['approval_to_claim', 'claim_to_dispatch', 'dispatch_to_start', 'total'] as const;
const BUCKETS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 86_400];

class DaemonMetrics implements Metrics {
  readonly #registry = new Registry<OpenMetricsContentType>();
  readonly #clock: Clock;
  readonly #counters: ReturnType<typeof makeCounters>;
  readonly #gauges: ReturnType<typeof makeGauges>;
  readonly #phases: Histogram<'phase'>;
  /** When the claims of what is under way were asked for, and when they had landed. */
  readonly #claims = new Map<string, Date | 'asked'>();

  constructor(build: BuildInfo, clock: Clock, processFigures: boolean) {
    this.#clock = clock;
    this.#registry.setContentType(CONTENT_TYPE);
    if (processFigures) collectDefaultMetrics({ register: this.#registry });
    this.#counters = makeCounters(this.#registry);
    this.#gauges = makeGauges(this.#registry);
    this.#gauges.build.set({ ...build }, 1);
    this.#phases = new Histogram({
      name: 'edge_dispatcher_phase_seconds',
      help: 'Time that actions which ran took for a part of their way.',
      labelNames: ['phase'],
      buckets: BUCKETS,
      registers: [this.#registry],
    });
    for (const phase of PHASES) this.#phases.zero({ phase });
  }

  observe(deps: DaemonDeps): DaemonDeps {
    const { parts, watcher } = deps;
    const { dispatches } = this.#counters;
    const of = <T extends object>(service: Service, port: T) => counted(port, { failed: this.#failed(service) });
    return {
      ...deps,
      watcher: of('git', watcher),
      parts: {
        ...parts,
        opsRepo: of('git', parts.opsRepo),
        journal: of('git', parts.journal),
        engine: counted(parts.engine, {
          done: (method) => method === 'dispatch' && dispatches.inc(),
          failed: this.#failed('engine'),
        }),
        access: of('access', parts.access),
        store: of('store', parts.store),
        forge: parts.forge === null ? null : of('forge', parts.forge),
        rules: new Map([...parts.rules].map(([name, rule]) => [name, of('git', rule)])),
        log: this.#listening(parts.log),
      },
      onStep: (id, state, why) => {
        this.#step(id, state);
        deps.onStep?.(id, state, why);
      },
      onResult: (result) => {
        this.#result(result);
        deps.onResult?.(result);
      },
    };
  }

  notified(outcome: NotifyOutcome): void {
    this.#counters.notifications.inc({ outcome });
  }

  hooked(outcome: HookOutcome): void {
    this.#counters.hooks.inc({ outcome });
  }

  text(seen: Seen): Promise<string> {
    this.#look(seen);
    return this.#registry.metrics();
  }

  #failed(service: Service): (error: unknown) => void {
    return (error) => {
      // What is left alone was not called.
      if (!(error instanceof TransientError || error instanceof StalledError) || error instanceof LeftAlone) return;
      // Rules, and the look that asks them for policy and formulas, call the forge by ways of their own.
      this.#counters.errors.inc({ service: error.code.startsWith('ERR_FORGE_') ? 'forge' : service });
    };
  }

  /** What is foreign is said once in the log, while the call that finds it is asked again and again. */
  #listening(log: Log): Log {
    return {
      debug: (message, fields) => log.debug(message, fields),
      info: (message, fields) => log.info(message, fields),
      warn: (message, fields) => log.warn(message, fields),
      error: (message, fields) => {
        const code = fields?.['code'];
        if (SECURITY_LINES.includes(code)) this.#counters.security.inc({ code: String(code) });
        log.error(message, fields);
      },
    };
  }

  #step(id: string, state: string): void {
    if (state === 'claiming') this.#claims.set(id, 'asked');
    // What an earlier process had claimed comes without the step before it.
    if (state === 'dispatching' && this.#claims.get(id) === 'asked') this.#claims.set(id, this.#clock.now());
  }

  #result({ id, outcome, reason, attempt, times }: Result): void {
    this.#counters.results.inc({ outcome });
    if (reason !== null && SECURITY_REASONS.includes(reason.code)) this.#counters.security.inc({ code: reason.code });
    const claim = this.#claims.get(id);
    this.#claims.delete(id);
    if (attempt === null) return;
    const approved = dateOf(times.approved ?? times.committed);
    const claimed = claim instanceof Date ? claim : null;
    const dispatched = dateOf(times.dispatched);
    this.#took('approval_to_claim', approved, claimed);
    this.#took('claim_to_dispatch', claimed, dispatched);
    this.#took('dispatch_to_start', dispatched, dateOf(times.started));
    this.#took('total', approved, dateOf(times.recorded));
  }

  /** Clocks of two machines may differ, and stamps of results are of whole seconds. */
  #took(phase: (typeof PHASES)[number], from: Date | null, to: Date | null): void {
    if (from === null || to === null) return;
    this.#phases.observe({ phase }, Math.max(0, to.getTime() - from.getTime()) / 1000);
  }

  #look(seen: Seen): void {
    const { inFlight, waiting, slotsUsed, slotsLimit, lastLook, backoff, ready } = this.#gauges;
    const lines = seen.board.lines();
    const ids = new Set(lines.map(({ id }) => id));
    for (const id of this.#claims.keys()) if (!ids.has(id)) this.#claims.delete(id);
    inFlight.reset();
    waiting.reset();
    for (const state of STATES) inFlight.set({ state }, 0);
    for (const { state, reason } of lines) {
      if (state !== 'pending') inFlight.inc({ state });
      if (reason !== null) waiting.inc({ state, code: reason.code });
    }
    const { slots, lastLook: looked, gitBackoffMs, pace, services } = seen.figures();
    this.#gauges.queued.set(pace.queued);
    this.#gauges.startsPerMinute.set(pace.perMinute);
    for (const { service, away, awayMs } of services) {
      this.#gauges.away.set({ service }, away === null ? 0 : 1);
      this.#gauges.awaySeconds.set({ service }, awayMs / 1000);
    }
    slotsUsed.set(slots.used);
    slotsLimit.set(slots.limit);
    if (looked !== null) lastLook.set(looked.getTime() / 1000);
    for (const [service, ms] of [['git', gitBackoffMs] as const, ...seen.backoff()])
      backoff.set({ service }, ms / 1000);
    ready.set(seen.unready().length === 0 ? 1 : 0);
  }
}

function makeCounters(registry: Registry<OpenMetricsContentType>) {
  const registers = [registry];
  const results = new Counter({
    name: 'edge_dispatcher_results_total',
    help: 'Results recorded by this process, by outcome.',
    labelNames: ['outcome'],
    registers,
  });
  const dispatches = new Counter({
    name: 'edge_dispatcher_dispatches_total',
    help: 'Runs that the engine took, or had taken before, when it was asked to start them.',
    registers,
  });
  const errors = new Counter({
    name: 'edge_dispatcher_service_errors_total',
    help: 'Calls of outside services that failed because it was away or refused them.',
    labelNames: ['service'],
    registers,
  });
  const security = new Counter({
    name: 'edge_dispatcher_security_events_total',
    help: 'Signs that somebody was at work who should not be, by code.',
    labelNames: ['code'],
    registers,
  });
  const notifications = new Counter({
    name: 'edge_dispatcher_notifications_total',
    help: 'Results that did not succeed, by what became of telling the receiver of [notify].',
    labelNames: ['outcome'],
    registers,
  });
  const hooks = new Counter({
    name: 'edge_dispatcher_webhooks_total',
    help: 'Requests of /hooks/push, by what became of them.',
    labelNames: ['outcome'],
    registers,
  });
  for (const outcome of NOTIFY_OUTCOMES) notifications.inc({ outcome }, 0);
  for (const outcome of HOOK_OUTCOMES) hooks.inc({ outcome }, 0);
  for (const outcome of OUTCOMES) results.inc({ outcome }, 0);
  for (const service of SERVICES) errors.inc({ service }, 0);
  for (const code of [...SECURITY_LINES, ...SECURITY_REASONS]) security.inc({ code: String(code) }, 0);
  return { results, dispatches, errors, security, notifications, hooks };
}

function makeGauges(registry: Registry<OpenMetricsContentType>) {
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Gauge({ name: `edge_dispatcher_${name}`, help, labelNames: [...labelNames], registers: [registry] });
  return {
    build: gauge('build_info', 'Always 1; the labels say what runs.', ['version', 'engine', 'access']),
    inFlight: gauge('attempts', 'Actions under way, by the step they are at.', ['state']),
    waiting: gauge('actions_waiting', 'Actions that do not go on, by where they are and why.', ['state', 'code']),
    slotsUsed: gauge('slots_used', 'Slots that are taken.'),
    slotsLimit: gauge('slots_limit', 'Slots there are: in_flight of [limits].'),
    lastLook: gauge('last_look_timestamp_seconds', 'When the ops repo was last seen, in Unix time.'),
    backoff: gauge('backoff_seconds', 'For how long a service that was away is left alone.', ['service']),
    away: gauge('service_away', '1: calls of the service fail, and it may be left alone; 0: it answers.', ['service']),
    awaySeconds: gauge('service_away_seconds', 'How long a service was away since the start, all in all.', ['service']),
    queued: gauge('runs_queued', 'Runs of this dispatcher that wait in the engine for a place.'),
    startsPerMinute: gauge('starts_per_minute', 'Starts a minute that the queue of the engine leaves.'),
    ready: gauge('ready', '1: ready, as /readyz says; 0: not.'),
  };
}

const dateOf = (text: string | null): Date | null => (text === null ? null : new Date(text));
