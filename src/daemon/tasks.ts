import type { AttemptRecord } from '../domain/attempt-record.ts';
import { toError } from '../errors.ts';
import type { Ending, Step, StoryContext } from '../story/context.ts';
import { isWaiting } from '../story/waiting.ts';
import { ShuttingDown } from '../story/persist.ts';
import { buryAttempt, recordEnded } from '../story/end-attempt.ts';
import type { Ended } from '../story/no-or-not-yet.ts';
import { finishAttempt, type Ready, startAttempt } from '../story/run-action.ts';
import type { Board } from './board.ts';

/** What takes long, one task an action; the loop starts them and never waits for one. */
export interface Tasks {
  has(id: string): boolean;
  size(): number;
  /** What the tasks hold of slots and groups. */
  holders(): ReadonlyMap<string, { readonly group: string | null; readonly live: boolean }>;
  record(ended: Ended): void;
  start(ready: Ready): void;
  /** Goes on with an attempt that was claimed before. */
  resume(record: AttemptRecord): void;
  /** Only the tombstone is missing: the result is in the repo. */
  bury(record: AttemptRecord): void;
  /** A step of the story was told: a run that has ended frees its slot before its result is pushed. */
  note(id: string, step: Step): void;
  /** Answers when no task is left. */
  idle(): Promise<void>;
  /** Answers when a task has ended or freed its slot since the last call, or none is left. */
  changed(signal: AbortSignal): Promise<void>;
}

interface Task {
  readonly group: string | null;
  live: boolean;
}

export interface TasksDeps {
  readonly context: StoryContext;
  readonly board: Board;
  readonly signal: AbortSignal;
  /** Something ended or a slot came free. */
  readonly onChange: () => void;
}

export function createTasks(deps: TasksDeps): Tasks {
  return new StoryTasks(deps);
}

class StoryTasks implements Tasks {
  readonly #deps: TasksDeps;
  readonly #tasks = new Map<string, Task>();
  readonly #running = new Set<Promise<void>>();
  #changes = 0;
  #seen = 0;
  #wakers: (() => void)[] = [];

  constructor(deps: TasksDeps) {
    this.#deps = deps;
  }

  has(id: string): boolean {
    return this.#tasks.has(id);
  }

  size(): number {
    return this.#tasks.size;
  }

  holders() {
    return this.#tasks;
  }

  record(ended: Ended): void {
    const { context, signal } = this.#deps;
    this.#run(ended.candidate.id, { group: null, live: false }, () => recordEnded(ended, context, signal));
  }

  start(ready: Ready): void {
    const { context, signal } = this.#deps;
    const group = ready.read.formula.value.concurrency;
    this.#run(ready.read.candidate.id, { group, live: true }, async () => {
      const started = await startAttempt(ready, context);
      if ('entry' in started) return finishAttempt(started, context, signal);
      return isWaiting(started) ? started : recordEnded(started, context, signal);
    });
  }

  resume(record: AttemptRecord): void {
    const { context, signal } = this.#deps;
    const { id, group } = record.entry;
    this.#run(id, { group, live: true }, () => finishAttempt(record, context, signal));
  }

  bury(record: AttemptRecord): void {
    const { context, signal } = this.#deps;
    const { id, group } = record.entry;
    this.#run(id, { group, live: false }, async () => {
      await buryAttempt(record, false, { context, signal });
      return RECORDED;
    });
  }

  note(id: string, step: Step): void {
    const task = this.#tasks.get(id);
    if (task === undefined || step.state !== 'recording' || !task.live) return;
    task.live = false;
    this.#changed();
  }

  async changed(until: AbortSignal): Promise<void> {
    if (this.#changes === this.#seen && this.#tasks.size > 0 && !until.aborted) {
      await new Promise<void>((resolve) => {
        this.#wakers.push(resolve);
        until.addEventListener('abort', () => resolve(), { once: true });
      });
    }
    this.#seen = this.#changes;
  }

  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #run(id: string, task: Task, work: () => Promise<Ending>): void {
    const { context, board } = this.#deps;
    this.#tasks.set(id, task);
    const done = work()
      .then((ending) => settle(id, ending, board, context))
      .catch((error: unknown) => {
        if (error instanceof ShuttingDown) return;
        // A bug of ours: the action stays pending (or claimed), and the next cycle takes it up again.
        context.log.error('the story of an action broke off', { id, err: toError(error) });
      })
      .finally(() => {
        this.#tasks.delete(id);
        this.#running.delete(done);
        this.#changed();
      });
    this.#running.add(done);
  }

  #changed(): void {
    this.#changes += 1;
    for (const wake of this.#wakers) wake();
    this.#wakers = [];
    this.#deps.onChange();
  }
}

function settle(id: string, ending: Ending, board: Board, context: StoryContext): void {
  if (ending.kind === 'recorded') board.ended(id, ending.result);
  else if (ending === RECORDED) board.gone(id);
  else if (ending.kind === 'waiting') board.tell(id, 'pending', ending.reason);
  else {
    board.gone(id);
    const { code, message } = ending.reason;
    context.log.error('another result lies at its path; ours was not written', { id, code, reason: message });
  }
}

const RECORDED: Ending = {
  kind: 'waiting',
  reason: { code: 'ERR_ALREADY_RECORDED', message: 'its result is in the repo', hint: null, by: null },
};
