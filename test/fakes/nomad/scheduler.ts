import type { LogLimits, LogStore } from './log-store.ts';
import { newAllocation, newEvaluation, placeable, planned } from './records.ts';
import type { State } from './state.ts';
import { isTerminal } from './state.ts';
import type { Report, RunningAllocation, TaskDriver } from './tasks.ts';
import type { Allocation, Evaluation, Job, TaskState } from './wire.ts';

/** Places children, hands them to the driver, and stops them: the entries that a real server writes, in its order. */
export class Scheduler {
  /** Allocations started, by the idempotency token of their child. */
  readonly executions = new Map<string, number>();
  readonly #state: State;
  readonly #logs: LogStore;
  readonly #driver: TaskDriver;
  readonly #hostVolumes: Readonly<Record<string, { readonly readOnly: boolean }>>;
  readonly #running = new Map<string, RunningAllocation>();
  /** What happens to allocations of a disconnected node, in order, until it is back. */
  readonly #away = new Map<string, (() => void)[]>();
  #closed = false;

  constructor(
    state: State,
    logs: LogStore,
    driver: TaskDriver,
    hostVolumes: Readonly<Record<string, { readonly readOnly: boolean }>>,
  ) {
    this.#state = state;
    this.#logs = logs;
    this.#driver = driver;
    this.#hostVolumes = hostVolumes;
  }

