import { randomUUID } from 'node:crypto';
import type { TokenOptions } from './acl.ts';
import { Acl } from './acl.ts';
import type { DispatchRequest } from './dispatch.ts';
import { Dispatcher } from './dispatch.ts';
import { EventStreams } from './events.ts';
import { Faults } from './faults.ts';
import { textOf } from './http.ts';
import { withDefaults } from './job-defaults.ts';
import { LogStore } from './log-store.ts';
import { Logs } from './logs.ts';
import type { StaleReads } from './route.ts';
import { newNamespace } from './route.ts';
import { Scheduler } from './scheduler.ts';
import { scriptedDriver } from './scripted-driver.ts';
import type { ListenOptions, SeenRequest } from './server.ts';
import { ApiServer } from './server.ts';
import { State } from './state.ts';
import type { TaskDriver } from './tasks.ts';
import type { Allocation, Job } from './wire.ts';
import { nanoseconds } from './wire.ts';

export const MANAGEMENT_TOKEN = '10000000-0000-4000-8000-000000000001';
export const DAEMON_TOKEN = '10000000-0000-4000-8000-000000000002';
export const DAEMON_CAPABILITIES = ['dispatch-job', 'read-job', 'list-jobs', 'read-logs', 'deregister-job'] as const;

export interface FakeNomadOptions {
  /** What runs the children; by default a `scriptedDriver` whose children exit 0 at once. */
  readonly driver?: TaskDriver;
  /** Where the daemon token works, and where jobs are registered by default: `agents`. */
  readonly namespace?: string;
  /** Names of the namespaces besides it and `default`. */
  readonly otherNamespaces?: readonly string[];
  /** False: ACLs are off, so everybody may do everything. */
  readonly acl?: boolean;
  /** What DAEMON_TOKEN may do in `namespace`; DAEMON_CAPABILITIES by default. */
  readonly daemonCapabilities?: readonly string[];
  /** What a request without a token may do in `namespace`; nothing by default. */
  readonly anonymousCapabilities?: readonly string[];
  /** More tokens, by their secret. */
  readonly tokens?: Readonly<Record<string, TokenOptions>>;
  /** ACL policies by name, as HCL. */
  readonly policies?: Readonly<Record<string, string>>;
  /** Jobs that are registered from the start; only ID and TaskGroups are needed. */
  readonly jobs?: readonly Readonly<Record<string, unknown>>[];
  /** Host volumes of the only node. */
  readonly hostVolumes?: Readonly<Record<string, { readonly readOnly: boolean }>>;
  /** Lines of the event stream that the server holds: 100. */
  readonly eventBuffer?: number;
  /** A socket or TLS instead of plain HTTP on loopback. */
  readonly listen?: ListenOptions;
  /** Between two `{}` of a silent event stream: 30000. */
  readonly heartbeatMs?: number;
  /** Between two `{}` of a followed log in frames: 1000. */
  readonly logHeartbeatMs?: number;
}

/**
 * A Nomad server and its only client as one HTTP server on loopback, with the behaviour of Nomad 2.0.5. Give `address`
 * to the program under test. Faults are the methods and fields of this class, of `faults` (single requests) and of
 * `streams` (event streams). `close()` ends everything, also the tasks of the driver.
 */
export class FakeNomad {
  readonly state: State;
  readonly acl: Acl;
  /** Answers, cuts and hangs of single requests. */
  readonly faults = new Faults();
  /** The event streams: cut, silent, empty, overtaken. */
  readonly streams: EventStreams;
  readonly dispatcher: Dispatcher;
  readonly namespace: string;
  readonly #scheduler: Scheduler;
  readonly #logStore = new LogStore();
  readonly #logs: Logs;
  readonly #server: ApiServer;
  readonly #reads: StaleReads = { stale: 0 };

