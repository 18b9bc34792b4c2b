import type { Allocation, ClientStatus, Job, TaskState } from './wire.ts';

/** One update of an allocation by its client. */
export interface Report {
  readonly client: ClientStatus;
  readonly description: string;
  readonly tasks: Readonly<Record<string, TaskState>>;
  /** It ran longer than its group allows: shown beside the allocation in the event. */
  readonly timeout?: string;
}

/** An allocation that was placed, as its driver sees it. */
export interface Placement {
  readonly allocationId: string;
  /** The dispatched child. */
  readonly job: Job;
  /** As it was dispatched; empty without one. */
  readonly payload: Buffer;
  /** Tells the server. Ignored once the server has forgotten the allocation. */
  report(report: Report): void;
  /** Adds to the log of a task. */
  log(task: string, stream: 'stdout' | 'stderr', bytes: Uint8Array | string): void;
  /** The allocation as the server knows it; undefined once it is purged. */
  current(): Allocation | undefined;
}

export interface RunningAllocation {
  /** The server wants it ended. */
  stop(): void;
  /** Bytes of a file of the allocation directory; null: none there. */
  file(path: string): Buffer | null;
}

/** What runs the allocations. */
export interface TaskDriver {
  /** Why a child can't be placed, as in a blocked evaluation; null: it can. */
  blocks(job: Job): Readonly<Record<string, unknown>> | null;
  start(placement: Placement): RunningAllocation;
  /** Nothing runs any more when it resolves. */
  close(): Promise<void>;
}
