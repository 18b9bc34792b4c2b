/** What Nomad sends and stores, as far as the fake reads it; the rest goes through as it came. */

export interface TaskEvent {
  readonly Type: string;
  readonly Time: number;
  readonly DisplayMessage: string;
  readonly Details: Readonly<Record<string, string>>;
  readonly [other: string]: unknown;
}

export interface TaskState {
  readonly State: 'pending' | 'running' | 'dead';
  readonly Failed: boolean;
  readonly Restarts: number;
  readonly StartedAt: string | null;
  readonly FinishedAt: string | null;
  readonly LastRestart: string | null;
  readonly Paused: string;
  readonly Events: readonly TaskEvent[];
}

export interface Task {
  readonly Name: string;
  readonly Driver: string;
  readonly Config: { readonly command?: string; readonly args?: readonly string[] };
  readonly Env: Readonly<Record<string, string>> | null;
  readonly DispatchPayload: { readonly File: string } | null;
  readonly KillSignal: string;
  /** Nanoseconds. */
  readonly KillTimeout: number;
  readonly LogConfig: { readonly MaxFiles: number; readonly MaxFileSizeMB: number };
  readonly VolumeMounts: readonly { readonly Volume: string }[] | null;
  readonly [other: string]: unknown;
}

interface Volume {
  readonly Type: string;
  readonly Source: string;
  readonly ReadOnly: boolean;
}

export interface TaskGroup {
  readonly Name: string;
  readonly Tasks: readonly Task[];
  readonly Volumes: Readonly<Record<string, Volume>> | null;
  /** Nanoseconds; null: no limit. */
  readonly MaxRunDuration: number | null;
  readonly [other: string]: unknown;
}

export interface Job {
  readonly ID: string;
  readonly Name: string;
  readonly Namespace: string;
  readonly ParentID: string;
  readonly Type: string;
  readonly Priority: number;
  readonly Status: 'pending' | 'running' | 'dead';
  readonly Stop: boolean;
  readonly Dispatched: boolean;
  readonly DispatchIdempotencyToken: string;
  /** Base64. */
  readonly Payload: string | null;
  readonly Meta: Readonly<Record<string, string>> | null;
  readonly ParameterizedJob: {
    readonly Payload: 'optional' | 'required' | 'forbidden';
    readonly MetaRequired: readonly string[] | null;
    readonly MetaOptional: readonly string[] | null;
  } | null;
  readonly TaskGroups: readonly TaskGroup[];
  readonly Version: number;
  readonly CreateIndex: number;
  readonly ModifyIndex: number;
  readonly JobModifyIndex: number;
  /** Nanoseconds. */
  readonly SubmitTime: number;
  readonly [other: string]: unknown;
}

export type ClientStatus = 'pending' | 'running' | 'complete' | 'failed' | 'lost' | 'unknown';

/** Absent fields are those that Nomad leaves out while they are empty. */
export interface Allocation {
  readonly ID: string;
  readonly Namespace: string;
  readonly JobID: string;
  readonly EvalID: string;
  readonly Name: string;
  readonly NodeID: string;
  readonly NodeName: string;
  readonly TaskGroup: string;
  /** As it was when the allocation was placed; events and lists leave it out. */
  readonly Job: Job;
  readonly ClientStatus: ClientStatus;
  readonly ClientDescription?: string;
  readonly DesiredStatus: 'run' | 'stop' | 'evict';
  readonly DesiredDescription?: string;
  readonly TaskStates?: Readonly<Record<string, TaskState>>;
  readonly PreviousAllocation?: string;
  readonly NextAllocation?: string;
  readonly FollowupEvalID?: string;
  readonly RescheduleTracker?: unknown;
  readonly CreateIndex: number;
  readonly ModifyIndex: number;
  readonly AllocModifyIndex: number;
  readonly CreateTime: number;
  readonly ModifyTime: number;
  readonly [other: string]: unknown;
}

export interface Evaluation {
  readonly ID: string;
  readonly Namespace: string;
  readonly JobID: string;
  readonly Type: string;
  readonly Priority: number;
  readonly Status: 'pending' | 'complete' | 'blocked' | 'canceled' | 'failed';
  readonly TriggeredBy: string;
  readonly CreateIndex: number;
  readonly ModifyIndex: number;
  readonly CreateTime: number;
  readonly ModifyTime: number;
  readonly BlockedEval?: string;
  readonly FailedTGAllocs?: Readonly<Record<string, unknown>>;
  readonly [other: string]: unknown;
}

export type EventType =
  | 'JobRegistered'
  | 'JobDeregistered'
  | 'JobBatchDeregistered'
  | 'PlanResult'
  | 'EvaluationUpdated'
  | 'AllocationUpdated';

export interface Event {
  readonly Topic: 'Job' | 'Evaluation' | 'Allocation';
  readonly Type: EventType;
  readonly Key: string;
  readonly Namespace: string;
  readonly FilterKeys: readonly string[] | null;
  readonly Index: number;
  readonly Payload: Readonly<Record<string, unknown>>;
}

/** One line of the event stream. */
export interface EventLine {
  readonly Index: number;
  readonly Events: readonly Event[];
}

/** Now, in the nanoseconds since 1970 that Nomad counts in (rounded as a JavaScript reader would). */
export function nanoseconds(): number {
  return Date.now() * 1_000_000;
}
