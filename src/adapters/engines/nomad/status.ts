import { constants } from 'node:os';
import type { RunEnd, RunStatus } from '../../../domain/run.ts';
import { oneLine, placementReason } from './status-words.ts';
import { type Allocation, type Evaluation, RUNNER_TASK, type TaskEvent, type TaskState } from './types.ts';

/** `allocation`: the one that counts; null where none was ever made. `replaced`: Nomad made another one after it. */
export type Reading =
  | { readonly kind: 'queued'; readonly message: string | null }
  | {
      readonly kind: 'running';
      /** When its runner was started, ISO 8601; null: not told. */
      readonly startedAt: string | null;
      readonly node: string | null;
      readonly allocation: string;
    }
  | {
      readonly kind: 'ended';
      readonly end: RunEnd;
      readonly allocation: string | null;
      readonly node: string | null;
      readonly replaced: boolean;
    };

/**
 * What became of one child job, from all that is known of it: each allocation and evaluation once, at its newest state.
 * Pure. The run is the first allocation; what Nomad places after it finds the wrapper used and is never credited.
 * Nothing but a terminal allocation is an end (a stopped job is "dead" while its processes live), and no exit is believed
 * but that of the runner's last Terminated event: "complete" is said of stopped and of timed out allocations as well.
 *
 * `evaluations` must not be newer than `allocations` (read them first): an evaluation that is complete tells that no
 * allocation is missing.
 */
export function readStatus(seen: {
  readonly allocations: readonly Allocation[];
  readonly evaluations: readonly Evaluation[];
}): Reading {
  const [first, ...later] = seen.allocations.toSorted((one, two) => one.CreateIndex - two.CreateIndex);
  if (first === undefined) return readUnplaced(seen.evaluations);
  const node = first.NodeName === '' ? null : first.NodeName;
  const task = first.TaskStates[RUNNER_TASK];
  const end =
    first.PreviousAllocation === '' ? endOf(first, task) : endWithoutFirst(seen.allocations, first.PreviousAllocation);
  if (end !== null) {
    return { kind: 'ended', end, allocation: first.ID, node, replaced: isReplaced(first, later) };
  }
  // A group runs as soon as any task of it does; running here means that the runner may have used its wrapper.
  if (!hasStarted(task)) return { kind: 'queued', message: waitingFor(first, task) };
  return { kind: 'running', startedAt: instant(task?.StartedAt ?? ''), node, allocation: first.ID };
}

/** The reading as the port tells it. */
export function statusOf(reading: Reading): RunStatus {
  if (reading.kind === 'queued') return { state: 'queued', message: reading.message };
  const node = reading.node === null ? {} : { node: reading.node };
  if (reading.kind === 'running') return { state: 'running', startedAt: reading.startedAt, ...node };
  return { state: 'ended', end: reading.end, ...node };
}

const TERMINAL: ReadonlySet<string> = new Set(['complete', 'failed', 'lost']);

/** Null: it has not ended. */
function endOf(first: Allocation, task: TaskState | undefined): RunEnd | null {
  if (!TERMINAL.has(first.ClientStatus)) return null;
  const terminated = lastTerminated(task);
  if (task !== undefined && terminated !== null) return { ...exited(task, terminated), ...stoppedBy(first) };
  if (first.ClientStatus === 'lost') {
    return {
      kind: 'lost',
      message: oneLine(first.DesiredDescription || first.ClientDescription || 'its node is gone'),
    };
  }
  if (!hasStarted(task)) return { kind: 'not-started', message: whyNotStarted(first, task) };
  // At max_run_duration the allocation is "complete" first, and the processes are killed after that.
  if (task?.State === 'running') return null;
  return { kind: 'unknown', message: 'its runner had started, and the engine does not tell how it ended' };
}

/** The last end of the task, unless it was started again after it. */
function lastTerminated(task: TaskState | undefined): TaskEvent | null {
  const last = task?.Events.findLast(({ Type }) => Type === 'Terminated' || Type === 'Started');
  return last?.Type === 'Terminated' ? last : null;
}

function exited(task: TaskState, { Details, Time }: TaskEvent): RunEnd {
  const signal = wholeNumber(Details['signal']) ?? 0;
  const told = wholeNumber(Details['exit_code']);
  const exitCode = signal > 0 && (told === null || told === 0) ? 128 + signal : told;
  if (exitCode === null || exitCode < 0) {
    // The executor itself died: -1, with its words in exit_message.
    const words = oneLine(Details['exit_message'] ?? '');
    return { kind: 'unknown', message: words === '' ? 'the engine does not know its exit code' : words };
  }
  return {
    kind: 'exited',
    exitCode,
    signal: signal > 0 ? signalName(signal) : null,
    oom: Details['oom_killed'] === 'true',
    startedAt: instant(task.StartedAt),
    finishedAt: instant(task.FinishedAt) ?? new Date(Time / 1e6).toISOString(),
  };
}

