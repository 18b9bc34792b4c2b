import type { Call } from './http.ts';
import type { State } from './state.ts';
import type { Allocation, Job } from './wire.ts';

/** Lists as the server gives them: stubs, pages, and queries that wait for a change. */

const TRANSITION = {
  ForceReschedule: null,
  Migrate: null,
  MigrateDisablePlacement: null,
  NoShutdownDelay: null,
  Reschedule: null,
};

export function allocationStub(allocation: Allocation): Readonly<Record<string, unknown>> {
  return {
    ID: allocation.ID,
    EvalID: allocation.EvalID,
    Name: allocation.Name,
    Namespace: allocation.Namespace,
    NodeID: allocation.NodeID,
    NodeName: allocation.NodeName,
    JobID: allocation.JobID,
    JobType: allocation.Job.Type,
    JobVersion: allocation.Job.Version,
    TaskGroup: allocation.TaskGroup,
    ClientStatus: allocation.ClientStatus,
    ClientDescription: allocation.ClientDescription ?? '',
    DesiredStatus: allocation.DesiredStatus,
    DesiredDescription: allocation.DesiredDescription ?? '',
    DesiredTransition: TRANSITION,
    TaskStates: allocation.TaskStates ?? null,
    DeploymentStatus: null,
    FollowupEvalID: allocation.FollowupEvalID ?? '',
    NextAllocation: allocation.NextAllocation ?? '',
    RescheduleTracker: allocation.RescheduleTracker ?? null,
    PreemptedAllocations: null,
    PreemptedByAllocation: '',
    CreateIndex: allocation.CreateIndex,
    CreateTime: allocation.CreateTime,
    ModifyIndex: allocation.ModifyIndex,
    ModifyTime: allocation.ModifyTime,
  };
}

export function jobStub(job: Job, state: State, withMeta: boolean): Readonly<Record<string, unknown>> {
  return {
    ID: job.ID,
    ParentID: job.ParentID,
    Name: job.Name,
    Namespace: job.Namespace,
    Datacenters: job['Datacenters'],
    NodePool: job['NodePool'],
    Multiregion: null,
    Type: job.Type,
    Priority: job.Priority,
    Periodic: false,
    ParameterizedJob: job.ParameterizedJob !== null && !job.Dispatched,
    Stop: job.Stop,
    Status: job.Status,
    StatusDescription: '',
    JobSummary: summaryOf(job, state),
    CreateIndex: job.CreateIndex,
    ModifyIndex: job.ModifyIndex,
    JobModifyIndex: job.JobModifyIndex,
    SubmitTime: job.SubmitTime,
    ...(withMeta && job.Meta ? { Meta: job.Meta } : {}),
  };
}

export function summaryOf(job: Job, state: State): Readonly<Record<string, unknown>> {
  const statuses = state.allocationsOf(job).map(({ ClientStatus }) => ClientStatus);
  const count = (status: string) => statuses.filter((one) => one === status).length;
  const summary = {
    Complete: count('complete'),
    Failed: count('failed'),
    Lost: count('lost'),
    Queued: 0,
    Running: count('running'),
    Starting: count('pending'),
    Unknown: count('unknown'),
  };
  return {
    JobID: job.ID,
    Namespace: job.Namespace,
    Summary: Object.fromEntries(job.TaskGroups.map(({ Name }) => [Name, summary])),
    Children: { Dead: 0, Pending: 0, Running: 0 },
    CreateIndex: job.CreateIndex,
    ModifyIndex: job.ModifyIndex,
  };
}

/** One page in the order of the keys, and the key that the next begins with. */
export function pageOf<T>(
  call: Call,
  rows: readonly T[],
  keyOf: (row: T) => string,
): { readonly rows: readonly T[]; readonly headers: Readonly<Record<string, string>> } {
  const from = call.query.get('next_token') ?? '';
  const start = from === '' ? 0 : rows.findIndex((row) => keyOf(row) === from);
  const rest = start < 0 ? [] : rows.slice(start);
  const size = Number(call.query.get('per_page') ?? 0);
  const next = size > 0 ? rest[size] : undefined;
  return {
    rows: size > 0 ? rest.slice(0, size) : rest,
    headers: next === undefined ? {} : { 'x-nomad-nexttoken': keyOf(next) },
  };
}

/** With `?index=` waits until `indexNow` is beyond it, the wait is over, or the client has gone. */
export async function waitForIndex(call: Call, state: State, indexNow: () => number): Promise<void> {
  const wanted = Number(call.query.get('index') ?? 0);
  if (wanted === 0 || indexNow() > wanted) return;
  await new Promise<void>((resolve) => {
    const done = () => {
      clearTimeout(timer);
      unwatch();
      resolve();
    };
    const timer = setTimeout(done, millisecondsOf(call.query.get('wait'))).unref();
    const unwatch = state.onCommit(() => {
      if (indexNow() > wanted) done();
    });
    call.response.once('close', done);
  });
}

function millisecondsOf(wait: string | null): number {
  const [, count = '300', unit = 's'] = /^(\d+)(ms|s|m)$/.exec(wait ?? '300s') ?? [];
  return Number(count) * { ms: 1, s: 1_000, m: 60_000 }[unit as 'ms' | 's' | 'm'];
}