  private constructor(options: FakeNomadOptions) {
    this.namespace = options.namespace ?? 'agents';
    this.acl = aclOf(this.namespace, options);
    this.streams = new EventStreams(options.eventBuffer ?? 100, options.heartbeatMs ?? 30_000);
    this.state = new State((lines) => this.streams.publish(lines));
    const driver = options.driver ?? scriptedDriver();
    this.#scheduler = new Scheduler(this.state, this.#logStore, driver, options.hostVolumes ?? {});
    this.dispatcher = new Dispatcher(this.state, this.#scheduler);
    this.#logs = new Logs(this.state, this.#logStore, options.logHeartbeatMs ?? 1_000);
    const names = ['default', this.namespace, ...(options.otherNamespaces ?? [])];
    this.#server = new ApiServer(
      {
        acl: this.acl,
        state: this.state,
        scheduler: this.#scheduler,
        dispatcher: this.dispatcher,
        streams: this.streams,
        logs: this.#logs,
        namespaces: new Map(names.map((name) => [name, newNamespace(name)])),
        reads: this.#reads,
      },
      this.faults,
      options.listen ?? {},
    );
    for (const job of options.jobs ?? []) this.registerJob(job);
  }

  static async start(options: FakeNomadOptions = {}): Promise<FakeNomad> {
    const nomad = new FakeNomad(options);
    await nomad.#server.listen();
    return nomad;
  }

  /** `http://127.0.0.1:<port>`, or as `listen` says; the same after a restart. */
  get address(): string {
    return this.#server.address;
  }

  async close(): Promise<void> {
    this.faults.close();
    this.streams.end();
    await this.#scheduler.close();
    await this.#server.close();
  }

  // What there is

  /** Registers or replaces a job without a request; only ID and TaskGroups are needed, the defaults are Nomad's. */
  registerJob(job: Readonly<Record<string, unknown>>): Job {
    const filled = withDefaults(job, textOf(job['Namespace'], this.namespace));
    const before = this.state.job(filled.Namespace, filled.ID);
    const version = before ? before.Version + 1 : 0;
    const times = { CreateIndex: before?.CreateIndex ?? 0, SubmitTime: nanoseconds(), Version: version };
    this.#scheduler.store({ ...filled, ...times, Status: 'running', ModifyIndex: 0, JobModifyIndex: 0 });
    return this.job(filled.ID);
  }

  /** Somebody edits a registered job: drift. */
  alterJob(id: string, change: (job: Job) => Readonly<Record<string, unknown>>): Job {
    return this.registerJob({ ...this.job(id), ...change(this.job(id)) });
  }

  job(id: string): Job {
    return found(this.state.job(this.namespace, id), `job ${id}`);
  }

  /** All children with this idempotency token, the first dispatched first. */
  children(token: string): readonly Job[] {
    return [...this.state.jobs.values()].filter((job) => job.Dispatched && job.DispatchIdempotencyToken === token);
  }

  /** The only child of an idempotency token. */
  child(token: string): Job {
    return found(this.children(token)[0], `child of ${token}`);
  }

  /** Newest allocation of a child, by its id or its token. */
  allocation(child: string): Allocation {
    const job = this.state.job(this.namespace, child) ?? this.child(child);
    return found(this.state.allocationsOf(job).at(-1), `allocation of ${child}`);
  }

  /** How often a task was started for this idempotency token. */
  executions(token: string): number {
    return this.#scheduler.executions.get(token) ?? 0;
  }

  /** Every request so far, without headers and bodies. */
  get requests(): readonly SeenRequest[] {
    return this.#server.seen;
  }

  /** Requests of one route: `dispatch`, `job`, `jobs`, `stop`, `allocation`, `logs`, `event stream`, … */
  count(route: string): number {
    return this.requests.filter((request) => request.route === route).length;
  }

  // Faults of the server

  /** The next dispatch answers 200 with an id that was never stored; the real child is stored under the token. */
  ghostChild(times = 1): void {
    this.dispatcher.ghosts += times;
  }

  /** Somebody else dispatches with a token that is not theirs. */
  foreignChild(request: Pick<DispatchRequest, 'parent' | 'token'> & Partial<DispatchRequest>): Job {
    const whole = { namespace: this.namespace, payload: '', meta: {}, idPrefix: '', priority: 0, ...request };
    return this.job(String(this.dispatcher.dispatch(whole)['DispatchedJobID']));
  }

  /** Events come before their state: so many reads of allocations without `?index=` answer the older one. */
  eventsBeforeState(reads: number): void {
    this.#reads.stale = reads;
  }

