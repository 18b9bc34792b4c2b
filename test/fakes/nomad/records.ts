import { randomUUID } from 'node:crypto';
import type { Allocation, Evaluation, Job, Task } from './wire.ts';
import { nanoseconds } from './wire.ts';

/** New records as Nomad 2.0.5 writes them. */

const NODE = { NodeID: 'b44a406b-7062-a73a-db8d-a1abda7d5cad', NodeName: 'edge-1' };

const METRICS = {
  AllocationTime: 59_852,
  ClassExhausted: null,
  ClassFiltered: null,
  CoalescedFailures: 0,
  ConstraintFiltered: null,
  DimensionExhausted: null,
  NodePool: 'default',
  NodesAvailable: { dc1: 1 },
  NodesEvaluated: 1,
  NodesExhausted: 0,
  NodesFiltered: 0,
  NodesInPool: 1,
  QuotaExhausted: null,
  ResourcesExhausted: null,
  ScoreMetaData: null,
  Scores: null,
};

const RESOURCES = {
  CPU: 0,
  Cores: 0,
  Devices: null,
  DiskMB: 0,
  IOPS: 0,
  MemoryMB: 0,
  MemoryMaxMB: 0,
  NUMA: null,
  Networks: null,
  SecretsMB: 0,
};

const UPDATES = {
  Canary: 0,
  DestructiveUpdate: 0,
  Disconnect: 0,
  Ignore: 0,
  InPlaceUpdate: 0,
  Migrate: 0,
  Place: 0,
  Preemptions: 0,
  Reconnect: 0,
  RescheduleLater: 0,
  RescheduleNow: 0,
  Stop: 0,
};

export function newAllocation(job: Job, evaluationId: string): Allocation {
  const group = job.TaskGroups[0];
  const now = nanoseconds();
  const tasks = group?.Tasks ?? [];
  return {
    ID: randomUUID(),
    Namespace: job.Namespace,
    JobID: job.ID,
    EvalID: evaluationId,
    Name: `${job.ID}.${group?.Name ?? 'run'}[0]`,
    ...NODE,
    Job: job,
    TaskGroup: group?.Name ?? 'run',
    ClientStatus: 'pending',
    DesiredStatus: 'run',
    AllocatedResources: {
      Shared: { DiskMB: diskOf(job), Networks: null, Ports: null },
      TaskLifecycles: byName(tasks, (task) => task['Lifecycle']),
      Tasks: byName(tasks, (task) => ({
        Cpu: { CpuShares: resource(task, 'CPU'), ReservedCores: null },
        Devices: null,
        Memory: { MemoryMB: resource(task, 'MemoryMB'), MemoryMaxMB: 0 },
        Networks: null,
      })),
    },
    Metrics: METRICS,
    Resources: { ...RESOURCES, DiskMB: diskOf(job), ...total(tasks) },
    SharedResources: { ...RESOURCES, DiskMB: diskOf(job) },
    TaskResources: byName(tasks, (task) => task['Resources']),
    SigningKeyID: '7f59f63a-5e7f-1a8d-9eae-bab59c0befec',
    CreateIndex: 0,
    ModifyIndex: 0,
    AllocModifyIndex: 0,
    CreateTime: now,
    ModifyTime: now,
  };
}

export function newEvaluation(job: Job, triggeredBy: string): Evaluation {
  const now = nanoseconds();
  return {
    ID: randomUUID(),
    Namespace: job.Namespace,
    JobID: job.ID,
    JobModifyIndex: job.JobModifyIndex,
    Type: triggeredBy === 'job-deregister' ? 'service' : job.Type,
    Priority: job.Priority,
    Status: 'pending',
    TriggeredBy: triggeredBy,
    CreateIndex: 0,
    ModifyIndex: 0,
    CreateTime: now,
    ModifyTime: now,
  };
}

/** The evaluation once it is through, with what it planned; null: nothing, the job is gone. */
export function planned(
  evaluation: Evaluation,
  updates: Readonly<Record<string, number>> | null,
  queued = 0,
): Evaluation {
  const annotations = { DesiredTGUpdates: updates ? { run: { ...UPDATES, ...updates } } : {}, PreemptedAllocs: null };
  return {
    ...evaluation,
    ...(updates ? { QueuedAllocations: { run: queued } } : {}),
    PlanAnnotations: annotations,
    SnapshotIndex: evaluation.CreateIndex,
    Status: 'complete',
    ModifyTime: nanoseconds(),
  };
}

/** The metrics of a group that can't be placed. */
export function unplaced(why: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return { ...METRICS, ...why };
}

/** Null, or why the only node has not what the job's volumes ask for. */
export function placeable(
  job: Job,
  hostVolumes: Readonly<Record<string, { readonly readOnly: boolean }>>,
): Readonly<Record<string, unknown>> | null {
  const wanted = job.TaskGroups.flatMap((group) => Object.values(group.Volumes ?? {}));
  const isMissing = wanted.some(({ Source, ReadOnly }) => {
    const volume = hostVolumes[Source];
    return volume === undefined || (volume.readOnly && !ReadOnly);
  });
  return isMissing
    ? unplaced({ ConstraintFiltered: { 'missing compatible host volumes': 1 }, NodesFiltered: 1 })
    : null;
}

function byName(tasks: readonly Task[], of: (task: Task) => unknown): Readonly<Record<string, unknown>> {
  return Object.fromEntries(tasks.map((task) => [task.Name, of(task) ?? null]));
}

function resource(task: Task, name: 'CPU' | 'MemoryMB'): number {
  const resources = task['Resources'] as Readonly<Record<string, number>> | undefined;
  return resources?.[name] ?? 0;
}

function total(tasks: readonly Task[]): Readonly<Record<string, number>> {
  const sum = (name: 'CPU' | 'MemoryMB') => tasks.reduce((so, task) => so + resource(task, name), 0);
  return { CPU: sum('CPU'), MemoryMB: sum('MemoryMB'), MemoryMaxMB: sum('MemoryMB') };
}

function diskOf(job: Job): number {
  const disk = job.TaskGroups[0]?.['EphemeralDisk'] as { readonly SizeMB?: number } | undefined;
  return disk?.SizeMB ?? 300;
}
