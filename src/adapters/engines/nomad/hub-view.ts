import type { Allocation, Evaluation, Job } from './types.ts';

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

/**
 * One child's allocations and evaluations, each at the newest state that an event or a list showed. The two meet in any
 * order: an event may come before the list shows what it tells, and a list may be newer than the stream.
 */
export class View {
  readonly #allocations = new Map<string, Seen<Allocation>>();
  readonly #evaluations = new Map<string, Seen<Evaluation>>();
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
    this.#keep(this.#allocations, allocations);
    this.#keep(this.#evaluations, evaluations);
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
    this.#drop(this.#allocations, seen.allocations, moment);
    this.#keep(this.#allocations, seen.allocations);
    if (seen.evaluations !== undefined) {
      this.#drop(this.#evaluations, seen.evaluations, moment);
      this.#keep(this.#evaluations, seen.evaluations);
    }
    this.#job = seen.job;
    this.#isWhole = true;
  }

  news(): News {
    return {
      allocations: [...this.#allocations.values()].map(({ record }) => record),
      evaluations: [...this.#evaluations.values()].map(({ record }) => record),
      job: this.#job,
      isWhole: this.#isWhole,
    };
  }

  #keep<T extends Allocation | Evaluation>(known: Map<string, Seen<T>>, records: readonly T[]): void {
    for (const record of records) {
      const before = known.get(record.ID)?.record;
      if (before !== undefined && before.ModifyIndex > record.ModifyIndex) continue;
      known.set(record.ID, { record: before === undefined ? record : completed(before, record), moment: this.#moment });
    }
  }

  #drop<T extends Allocation | Evaluation>(known: Map<string, Seen<T>>, listed: readonly T[], moment: number): void {
    const ids = new Set(listed.map(({ ID }) => ID));
    for (const [id, seen] of known) if (!ids.has(id) && seen.moment <= moment) known.delete(id);
  }
}

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
