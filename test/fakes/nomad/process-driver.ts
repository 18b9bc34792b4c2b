import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { dirname, join, normalize } from 'node:path';
import process from 'node:process';
import { ended, neverStarted, overrun, overrunEnded, pending, running, stopped, stopping } from './outcomes.ts';
import { driverFailure, hookFailed, notRestarting } from './task-events.ts';
import type { Placement, RunningAllocation, TaskDriver } from './tasks.ts';
import type { Task } from './wire.ts';

/**
 * A driver that really runs the main task of a child, as raw_exec does: `Config.command` and `args` with the variables
 * of Nomad filled in, the dispatch payload in `local/`, and an environment of PATH, the task's Env and NOMAD_* only.
 * `path` is that PATH (this process's by default). Tasks with a lifecycle (prestart, …) are not run. `close` kills what
 * still runs and deletes the directories.
 */
export function processDriver({ path = process.env['PATH'] ?? '' }: { readonly path?: string } = {}): TaskDriver {
  const root = mkdtempSync(join(tmpdir(), 'fake-nomad-'));
  const all: ProcessAllocation[] = [];
  return {
    blocks: () => null,
    start(placement) {
      const allocation = new ProcessAllocation(placement, join(root, placement.allocationId), path);
      all.push(allocation);
      setImmediate(() => allocation.run());
      return allocation;
    },
    async close() {
      await Promise.all(all.map((one) => one.close()));
      rmSync(root, { recursive: true, force: true });
    },
  };
}

class ProcessAllocation implements RunningAllocation {
  readonly #placement: Placement;
  readonly #directory: string;
  readonly #path: string;
  readonly #task: Task;
  #child: ChildProcess | undefined;
  /** Why it is being killed. */
  #ending: 'none' | 'stopped' | 'overrun' = 'none';
  #timers: NodeJS.Timeout[] = [];
  #isClosed = false;
  #over: Promise<void> = Promise.resolve();

  constructor(placement: Placement, directory: string, path: string) {
    const tasks = placement.job.TaskGroups[0]?.Tasks ?? [];
    const task = tasks.find((one) => one['Lifecycle'] === null);
    if (!task) throw new Error(`${placement.job.ID} has no main task`);
    this.#placement = placement;
    this.#directory = directory;
    this.#path = path;
    this.#task = task;
  }