/** The engine's own reason for a stop that the run did not survive: a drain, a preemption, our own stop. */
function stoppedBy({ DesiredStatus, DesiredDescription }: Allocation): { readonly stopped?: string } {
  return DesiredStatus === 'run' ? {} : { stopped: oneLine(DesiredDescription || DesiredStatus) };
}

function wholeNumber(text: string | undefined): number | null {
  return text !== undefined && /^-?\d{1,10}$/.test(text) ? Number(text) : null;
}

function signalName(signal: number): string {
  const name = Object.entries(constants.signals).find(([, value]) => value === signal)?.[0];
  return name ?? `signal ${signal}`;
}

/** Only ten events are kept, so a Started one may be gone; the time stays. */
function hasStarted(task: TaskState | undefined): boolean {
  if (task === undefined) return false;
  return instant(task.StartedAt) !== null || task.Events.some(({ Type }) => Type === 'Started');
}

/** Go's zero time stands for "never". */
function instant(text: string): string | null {
  const time = Date.parse(text);
  return Number.isNaN(time) || time <= 0 ? null : new Date(time).toISOString();
}

function isReplaced(first: Allocation, later: readonly Allocation[]): boolean {
  return later.length > 0 || first.NextAllocation !== '' || first.PreviousAllocation !== '';
}

/** The first allocation is no longer kept: what the others did is not the run's. */
function endWithoutFirst(allocations: readonly Allocation[], missing: string): RunEnd | null {
  if (!allocations.every(({ ClientStatus }) => TERMINAL.has(ClientStatus))) return null;
  return { kind: 'unknown', message: `the engine no longer holds its first allocation ${missing}` };
}

/** Events of the runner that say, in the engine's words, why it could not be started. */
const START_FAILURES: ReadonlySet<string> = new Set([
  'Driver Failure',
  'Failed Artifact Download',
  'Failed Validation',
  'Setup Failure',
  'Sibling Task Failed',
  'Task hook failed',
]);

function whyNotStarted(first: Allocation, task: TaskState | undefined): string {
  const failure = task?.Events.findLast(
    ({ Type, FailsTask }) => START_FAILURES.has(Type) || (Type === 'Killing' && FailsTask),
  );
  if (failure !== undefined) return oneLine(`${failure.DisplayMessage}${siblingsEnd(first, failure)}`);
  if (first.DesiredStatus !== 'run') {
    return oneLine(`it was stopped before its runner had started: ${first.DesiredDescription || first.DesiredStatus}`);
  }
  return oneLine(`its runner was never started: ${first.ClientDescription || first.ClientStatus}`);
}

/** ` (Exit Code: 7)` of the task that failed beside it. */
function siblingsEnd(first: Allocation, { FailedSibling }: TaskEvent): string {
  const words = lastTerminated(first.TaskStates[FailedSibling])?.DisplayMessage ?? '';
  return words === '' ? '' : ` (${words})`;
}

/** What every run goes through in its first moments: no reason to be told. */
const ORDINARY: ReadonlySet<string> = new Set(['Received', 'Task Setup']);

/** Why a run that has its place does not start: an image is pulled, a template waits, the node is away. */
function waitingFor({ ClientStatus, NodeName }: Allocation, task: TaskState | undefined): string | null {
  if (ClientStatus === 'unknown') return oneLine(`placed on ${NodeName}, which is disconnected`);
  const last = task?.Events.at(-1);
  return last === undefined || ORDINARY.has(last.Type)
    ? null
    : oneLine(`placed on ${NodeName}: ${last.DisplayMessage}`);
}

function readUnplaced(evaluations: readonly Evaluation[]): Reading {
  // Complete means that its plan is committed: what was not placed before never will be.
  const isStopped = evaluations.some(
    ({ TriggeredBy, Status }) => TriggeredBy === 'job-deregister' && Status === 'complete',
  );
  if (!isStopped) return { kind: 'queued', message: placementReason(evaluations) };
  const end: RunEnd = evaluations.some((evaluation) => hasPlaced(evaluation))
    ? { kind: 'unknown', message: 'it was placed and stopped, and the engine no longer holds its allocation' }
    : { kind: 'not-started', message: 'it was stopped before it was placed' };
  return { kind: 'ended', end, allocation: null, node: null, replaced: false };
}

/** A canceled one placed nothing; a complete one that left a blocked one behind neither. */
function hasPlaced({ Status, BlockedEval, PlanAnnotations }: Evaluation): boolean {
  const groups = Object.values(PlanAnnotations?.DesiredTGUpdates ?? {});
  return Status === 'complete' && BlockedEval === '' && groups.some(({ Place }) => Place > 0);
}