  /** Stores the job with its evaluation in one entry; it is placed right after the answer. */
  register(job: Job): { readonly index: number; readonly evaluation: Evaluation } {
    const evaluation = newEvaluation(job, 'job-register');
    const index = this.#state.index + 1;
    const stored = { ...job, CreateIndex: job.CreateIndex || index, JobModifyIndex: index };
    this.#state.commit('JobRegistered', {
      jobs: [stored],
      evaluations: [{ ...evaluation, JobModifyIndex: index }],
    });
    setImmediate(() => this.#evaluate(stored, evaluation.ID));
    return { index, evaluation };
  }

  /** Without a plan: a parameterized parent only waits for dispatches. */
  store(job: Job): number {
    const index = this.#state.index + 1;
    return this.#state.commit('JobRegistered', {
      jobs: [{ ...job, CreateIndex: job.CreateIndex || index, JobModifyIndex: index }],
    });
  }

  /** Marks the child as stopped and has its tasks ended; the answer is the new evaluation. */
  stop(job: Job): Evaluation {
    const index = this.#state.index + 1;
    const evaluation = { ...newEvaluation(job, 'job-deregister'), JobModifyIndex: index };
    const stopped = {
      ...job,
      Stop: true,
      Version: job.Version + (job.Stop ? 0 : 1),
      JobModifyIndex: index,
      SubmitTime: evaluation.CreateTime,
    };
    this.#state.commit('JobDeregistered', { jobs: [stopped], evaluations: [evaluation] });
    setImmediate(() => this.#end(stopped, evaluation.ID));
    return this.#state.evaluations.get(evaluation.ID) ?? evaluation;
  }

  /** Deletes job and allocations from the state at once; what runs is ended, and nobody hears of its end. */
  purge(job: Job): Evaluation {
    const evaluation = { ...newEvaluation(job, 'job-deregister'), JobModifyIndex: this.#state.index + 1 };
    const live = this.#state.allocationsOf(job);
    this.#state.commit('JobDeregistered', { purged: job, evaluations: [evaluation] });
    setImmediate(() => {
      const stored = this.#state.evaluations.get(evaluation.ID);
      if (stored) this.#state.commit('EvaluationUpdated', { evaluations: [planned(stored, null)] });
      for (const { ID } of live) this.#running.get(ID)?.stop();
    });
    return this.#state.evaluations.get(evaluation.ID) ?? evaluation;
  }

  /** A new allocation of the same child instead of this one, which becomes `old`. */
  replace(job: Job, old: Allocation, more: Readonly<Record<string, unknown>> = {}): Allocation {
    const evaluation = newEvaluation(job, 'node-update');
    this.#state.commit('EvaluationUpdated', { evaluations: [evaluation] });
    const next = { ...newAllocation(job, evaluation.ID), PreviousAllocation: old.ID, ...more };
    this.#plan(evaluation.ID, [next, { ...old, NextAllocation: next.ID }], { Place: 1, Stop: 1 });
    this.#start(job, next.ID);
    return next;
  }

  /** What the client says of the allocation, and what it is told, waits until the answer is called. */
  disconnect({ ID, ClientStatus, ClientDescription = '' }: Allocation): () => void {
    const late: (() => void)[] = [];
    const say = (words: Pick<Allocation, 'ClientStatus' | 'ClientDescription'>) => {
      const now = this.#state.allocations.get(ID);
      if (now) this.#state.commit('PlanResult', { allocations: [{ ...now, ...words }] });
    };
    this.#away.set(ID, late);
    say({ ClientStatus: 'unknown', ClientDescription: 'alloc is unknown since its node is disconnected' });
    return () => {
      this.#away.delete(ID);
      say({ ClientStatus, ClientDescription });
      for (const each of late) each();
    };
  }

  /** A file of the allocation on its client. */
  file(allocationId: string, path: string): Buffer | null {
    return this.#running.get(allocationId)?.file(path) ?? null;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#driver.close();
  }

  #evaluate(job: Job, evaluationId: string): void {
    if (this.#closed || !this.#state.job(job.Namespace, job.ID)) return;
    const failed = placeable(job, this.#hostVolumes) ?? this.#driver.blocks(job);
    if (failed) return this.#block(job, evaluationId, failed);
    const allocation = newAllocation(job, evaluationId);
    this.#plan(evaluationId, [allocation], { Place: 1 });
    this.#start(job, allocation.ID);
  }

  #plan(evaluationId: string, allocations: readonly Allocation[], updates: Readonly<Record<string, number>>): void {
    const evaluation = this.#state.evaluations.get(evaluationId);
    if (!evaluation) return;
    this.#state.commit('PlanResult', { evaluations: [evaluation], allocations });
    this.#state.commit('EvaluationUpdated', { evaluations: [planned(evaluation, updates)] });
  }

  #block(job: Job, evaluationId: string, failed: Readonly<Record<string, unknown>>): void {
    const evaluation = this.#state.evaluations.get(evaluationId);
    if (!evaluation) return;
    const reason = { FailedTGAllocs: { [job.TaskGroups[0]?.Name ?? 'run']: failed } };
    const blocked: Evaluation = {
      ...newEvaluation(job, 'queued-allocs'),
      ...reason,
      ClassEligibility: { 'v1:9201033437465219754': false },
      JobModifyIndex: job.JobModifyIndex,
      PreviousEval: evaluationId,
      SnapshotIndex: evaluation.CreateIndex,
      Status: 'blocked',
      StatusDescription: 'created to place remaining allocations',
    };
    this.#state.commit('EvaluationUpdated', { evaluations: [blocked] });
    const complete = { ...planned(evaluation, { Place: 1 }, 1), ...reason, BlockedEval: blocked.ID };
    this.#state.commit('EvaluationUpdated', { evaluations: [complete] });
  }

  #end(job: Job, evaluationId: string): void {
    const evaluation = this.#state.evaluations.get(evaluationId);
    if (!evaluation || this.#closed) return;
    const live = this.#state.allocationsOf(job).filter((one) => !isTerminal(one));
    if (live.length > 0) {
      const stopped = live.map((one) => ({
        ...one,
        DesiredStatus: 'stop' as const,
        DesiredDescription: 'alloc not needed due to job update',
      }));
      this.#plan(evaluationId, stopped, { Stop: live.length });
    } else {
      const blocked = this.#state.evaluationsOf(job).filter(({ Status }) => Status === 'blocked');
      const canceled = blocked.map((one) => ({
        ...one,
        Status: 'canceled' as const,
        StatusDescription: `evaluation "${evaluationId}" successful`,
      }));
      this.#state.commit('EvaluationUpdated', { evaluations: [...canceled, planned(evaluation, {})] });
    }
    for (const { ID } of live) this.#whenConnected(ID, () => this.#stopTask(ID));
  }

  /** It may have ended while its node was away. */
  #stopTask(allocationId: string): void {
    const status = this.#state.allocations.get(allocationId)?.ClientStatus ?? '';
    if (!['complete', 'failed', 'lost'].includes(status)) this.#running.get(allocationId)?.stop();
  }

  #whenConnected(allocationId: string, work: () => void): void {
    const late = this.#away.get(allocationId);
    if (late === undefined) work();
    else late.push(work);
  }

  #start(job: Job, allocationId: string): void {
    const token = job.DispatchIdempotencyToken;
    this.executions.set(token, (this.executions.get(token) ?? 0) + 1);
    const running = this.#driver.start({
      allocationId,
      job,
      payload: Buffer.from(job.Payload ?? '', 'base64'),
      report: (report) => this.#whenConnected(allocationId, () => this.report(allocationId, report)),
      log: (task, stream, bytes) =>
        this.#logs.add(allocationId, { task, stream }, Buffer.from(bytes), limitsOf(job, task)),
      current: () => this.#state.allocations.get(allocationId),
    });
    this.#running.set(allocationId, running);
  }

  /** What the client of the allocation says of it. */
  report(allocationId: string, { client, description, tasks, timeout }: Report): void {
    const allocation = this.#state.allocations.get(allocationId);
    if (!allocation || this.#closed) return;
    const updated = {
      ...allocation,
      ClientStatus: client,
      ClientDescription: description,
      TaskStates: continued(allocation, tasks),
      NetworkStatus: { Address: '', AddressIPv6: '', DNS: null, InterfaceName: '' },
    };
    this.#state.commit('AllocationUpdated', { allocations: [updated], timeout });
  }
}

function limitsOf(job: Job, task: string): LogLimits {
  const config = job.TaskGroups[0]?.Tasks.find(({ Name }) => Name === task)?.LogConfig;
  return { fileBytes: (config?.MaxFileSizeMB ?? 10) * 1_048_576, files: config?.MaxFiles ?? 10 };
}

/** The same events keep their times from report to report. */
function continued(
  { TaskStates: before = {} }: Allocation,
  tasks: Readonly<Record<string, TaskState>>,
): Readonly<Record<string, TaskState>> {
  const next = Object.entries(tasks).map(([name, task]) => {
    const old = before[name];
    const hasRestarted = old?.Restarts !== task.Restarts;
    const events = task.Events.map((event, at) => {
      const was = old?.Events[at];
      return was?.Type === event.Type && was.DisplayMessage === event.DisplayMessage ? was : event;
    });
    const started = task.StartedAt && !hasRestarted && old?.StartedAt ? old.StartedAt : task.StartedAt;
    return [name, { ...task, StartedAt: started, Events: events }] as const;
  });
  return Object.fromEntries(next);
}
