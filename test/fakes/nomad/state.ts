import type { Allocation, Evaluation, Event, EventLine, EventType, Job } from './wire.ts';
import { nanoseconds } from './wire.ts';

/** What one raft entry changes. Records are replaced, never altered. */
interface Change {
  readonly jobs?: readonly Job[];
  readonly evaluations?: readonly Evaluation[];
  readonly allocations?: readonly Allocation[];
  readonly purged?: Job;
  /** Put beside the Allocation in its event. */
  readonly timeout?: string | undefined;
}

interface OfJob {
  readonly allocations: Set<string>;
  readonly evaluations: Set<string>;
}

/** The tables of the server. Every change goes through `commit`, which also tells the event stream and who waits. */
export class State {
  readonly jobs = new Map<string, Job>();
  readonly evaluations = new Map<string, Evaluation>();
  readonly allocations = new Map<string, Allocation>();
  /** Each allocation as it was before its last change. */
  readonly before = new Map<string, Allocation>();
  readonly #ofJob = new Map<string, OfJob>();
  readonly #publish: (lines: readonly EventLine[]) => void;
  readonly #waiting = new Set<() => void>();
  #index = 10;

  constructor(publish: (lines: readonly EventLine[]) => void) {
    this.#publish = publish;
  }

  get index(): number {
    return this.#index;
  }

  job(namespace: string, id: string): Job | undefined {
    return this.jobs.get(keyOf(namespace, id));
  }

