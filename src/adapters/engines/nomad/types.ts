import { z } from 'zod';

/** The task whose exit, logs and start are those of the run. */
export const RUNNER_TASK = 'runner';

/**
 * The parts of Nomad's answers that the engine uses. Nomad leaves empty fields out or answers null, depending on the
 * endpoint, so each reads as an empty value here; fields that nobody uses are not mentioned.
 */
const text = z
  .string()
  .nullish()
  .transform((value) => value ?? '');
const whole = z
  .number()
  .nullish()
  .transform((value) => value ?? 0);
const flag = z
  .boolean()
  .nullish()
  .transform((value) => value ?? false);
const texts = z
  .record(z.string(), z.string())
  .nullish()
  .transform((value) => value ?? {});
const counts = z
  .record(z.string(), z.number())
  .nullish()
  .transform((value) => value ?? {});
const names = z
  .array(z.string())
  .nullish()
  .transform((value) => value ?? []);

const taskEvent = z.object({
  /** `Received`, `Started`, `Terminated`, `Driver Failure`, `Killing` … */
  Type: z.string(),
  DisplayMessage: text,
  /** `exit_code`, `signal` and `oom_killed` of a Terminated event: texts, the only place where they are told. */
  Details: texts,
  /** Nanoseconds since 1970; a double, so exact to about 200 ns. */
  Time: whole,
  FailsTask: flag,
  FailedSibling: text,
});
export type TaskEvent = z.output<typeof taskEvent>;

const taskState = z.object({
  State: text,
  Failed: flag,
  /** RFC 3339; empty or the year 1 when it never started. */
  StartedAt: text,
  FinishedAt: text,
  /** The last ten only. */
  Events: z
    .array(taskEvent)
    .nullish()
    .transform((value) => value ?? []),
});
export type TaskState = z.output<typeof taskState>;

export const allocation = z.object({
  ID: z.string(),
  JobID: z.string(),
  NodeID: text,
  NodeName: text,
  ClientStatus: z.string(),
  ClientDescription: text,
  DesiredStatus: z.string(),
  DesiredDescription: text,
  CreateIndex: z.number(),
  ModifyIndex: z.number(),
  /** Nanoseconds since 1970. */
  CreateTime: whole,
  ModifyTime: whole,
  /** Left out of lists: there a replacement is known by its higher CreateIndex only. */
  PreviousAllocation: text,
  NextAllocation: text,
  FollowupEvalID: text,
  PreemptedByAllocation: text,
  /** Absent in the first event of an allocation. */
  TaskStates: z
    .record(z.string(), taskState)
    .nullish()
    .transform((value) => value ?? {}),
});
export type Allocation = z.output<typeof allocation>;
export const allocations = z.array(allocation);

const metrics = z.object({
  NodesEvaluated: whole,
  NodesFiltered: whole,
  NodesExhausted: whole,
  NodesAvailable: counts,
  ClassFiltered: counts,
  ConstraintFiltered: counts,
  ClassExhausted: counts,
  DimensionExhausted: counts,
  QuotaExhausted: names,
});
/** Why the scheduler found no place for a group. */
export type Metrics = z.output<typeof metrics>;

export const evaluation = z.object({
  ID: z.string(),
  JobID: text,
  /** `pending`, `blocked`, `complete`, `failed`, `canceled`. */
  Status: z.string(),
  StatusDescription: text,
  TriggeredBy: text,
  BlockedEval: text,
  FailedTGAllocs: z
    .record(z.string(), metrics)
    .nullish()
    .transform((value) => value ?? {}),
  /** What its plan wanted, by group; there as soon as it is complete. */
  PlanAnnotations: z.object({ DesiredTGUpdates: z.record(z.string(), z.object({ Place: whole })).nullish() }).nullish(),
  CreateIndex: z.number(),
  ModifyIndex: z.number(),
});
export type Evaluation = z.output<typeof evaluation>;
export const evaluations = z.array(evaluation);

/** A parent or a child; the rest of it is kept as it came, for the comparison with what is wanted (drift.ts). */
export const job = z.looseObject({
  ID: z.string(),
  Name: text,
  Namespace: text,
  /** Empty for a parent. */
  ParentID: text,
  Type: text,
  Status: text,
  StatusDescription: text,
  Stop: flag,
  Dispatched: flag,
  DispatchIdempotencyToken: text,
  /** Base64; of a child. Holds the wrapper, so it goes into no log and no error. */
  Payload: text,
  Meta: texts,
  /** Times of registration count from 0 for a parent. */
  Version: whole,
  CreateIndex: whole,
  ModifyIndex: whole,
  JobModifyIndex: whole,
  /** Nanoseconds since 1970. */
  SubmitTime: whole,
});
export type Job = z.output<typeof job>;

/** What shows whose run a child is: after a restart thousands are read. */
export const childJob = z.object({
  ID: z.string(),
  ParentID: text,
  DispatchIdempotencyToken: text,
  /** Base64, wrapper included. */
  Payload: text,
  CreateIndex: whole,
});
export type ChildJob = z.output<typeof childJob>;

/** A row of a list of jobs; `Meta` is there only where it was asked for (`meta=true`). */
const jobStub = z.object({
  ID: z.string(),
  Name: text,
  Namespace: text,
  ParentID: text,
  Type: text,
  Status: text,
  Stop: flag,
  Meta: texts,
  CreateIndex: whole,
  ModifyIndex: whole,
  JobModifyIndex: whole,
  SubmitTime: whole,
});
export const jobStubs = z.array(jobStub);

/** `EvalID` is empty for a replay of an idempotency token: the child is the one of the first request. */
export const dispatchAnswer = z.object({
  DispatchedJobID: z.string(),
  EvalID: text,
  EvalCreateIndex: whole,
  JobCreateIndex: whole,
  Index: whole,
});

const streamEvent = z.object({
  Topic: text,
  Type: text,
  Key: text,
  Namespace: text,
  Index: whole,
  Payload: z
    .object({
      Allocation: allocation.nullish(),
      Evaluation: evaluation.nullish(),
      Job: job.nullish(),
    })
    .nullish(),
});
export type StreamEvent = z.output<typeof streamEvent>;

/** A line of the event stream; `{}` is a heartbeat (no events, index 0). One index may come as several lines. */
export const eventLine = z.object({
  Index: whole,
  Events: z
    .array(streamEvent)
    .nullish()
    .transform((value) => value ?? []),
});
export type EventLine = z.output<typeof eventLine>;
