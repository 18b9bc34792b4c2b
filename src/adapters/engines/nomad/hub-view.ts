import { type Allocation, type Evaluation, type Job, RUNNER_TASK, type TaskState } from './types.ts';

/** What is known of one child job. */
export interface News {
  readonly allocations: readonly Allocation[];
  readonly evaluations: readonly Evaluation[];
  /** Null: the server says that there is none; undefined: not asked for, because there are allocations. */
  readonly job: Job | null | undefined;
  /** From a list: no allocation is missing. False: an event came in since. */
  readonly isWhole: boolean;
}

interface Seen<T> {
  readonly record: T;
  readonly moment: number;
}

/** Few each, and thousands of runs: as maps they would need several times the memory. */
type Known<T> = readonly Seen<T>[];

/**
 * One child's allocations and evaluations, each at the newest state that an event or a list showed. The two meet in any
 * order: an event may come before the list shows what it tells, and a list may be newer than the stream.
 */
export class View {
  #allocations: Known<Allocation> = [];
  #evaluations: Known<Evaluation> = [];
  #job: Job | null | undefined = undefined;
  #isWhole = false;
  #moment = 0;

  /** To be taken before a list is asked for. */
  moment(): number {
    return this.#moment;
  }

  hear(allocations: readonly Allocation[], evaluations: readonly Evaluation[]): void {
    this.#moment += 1;
    this.#isWhole = false;
    this.#allocations = this.#kept(this.#allocations, allocations.map(lean));
    this.#evaluations = this.#kept(this.#evaluations, evaluations);
  }

  /** A whole list that was asked for at this moment; what it does not show is gone, unless it was heard of since. */
  see(
    moment: number,
    seen: {
      readonly allocations: readonly Allocation[];
      readonly evaluations?: readonly Evaluation[];
      readonly job?: Job | null;
    },
  ): void {
    const allocations = without(this.#allocations, seen.allocations, moment);
    this.#allocations = this.#kept(allocations, seen.allocations.map(lean));
    if (seen.evaluations !== undefined) {
      this.#evaluations = this.#kept(without(this.#evaluations, seen.evaluations, moment), seen.evaluations);
    }
    this.#job = seen.job;
    this.#isWhole = true;
  }

  news(): News {
    return {
      allocations: this.#allocations.map(({ record }) => record),
      evaluations: this.#evaluations.map(({ record }) => record),
      job: this.#job,
      isWhole: this.#isWhole,
    };
  }

  #kept<T extends Allocation | Evaluation>(known: Known<T>, records: readonly T[]): Known<T> {
    const kept = [...known];
    for (const record of records) {
      const at = kept.findIndex((seen) => seen.record.ID === record.ID);
      const before = kept[at]?.record;
      if (before === undefined) kept.push({ record, moment: this.#moment });
      else if (before.ModifyIndex <= record.ModifyIndex) {
        kept[at] = { record: completed(before, record), moment: this.#moment };
      }
    }
    return kept;
  }
}

/** What a list does not show is gone, unless it was heard of after this moment. */
function without<T extends Allocation | Evaluation>(known: Known<T>, listed: readonly T[], moment: number): Known<T> {
  return known.filter((seen) => seen.moment > moment || listed.some(({ ID }) => ID === seen.record.ID));
}

/**
 * Of an allocation that goes on, its runner started, no event says anything that its later states will not say again; and
 * thousands of them are kept for as long as they run.
 */
function lean(allocation: Allocation): Allocation {
  const { [RUNNER_TASK]: runner } = allocation.TaskStates;
  if (allocation.ClientStatus !== 'running' || runner?.State !== 'running' || !(Date.parse(runner.StartedAt) > 0)) {
    return allocation;
  }
  return { ...allocation, TaskStates: { [RUNNER_TASK]: { ...runner, Events: NONE } } };
}

const NONE: TaskState['Events'] = [];

/** Lists leave some fields out. */
function completed<T extends Allocation | Evaluation>(before: T, record: T): T {
  if (!('PreviousAllocation' in record) || !('PreviousAllocation' in before)) return record;
  const { PreviousAllocation, PreemptedByAllocation } = before;
  return {
    ...record,
    PreviousAllocation: record.PreviousAllocation || PreviousAllocation,
    PreemptedByAllocation: record.PreemptedByAllocation || PreemptedByAllocation,
  };
}