  allocationsOf(job: { readonly Namespace: string; readonly ID: string }): readonly Allocation[] {
    return present([...this.#members(job.Namespace, job.ID).allocations].map((id) => this.allocations.get(id)));
  }

  evaluationsOf(job: { readonly Namespace: string; readonly ID: string }): readonly Evaluation[] {
    return present([...this.#members(job.Namespace, job.ID).evaluations].map((id) => this.evaluations.get(id)));
  }

  /** Stores the change under the next index, which is the answer. */
  commit(type: EventType, change: Change): number {
    const index = ++this.#index;
    const evaluations = (change.evaluations ?? []).map((evaluation) => this.#putEvaluation(evaluation, index));
    const allocations = (change.allocations ?? []).map((allocation) => this.#putAllocation(type, allocation, index));
    const jobs = (change.jobs ?? []).map((job) => this.#putJob({ ...job, ModifyIndex: index }));
    const followed = this.#followStatus([...evaluations, ...allocations], jobs, index);
    if (change.purged) this.#purge(change.purged);
    const deleted = change.purged ? { Deleted: true } : {};
    const events = {
      jobs: [...jobs, ...(change.purged ? [change.purged] : []), ...followed].map((job) => jobEvent(job, deleted)),
      evaluations: evaluations.map((evaluation) => relatedEvent('Evaluation', evaluation, {})),
      allocations: allocations.map((one) => relatedEvent('Allocation', one, timeoutOf(change.timeout))),
    };
    this.#publish(linesOf(type, index, events));
    for (const wake of this.#waiting) wake();
    return index;
  }

  /** Takes away without an event, as the garbage collection does. */
  forget(allocations: readonly Allocation[], job?: Job): void {
    this.#index += 1;
    for (const allocation of allocations) {
      this.allocations.delete(allocation.ID);
      this.before.delete(allocation.ID);
      this.#members(allocation.Namespace, allocation.JobID).allocations.delete(allocation.ID);
    }
    if (job === undefined) return;
    for (const evaluation of this.evaluationsOf(job)) this.evaluations.delete(evaluation.ID);
    this.jobs.delete(keyOf(job.Namespace, job.ID));
    this.#ofJob.delete(keyOf(job.Namespace, job.ID));
  }

  /** Calls after every commit until the answer is called. */
  onCommit(wake: () => void): () => void {
    this.#waiting.add(wake);
    return () => this.#waiting.delete(wake);
  }

  #putJob(job: Job): Job {
    this.jobs.set(keyOf(job.Namespace, job.ID), job);
    return job;
  }

  #putEvaluation(evaluation: Evaluation, index: number): Evaluation {
    const stored = { ...evaluation, CreateIndex: evaluation.CreateIndex || index, ModifyIndex: index };
    this.evaluations.set(stored.ID, stored);
    this.#members(stored.Namespace, stored.JobID).evaluations.add(stored.ID);
    return stored;
  }

  #putAllocation(type: EventType, allocation: Allocation, index: number): Allocation {
    const stored = {
      ...allocation,
      CreateIndex: allocation.CreateIndex || index,
      ModifyIndex: index,
      AllocModifyIndex: type === 'PlanResult' ? index : allocation.AllocModifyIndex,
      ModifyTime: nanoseconds(),
    };
    const before = this.allocations.get(stored.ID);
    if (before) this.before.set(stored.ID, before);
    this.allocations.set(stored.ID, stored);
    this.#members(stored.Namespace, stored.JobID).allocations.add(stored.ID);
    return stored;
  }

  /** Jobs whose status follows from what changed, other than those that were stored anyway. */
  #followStatus(
    changed: readonly { Namespace: string; JobID: string }[],
    stored: readonly Job[],
    index: number,
  ): readonly Job[] {
    const ids = new Set(changed.map((one) => keyOf(one.Namespace, one.JobID)));
    return present([...ids].map((id) => this.jobs.get(id)))
      .filter((job) => !stored.some((one) => one.ID === job.ID) && job.Status !== this.statusOf(job))
      .map((job) => this.#putJob({ ...job, Status: this.statusOf(job), ModifyIndex: index }));
  }

  /** Running while an allocation is not terminal, pending while an evaluation is not, dead otherwise. */
  statusOf(job: Job): Job['Status'] {
    if (job.ParameterizedJob && !job.Dispatched) return job.Stop ? 'dead' : 'running';
    if (this.allocationsOf(job).some((one) => !isTerminal(one))) return 'running';
    const waits = this.evaluationsOf(job).some(({ Status }) => Status === 'pending' || Status === 'blocked');
    return waits ? 'pending' : 'dead';
  }

  #purge(job: Job): void {
    for (const allocation of this.allocationsOf(job)) {
      this.allocations.delete(allocation.ID);
      this.before.delete(allocation.ID);
    }
    this.#members(job.Namespace, job.ID).allocations.clear();
    this.jobs.delete(keyOf(job.Namespace, job.ID));
  }

  #members(namespace: string, jobId: string): OfJob {
    const key = keyOf(namespace, jobId);
    const known = this.#ofJob.get(key) ?? { allocations: new Set(), evaluations: new Set() };
    this.#ofJob.set(key, known);
    return known;
  }
}

/** For the scheduler: the client's word or the server's wish is final. */
export function isTerminal(allocation: Allocation): boolean {
  return allocation.DesiredStatus !== 'run' || ['complete', 'failed', 'lost'].includes(allocation.ClientStatus);
}

type Untimed = Omit<Event, 'Type' | 'Index'>;

/** One line for an entry, but two for a job that is registered or stopped: first the job, then its evaluation. */
function linesOf(
  type: EventType,
  index: number,
  { jobs, evaluations, allocations }: Record<'jobs' | 'evaluations' | 'allocations', readonly Untimed[]>,
): readonly EventLine[] {
  const line = (...events: (readonly Untimed[])[]): EventLine => ({
    Index: index,
    Events: events.flat().map((event) => ({ ...event, Type: type, Index: index })),
  });
  const isOfJob = type === 'JobRegistered' || type === 'JobDeregistered';
  const lines = isOfJob
    ? [line(jobs), line(evaluations)]
    : [type === 'PlanResult' ? line(evaluations, allocations, jobs) : line(allocations, evaluations, jobs)];
  return lines.filter(({ Events }) => Events.length > 0);
}

/** The Job topic shows the payload as it is stored: compressed. */
function jobEvent(job: Job, more: Readonly<Record<string, unknown>>): Untimed {
  const payload = job.Payload === null ? null : snappy(Buffer.from(job.Payload, 'base64')).toString('base64');
  return {
    Topic: 'Job',
    Key: job.ID,
    Namespace: job.Namespace,
    FilterKeys: null,
    Payload: { Job: { ...job, Payload: payload }, ...more },
  };
}

function relatedEvent(
  topic: 'Evaluation' | 'Allocation',
  record: Evaluation | Allocation,
  more: Readonly<Record<string, unknown>>,
): Untimed {
  return {
    Topic: topic,
    Key: record.ID,
    Namespace: record.Namespace,
    FilterKeys: [record.JobID, ''],
    Payload: { [topic]: { ...record, Job: undefined }, ...more },
  };
}

function timeoutOf(reason: string | undefined): Readonly<Record<string, unknown>> {
  return reason === undefined ? {} : { Timeout: true, TimeoutReason: reason };
}

/** The block format of snappy without any compression: the length, then one literal. */
function snappy(bytes: Buffer): Buffer {
  const length: number[] = [];
  for (let rest = bytes.length; ; rest >>>= 7) {
    length.push(rest < 128 ? rest : (rest & 127) | 128);
    if (rest < 128) break;
  }
  const size = Buffer.alloc(2);
  size.writeUInt16LE(Math.max(bytes.length - 1, 0));
  return bytes.length === 0
    ? Buffer.from(length)
    : Buffer.concat([Buffer.from(length), Buffer.from([61 << 2]), size, bytes]);
}

function keyOf(namespace: string, id: string): string {
  return `${namespace}\0${id}`;
}

function present<T>(values: readonly (T | undefined)[]): readonly T[] {
  return values.filter((value): value is T & {} => value !== undefined);
}
