import type { OutcomeName, UnplacedName } from './outcomes.ts';
import { isUnplaced, running, scriptOf, whyUnplaced } from './outcomes.ts';
import type { Placement, Report, RunningAllocation, TaskDriver } from './tasks.ts';
import type { Job } from './wire.ts';

/** What a dispatched child does. */
export interface ChildPlan {
  /** A name of the recordings `outcome-*.json`. Those that a stop ends (`stopped`, …) run until they are stopped. */
  readonly outcome?: OutcomeName | UnplacedName;
  /** Runs until `release` is called for it, or it is stopped. */
  readonly held?: boolean;
  /** A stop gets as far as the signal; `release` lets it end. */
  readonly stopHeld?: boolean;
  readonly stdout?: string | Uint8Array;
  readonly stderr?: string | Uint8Array;
  /** Files of the allocation directory, for `fs/cat`. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
}

export interface ScriptedDriver extends TaskDriver {
  /** What the children do that are placed from now on; by default they exit 0 at once and print nothing. */
  plan: (child: Job) => ChildPlan;
  /** Lets a held child go on, to its planned end or to this one; by child id or idempotency token. */
  release(child: string, outcome?: OutcomeName): void;
  /** A task of a child, by default the main one, writes to its log; by child id or idempotency token. */
  print(child: string, stream: 'stdout' | 'stderr', text: string | Uint8Array, task?: string): void;
}

/** A driver that runs nothing: children do what `plan` says. */
export function scriptedDriver(plan: ChildPlan | ((child: Job) => ChildPlan) = {}): ScriptedDriver {
  const children = new Map<string, ScriptedChild>();
  const driver: ScriptedDriver = {
    plan: typeof plan === 'function' ? plan : () => plan,
    blocks(job) {
      const { outcome = 'exit-0' } = driver.plan(job);
      return isUnplaced(outcome) ? whyUnplaced(outcome) : null;
    },
    start(placement) {
      const child = new ScriptedChild(placement, driver.plan(placement.job));
      children.set(placement.job.ID, child);
      if (placement.job.DispatchIdempotencyToken) children.set(placement.job.DispatchIdempotencyToken, child);
      return child;
    },
    release: (id, outcome) => known(id).release(outcome),
    print: (id, stream, text, task) => known(id).print(stream, text, task),
    close: async () => {
      for (const child of children.values()) child.close();
    },
  };
  const known = (id: string): ScriptedChild => {
    const child = children.get(id);
    if (!child) throw new Error(`no allocation of ${id} was started`);
    return child;
  };
  return driver;
}

class ScriptedChild implements RunningAllocation {
  readonly #placement: Placement;
  readonly #plan: ChildPlan;
  readonly #task: string;
  readonly #killTimeout: number;
  /** What `release` sets free. */
  #held: readonly Report[] = [];
  /** Only the newest course of reports goes on. */
  #course = 0;
  #hasPrinted = false;

  constructor(placement: Placement, plan: ChildPlan) {
    this.#placement = placement;
    this.#plan = plan;
    const tasks = placement.job.TaskGroups[0]?.Tasks ?? [];
    const main = tasks.find((task) => task['Lifecycle'] === null) ?? tasks[0];
    this.#task = main?.Name ?? 'runner';
    this.#killTimeout = main?.KillTimeout ?? 5e9;
    const { reports } = this.#script(plan.outcome);
    if (plan.held) this.#go(this.#untilRunning(reports), reports.slice(leading(reports)));
    else this.#go(reports);
  }

  release(outcome: OutcomeName | undefined): void {
    const { reports } = this.#script(outcome ?? this.#plan.outcome);
    this.#go(outcome === undefined ? this.#held : reports.slice(leading(reports)));
  }

  print(stream: 'stdout' | 'stderr', text: string | Uint8Array, task = this.#task): void {
    this.#placement.log(task, stream, text);
  }

  stop(): void {
    const { stopped } = this.#script(this.#plan.outcome);
    if (this.#plan.stopHeld) this.#go(stopped.slice(0, -1), stopped.slice(-1));
    else this.#go(stopped);
  }

  file(path: string): Buffer | null {
    const content = this.#plan.files?.[path];
    return content === undefined ? null : Buffer.from(content);
  }

  close(): void {
    this.#course += 1;
  }

  #script(outcome: OutcomeName | UnplacedName = 'exit-0') {
    return scriptOf(isUnplaced(outcome) ? 'exit-0' : outcome, this.#task, this.#killTimeout);
  }

  /** Up to the moment where it runs; a child that never would is held before its failure. */
  #untilRunning(reports: readonly Report[]): readonly Report[] {
    const begin = reports.slice(0, leading(reports));
    const willStart = typeof reports.at(-1)?.tasks[this.#task]?.StartedAt === 'string';
    const isRunning = begin.some(({ client }) => client === 'running');
    return willStart && !isRunning ? [...begin, running(this.#task)] : begin;
  }

  /** One report a turn of the event loop, so that requests come in between. */
  #go(reports: readonly Report[], held: readonly Report[] = []): void {
    this.#held = held;
    this.#course += 1;
    const course = this.#course;
    const tell = ([report, ...rest]: readonly Report[]) => {
      if (report === undefined || course !== this.#course) return;
      this.#printAtStart(report);
      this.#placement.report(report);
      setImmediate(tell, rest);
    };
    setImmediate(tell, reports);
  }

  #printAtStart(report: Report): void {
    if (this.#hasPrinted || typeof report.tasks[this.#task]?.StartedAt !== 'string') return;
    this.#hasPrinted = true;
    if (this.#plan.stdout !== undefined) this.print('stdout', this.#plan.stdout);
    if (this.#plan.stderr !== undefined) this.print('stderr', this.#plan.stderr);
  }
}

/** How many reports at the front are of a child that has not ended or failed yet. */
function leading(reports: readonly Report[]): number {
  const isBegin = (report: Report) =>
    (report.client === 'pending' || report.client === 'running') &&
    Object.values(report.tasks).every(({ Failed, Restarts, Events }) => {
      return !Failed && Restarts === 0 && Events.every(({ Type }) => Type !== 'Terminated');
    });
  const end = reports.findIndex((one) => !isBegin(one));
  return end < 0 ? reports.length : end;
}
