import { setMaxListeners } from 'node:events';
import type { AttemptRecord } from '../domain/attempt-record.ts';
import { backoffMs } from '../domain/backoff.ts';
import type { Reason } from '../domain/run.ts';
import { toError } from '../errors.ts';
import type { Ending, Step, StoryContext } from '../story/context.ts';
import { buryRecorded, recordEnded } from '../story/end-attempt.ts';
import type { Ended } from '../story/no-or-not-yet.ts';
import { ShuttingDown } from '../story/persist.ts';
import { reason } from '../story/reasons.ts';
import { finishAttempt, type Ready, startAttempt } from '../story/run-action.ts';
import { isWaiting, type Waiting } from '../story/waiting.ts';
import type { Board } from './board.ts';

/** What takes long, one task an action; the loop starts them and never waits for one. */
export interface Tasks {
  has(id: string): boolean;
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
  /** How many runs wait in the engine for a place. */
  queued(): number;
  /** Why an action whose last try came to nothing is not tried again yet; null: it may be. */
  resting(id: string): Reason | null;
  /** No task is left, and none has ended since `changed` was answered: what was seen since then is all there is. */
  quiet(): boolean;
  /** Answers when no task is left. */
  idle(): Promise<void>;
  /** Answers when a task has ended or freed its slot since the last call, or none is left. */
  changed(signal: AbortSignal): Promise<void>;
}

interface Rest {
  readonly reason: Reason;
  /** Monotonic time from which it may be tried again. */
  readonly until: number;
  readonly failures: number;
}

interface Task {
  readonly group: string | null;
  live: boolean;
}

/**
 * Each attempt that was not placed has cost a token, two pushes and a job; each issue that was another one at the claim a
 * token. Up to ten minutes lie between them.
 */
const COSTLY: ReadonlySet<string> = new Set(['ERR_NOT_PLACED', 'ERR_ISSUE_CHANGED']);
const COSTLY_PATIENCE = 20;

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
  readonly #rests = new Map<string, Rest>();
  /** Whose runs wait in the engine for a place. */
  readonly #queued = new Set<string>();
  #changes = 0;
  #seen = 0;
  #wakers: (() => void)[] = [];

  constructor(deps: TasksDeps) {
    this.#deps = deps;
    // Every run that waits hears of our end: ten listeners are no leak.
    setMaxListeners(0, deps.signal);
  }

  has(id: string): boolean {
    return this.#tasks.has(id);
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
    const group = ready.read.group.name;
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
    this.#run(id, { group, live: true }, async () => {
      await buryRecorded(record, { context, signal });
      return RECORDED;
    });
  }

  note(id: string, step: Step): void {
    const task = this.#tasks.get(id);
    if (step.state !== 'running' || step.isQueued === false) this.#queued.delete(id);
    else if (step.isQueued === true && task !== undefined) this.#queued.add(id);
    if (task === undefined || step.state !== 'recording' || step.holdsSlot === true || !task.live) return;
    task.live = false;
    this.#changed();
  }

  queued(): number {
    return this.#queued.size;
  }

  resting(id: string): Reason | null {
    const rest = this.#rests.get(id);
    return rest !== undefined && this.#deps.context.clock.monotonic() < rest.until ? rest.reason : null;
  }

  quiet(): boolean {
    return this.#tasks.size === 0 && this.#changes === this.#seen;
  }

  async changed(until: AbortSignal): Promise<void> {
    if (this.#changes === this.#seen && this.#tasks.size > 0 && !until.aborted) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          until.removeEventListener('abort', wake);
          resolve();
        };
        this.#wakers.push(wake);
        until.addEventListener('abort', wake, { once: true });
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
      .then((ending) => {
        if (ending.kind === 'waiting' && needsRest(ending)) this.#rest(id, ending.reason);
        else this.#rests.delete(id);
        settle(id, ending, board, context);
      })
      .catch((error: unknown) => {
        if (error instanceof ShuttingDown) return;
        // A bug of ours: the action stays pending (or claimed), and a later cycle takes it up again.
        context.log.error('the story of an action broke off', { id, err: toError(error) });
        this.#rest(id, reason('ERR_INTERNAL', 'the dispatcher made a mistake; its log says more'));
      })
      .finally(() => {
        this.#tasks.delete(id);
        this.#queued.delete(id);
        this.#running.delete(done);
        this.#changed();
      });
    this.#running.add(done);
  }

  /** What came to nothing at once would come to nothing again at once: each next try comes later. */
  #rest(id: string, why: Reason): void {
    const { clock } = this.#deps.context;
    const failures = this.#rests.get(id)?.failures ?? 0;
    const patience = COSTLY.has(why.code) ? COSTLY_PATIENCE : 1;
    const until = clock.monotonic() + patience * backoffMs(failures, clock.random());
    this.#rests.set(id, { reason: why, until, failures: failures + 1 });
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

/** Not what is recorded, and not what ran and is to run again: that has its rest in this host's note. */
const needsRest = (ending: Waiting) => ending !== RECORDED && ending.reason.code !== 'ERR_RETRY_DUE';

const RECORDED: Ending = {
  kind: 'waiting',
  reason: { code: 'ERR_ALREADY_RECORDED', message: 'its result is in the repo', hint: null, by: null },
};