  /** Connections are refused until `up`. Tasks live on, and what they report is in the buffer afterwards. */
  async down(): Promise<void> {
    this.streams.end();
    await new Promise((resolve) => setImmediate(resolve));
    await this.#server.close();
  }

  /** The first `denied` requests get the 403 of an agent that starts. */
  async up(denied = 1): Promise<void> {
    this.#server.starting = denied;
    await this.#server.listen();
  }

  async restart(denied = 1): Promise<void> {
    await this.down();
    await this.up(denied);
  }

  /** Connections above it get a 429. */
  limitConnections(limit: number): void {
    this.#server.connectionLimit = limit;
  }

  // Faults of the client

  /** The client deletes the directory: logs are 404, the server still knows the allocation. */
  collectFromClient(child: string): void {
    this.#logStore.collect(this.allocation(child).ID);
  }

  /** `system gc`: job, allocations and evaluations are gone without an event; lists are empty. */
  collectFromServer(child: string): void {
    const job = this.state.job(this.namespace, child) ?? this.child(child);
    this.state.forget(this.state.allocationsOf(job), job);
  }

  /** Somebody purges the child. */
  purge(child: string): void {
    this.#scheduler.purge(this.state.job(this.namespace, child) ?? this.child(child));
  }

  /** After every log that is read to its end, in the same 200: an error of the server as text. */
  set textAfterLogs(text: string) {
    this.#logs.textAfter200 = text;
  }

  /** The oldest bytes of a log are gone. */
  truncateLog(child: string, stream: 'stdout' | 'stderr', bytes: number): void {
    const allocation = this.allocation(child);
    const task = Object.keys(allocation.TaskStates ?? {}).at(-1) ?? 'runner';
    this.#logStore.dropOldest(allocation.ID, { task, stream }, bytes);
  }

  /** The node is down: the allocation is lost, and another is made of the same child unless `replace` is false. */
  loseNode(child: string, { replace = true } = {}): void {
    const old = this.allocation(child);
    const lost: Allocation = {
      ...old,
      ClientStatus: 'lost',
      DesiredStatus: 'stop',
      DesiredDescription: 'alloc is lost since its node is down',
    };
    if (replace) this.#scheduler.replace(this.job(old.JobID), lost);
    else this.state.commit('PlanResult', { allocations: [lost] });
  }

  /** The node is disconnected: the allocation is `unknown`, also when it is stopped, until the answer is called. */
  disconnectNode(child: string): () => void {
    return this.#scheduler.disconnect(this.allocation(child));
  }

  /** The allocation that failed is rescheduled: a second execution of the same child. */
  reschedule(child: string): void {
    const old = this.allocation(child);
    const tracker = {
      Events: [{ Delay: 5e9, PrevAllocID: old.ID, PrevNodeID: old.NodeID, RescheduleTime: nanoseconds() }],
      LastReschedule: 'ok',
    };
    const stopped = { ...old, DesiredStatus: 'stop' as const, FollowupEvalID: randomUUID() };
    this.#scheduler.replace(this.job(old.JobID), stopped, { RescheduleTracker: tracker });
  }
}

function aclOf(namespace: string, options: FakeNomadOptions): Acl {
  const acl = new Acl(options.acl ?? true);
  const rules = (capabilities: readonly string[]) =>
    `namespace "${namespace}" {\n  capabilities = [${capabilities.map((one) => `"${one}"`).join(', ')}]\n}\n`;
  acl.putPolicy('dispatcher', rules(options.daemonCapabilities ?? DAEMON_CAPABILITIES), 'dispatcher', 1);
  if (options.anonymousCapabilities) acl.putPolicy('anonymous', rules(options.anonymousCapabilities), '', 1);
  for (const [name, text] of Object.entries(options.policies ?? {})) acl.putPolicy(name, text, '', 1);
  acl.addToken(MANAGEMENT_TOKEN, { type: 'management', name: 'management' });
  acl.addToken(DAEMON_TOKEN, { policies: ['dispatcher'], name: 'dispatcher' });
  for (const [secret, token] of Object.entries(options.tokens ?? {})) acl.addToken(secret, token);
  return acl;
}

function found<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`the fake has no ${what}`);
  return value;
}