  run(): void {
    if (this.#isClosed || this.#ending !== 'none') return;
    const { Name: name, Driver: driver, VolumeMounts: mounts } = this.#task;
    this.#placement.report(pending(name));
    if (driver === 'raw_exec' && (mounts ?? []).length > 0) {
      const why = hookFailed(`volumes: task driver "raw_exec" for "${name}" does not support host volumes`);
      return this.#placement.report(neverStarted(name, why, notRestarting()));
    }
    this.#makeDirectories();
    this.#start();
  }

  stop(): void {
    this.#kill('stopped');
  }

  file(path: string): Buffer | null {
    const inside = normalize(`/${path}`);
    try {
      return readFileSync(join(this.#directory, inside));
    } catch {
      return null;
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#killAll();
    await this.#over;
  }

  #start(): void {
    const variables = variablesOf(this.#placement, this.#task, this.#directory);
    const fill = (text: string) => text.replace(/\$\{([^}]+)\}/g, (whole, key: string) => variables[key] ?? whole);
    const { command = '', args = [] } = this.#task.Config;
    const env = Object.entries(this.#task.Env ?? {}).map(([key, value]) => [key, fill(value)] as const);
    const child = spawn(fill(command), args.map(fill), {
      cwd: join(this.#directory, this.#task.Name),
      env: { PATH: this.#path, ...variables, ...Object.fromEntries(env) },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    this.#child = child;
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream].on('data', (bytes: Buffer) => this.#placement.log(this.#task.Name, stream, bytes));
    }
    this.#over = new Promise((resolve) => {
      child.once('spawn', () => this.#started());
      child.once('error', () => {
        this.#failed(fill(command));
        resolve();
      });
      // What it left behind ends with it, and holds its output open no longer.
      child.once('exit', () => killSession(child.pid));
      child.once('close', (code, signal) => {
        this.#ended(code, signal);
        resolve();
      });
    });
  }

  #started(): void {
    this.#placement.report(running(this.#task.Name));
    const limit = this.#placement.job.TaskGroups[0]?.MaxRunDuration ?? null;
    if (limit !== null) this.#timers.push(setTimeout(() => this.#kill('overrun'), limit / 1e6).unref());
  }

  #failed(command: string): void {
    const text = `failed to launch command with executor: rpc error: code = Unknown desc = binary "${command}" could not be found`;
    this.#placement.report(neverStarted(this.#task.Name, driverFailure(text), notRestarting()));
  }

  #ended(code: number | null, signalName: NodeJS.Signals | null): void {
    for (const timer of this.#timers) clearTimeout(timer);
    if (this.#child?.pid === undefined || this.#isClosed) return;
    const { Name: name, KillTimeout: timeout } = this.#task;
    const signal = signalName === null ? 0 : constants.signals[signalName];
    const exitCode = code ?? 128 + signal;
    if (this.#ending === 'none') this.#placement.report(ended(name, exitCode, signal));
    else if (this.#ending === 'stopped') this.#placement.report(stopped(name, timeout, exitCode, signal));
    else this.#placement.report(overrunEnded(name, timeout, exitCode, signal));
  }

  /** The kill signal, and KILL to everything when the time is over. */
  #kill(why: 'stopped' | 'overrun'): void {
    if (this.#ending !== 'none') return;
    this.#ending = why;
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const { Name: name, KillTimeout: timeout, KillSignal: signal } = this.#task;
    this.#placement.report(why === 'stopped' ? stopping(name, timeout) : overrun(name, timeout));
    child.kill((signal || 'SIGINT') as NodeJS.Signals);
    this.#timers.push(setTimeout(() => this.#killAll(), timeout / 1e6).unref());
  }

  #killAll(): void {
    const { pid, exitCode = null, signalCode = null } = this.#child ?? {};
    // Once it has ended, its id may be another process's, which is none of ours.
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    for (const one of [...descendantsOf(pid), pid]) killOne(one);
    killSession(pid);
  }

  #makeDirectories(): void {
    const { Name: name, DispatchPayload: payload } = this.#task;
    for (const one of ['alloc/logs', 'alloc/data', `${name}/local`, `${name}/secrets`, `${name}/tmp`]) {
      mkdirSync(join(this.#directory, one), { recursive: true });
    }
    chmodSync(join(this.#directory, name, 'local'), 0o777);
    if (!payload?.File) return;
    const file = join(this.#directory, name, 'local', payload.File);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, this.#placement.payload, { mode: 0o755 });
  }
}

function variablesOf(placement: Placement, task: Task, directory: string): Readonly<Record<string, string>> {
  const { job, allocationId } = placement;
  const rules = job.ParameterizedJob;
  const keys = [...(rules?.MetaRequired ?? []), ...(rules?.MetaOptional ?? [])];
  const meta = Object.entries({ ...Object.fromEntries(keys.map((key) => [key, ''])), ...job.Meta });
  return {
    NOMAD_ALLOC_DIR: join(directory, 'alloc'),
    NOMAD_TASK_DIR: join(directory, task.Name, 'local'),
    NOMAD_SECRETS_DIR: join(directory, task.Name, 'secrets'),
    NOMAD_ALLOC_ID: allocationId,
    NOMAD_SHORT_ALLOC_ID: allocationId.slice(0, 8),
    NOMAD_ALLOC_INDEX: '0',
    NOMAD_ALLOC_NAME: `${job.ID}.run[0]`,
    NOMAD_JOB_ID: job.ID,
    NOMAD_JOB_NAME: job.Name,
    NOMAD_JOB_PARENT_ID: job.ParentID,
    NOMAD_TASK_NAME: task.Name,
    NOMAD_GROUP_NAME: job.TaskGroups[0]?.Name ?? 'run',
    NOMAD_NAMESPACE: job.Namespace,
    NOMAD_REGION: 'global',
    NOMAD_DC: 'dc1',
    ...Object.fromEntries(meta.map(([key, value]) => [`NOMAD_META_${key}`, value])),
    ...Object.fromEntries(meta.map(([key, value]) => [`NOMAD_META_${key.toUpperCase()}`, value])),
  };
}

// Processes. Nomad finds them by their cgroup; here the session and the parents have to do.

interface ProcessLine {
  readonly pid: number;
  readonly parent: number;
  readonly session: number;
}

function processes(): readonly ProcessLine[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        const [, parent, , session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        return [{ pid: Number(name), parent: Number(parent), session: Number(session) }];
      } catch {
        return [];
      }
    });
}

function descendantsOf(pid: number, among = processes()): readonly number[] {
  const children = among.filter(({ parent }) => parent === pid);
  return children.flatMap((child) => [child.pid, ...descendantsOf(child.pid, among)]);
}

function killSession(pid: number | undefined): void {
  for (const one of processes()) if (one.session === pid) killOne(one.pid);
}

function killOne(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}
