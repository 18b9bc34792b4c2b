import type { Allocation, Evaluation, Job } from '../../src/adapters/engines/nomad/types.ts';
import { sha256 } from '../../src/domain/ids.ts';
import { decodePayload, type Payload } from '../../src/domain/payload.ts';
import { encodeTrailer, type RunnerReason } from '../../src/domain/trailer.ts';
import type { Chance } from './chance.ts';
import { EPOCH } from './machine.ts';
import { isOver, NO_ALLOCATION, NO_EVALUATION, NO_JOB, taskState } from './nomad-records.ts';
import type { Timeline } from './timeline.ts';
import type { SimVault } from './vault.ts';

/** What becomes of the runs of an action. All times in milliseconds. */
export interface Behaviour {
  /** Before it is placed. */
  readonly queuedMs: number;
  readonly isNeverPlaced: boolean;
  /** From its place to the start of its runner. */
  readonly startMs: number;
  readonly runMs: number;
  readonly exitCode: number;
  /** How long it goes on after it was asked to stop. */
  readonly stopMs: number;
  /** The store is away when its runner asks. */
  readonly isStoreAway: boolean;
}

/** A command that lives, or did. */
export interface Command {
  readonly id: string;
  readonly token: string;
  readonly attempt: number;
  readonly startedAt: number;
  endedAt: number | null;
  exitCode: number | null;
}

interface Child {
  job: Job;
  readonly payload: Payload;
  readonly behaviour: Behaviour;
  /** What the runner of each allocation said last. */
  readonly lastWords: Map<string, string>;
  allocations: Allocation[];
  evaluations: Evaluation[];
  /** Ends what lives of it; by allocation. */
  readonly stops: Map<string, () => void>;
  isStopped: boolean;
}

export interface NomadTools {
  readonly timeline: Timeline;
  readonly chance: Chance;
  readonly vault: SimVault;
  readonly behaviourOf: (payload: Payload) => Behaviour;
  /** A command starts, which must be right at this very moment. */
  readonly onStart: (command: Command, payload: Payload) => void;
  readonly trace: (line: () => string) => void;
}

export type Event = { readonly Allocation: Allocation } | { readonly Evaluation: Evaluation } | { readonly Job: Job };

/** A Nomad with its clients: jobs, evaluations and allocations as the real one keeps them, and runners that do as ours. */
export class SimNomad {
  readonly commands: Command[] = [];
  readonly children = new Map<string, Child>();
  readonly listeners = new Set<(child: string, event: Event, index: number) => void>();
  index = 1;
  readonly #tools: NomadTools;

  constructor(tools: NomadTools) {
    this.#tools = tools;
  }

  /** The child of this token that is kept, else a new one. */
  dispatch(
    parent: string,
    body: { readonly Payload: string; readonly Meta: Readonly<Record<string, string>> },
    token: string,
  ): Child {
    const kept = [...this.children.values()].find(
      ({ job }) => job.DispatchIdempotencyToken === token && job.ParentID === parent,
    );
    if (kept !== undefined) return kept;
    const payload = decodePayload(Buffer.from(body.Payload, 'base64'));
    this.index += 1;
    const ID = `${parent}/dispatch-${this.index}`;
    const child: Child = {
      job: {
        ...NO_JOB,
        ID,
        Name: ID,
        ParentID: parent,
        DispatchIdempotencyToken: token,
        Payload: body.Payload,
        Meta: body.Meta,
        CreateIndex: this.index,
        ModifyIndex: this.index,
        JobModifyIndex: this.index,
        SubmitTime: this.#nanoseconds(),
      },
      payload,
      behaviour: this.#tools.behaviourOf(payload),
      lastWords: new Map(),
      allocations: [],
      evaluations: [this.#evaluation(ID, 'job-register', 'pending')],
      stops: new Map(),
      isStopped: false,
    };
    this.children.set(ID, child);
    const { queuedMs, isNeverPlaced } = child.behaviour;
    this.#after(50, () => this.#evaluate(child, isNeverPlaced || queuedMs > 0));
    if (!isNeverPlaced && queuedMs > 0) this.#after(queuedMs, () => this.#evaluate(child, false));
    return child;
  }

  stop(id: string): void {
    const child = this.children.get(id);
    if (child === undefined || child.isStopped) return;
    child.isStopped = true;
    this.#change(child, { Stop: true, SubmitTime: this.#nanoseconds() });
    this.#after(20, () => {
      const evaluations = child.evaluations.map((each) =>
        each.Status === 'blocked' || each.Status === 'pending' ? { ...each, Status: 'canceled' } : each,
      );
      child.evaluations = [...evaluations, this.#evaluation(id, 'job-deregister', 'complete')];
      for (const evaluation of child.evaluations) this.#tell(id, { Evaluation: evaluation });
      for (const allocation of child.allocations) {
        if (isOver(allocation)) continue;
        this.#allocate(child, {
          ...allocation,
          DesiredStatus: 'stop',
          DesiredDescription: 'alloc not needed due to job update',
        });
        child.stops.get(allocation.ID)?.();
      }
      if (child.allocations.every((each) => isOver(each))) this.#change(child, { Status: 'dead' });
    });
  }

  /** Its garbage collection takes what is over; `force`: also what lives. */
  collect(force: boolean): void {
    for (const [id, { allocations, job }] of this.children) {
      if (force || (job.Status === 'dead' && allocations.every((each) => isOver(each)))) this.children.delete(id);
    }
  }

  /** The nodes of all that runs are gone for the server. The commands may live on, and nobody hears of them. */
  loseNodes(replace: boolean, dies: boolean): void {
    for (const child of this.children.values()) {
      for (const allocation of child.allocations) {
        if (isOver(allocation)) continue;
        if (dies) child.stops.get(allocation.ID)?.();
        child.stops.delete(allocation.ID);
        const lost = {
          ...allocation,
          ClientStatus: 'lost',
          DesiredStatus: 'stop',
          DesiredDescription: 'alloc is lost since its node is down',
        };
        this.#allocate(child, lost);
        if (replace && !child.isStopped) this.#place(child, allocation.ID);
      }
    }
  }

  /** A second run of the same bytes by whoever has them. */
  replay(): void {
    for (const child of [...this.children.values()].slice(0, 3)) if (!child.isStopped) this.#place(child, '');
  }

  /** Of its first allocation, which counts; empty where its node is gone, or nothing is kept. */
  outputOf(id: string, stream: 'stdout' | 'stderr'): string {
    const child = this.children.get(id);
    const first = child?.allocations.toSorted((one, two) => one.CreateIndex - two.CreateIndex)[0];
    if (child === undefined || first === undefined || first.ClientStatus === 'lost') return '';
    return stream === 'stdout' ? STDOUT : (child.lastWords.get(first.ID) ?? '');
  }

  #evaluate(child: Child, isBlocked: boolean): void {
    if (child.isStopped || child.allocations.length > 0 || !this.children.has(child.job.ID)) return;
    const id = child.job.ID;
    const first = { ...this.#evaluation(id, 'job-register', 'complete'), BlockedEval: isBlocked ? 'blocked' : '' };
    const blocked = isBlocked
      ? [{ ...this.#evaluation(id, 'queued-allocs', 'blocked'), StatusDescription: 'no node has room for it' }]
      : [];
    child.evaluations = [first, ...blocked];
    if (!isBlocked) this.#place(child, '');
    for (const evaluation of child.evaluations) this.#tell(id, { Evaluation: evaluation });
  }

  #place(child: Child, previous: string): void {
    const number = this.index + 1;
    const allocation: Allocation = {
      ...NO_ALLOCATION,
      ID: `alloc-${number}`,
      JobID: child.job.ID,
      PreviousAllocation: previous,
      CreateIndex: number,
    };
    this.#allocate(child, allocation);
    this.#change(child, { Status: 'running' });
    let isOff = false;
    child.stops.set(allocation.ID, () => {
      isOff = true;
      this.#end(child, allocation.ID, null);
    });
    this.#after(child.behaviour.startMs, () => {
      if (!isOff) this.#startRunner(child, allocation.ID);
    });
  }

  #startRunner(child: Child, id: string): void {
    const { vault, chance } = this.#tools;
    const at = new Date(EPOCH + this.#tools.timeline.now).toISOString();
    const known = this.#find(child, id);
    if (known !== null)
      this.#allocate(child, {
        ...known,
        ClientStatus: 'running',
        TaskStates: { runner: taskState('running', at, null) },
      });
    let isOff = false;
    child.stops.set(id, () => {
      isOff = true;
      this.#end(child, id, { exitCode: 143, signal: 15, reason: null, startedAt: at, started: null });
    });
    this.#after(chance.between(5, 500), () => {
      if (isOff) return;
      const refusal = child.behaviour.isStoreAway ? 'ERR_VAULT_UNAVAILABLE' : vault.redeemForRun(child.payload);
      if (refusal === null) this.#command(child, id, at);
      else this.#end(child, id, { exitCode: 69, signal: 0, reason: refusal, startedAt: at, started: null });
    });
  }

  #command(child: Child, id: string, startedAt: string): void {
    const { timeline, onStart, vault, chance } = this.#tools;
    const { payload, behaviour } = child;
    const held = vault.minted.find(({ wrapper }) => wrapper === payload.access.wrapping_token);
    // The runner revokes what it holds before the command starts; sometimes the store does not hear it.
    if (held !== undefined && chance.happens(0.9)) held.isRevoked = true;
    const command: Command = {
      id: payload.id,
      token: payload.token,
      attempt: payload.attempt,
      startedAt: timeline.now,
      endedAt: null,
      exitCode: null,
    };
    this.commands.push(command);
    onStart(command, payload);
    const isLong = behaviour.runMs > payload.timeout_seconds * 1000;
    const started = new Date(EPOCH + timeline.now).toISOString();
    let isOff = false;
    const finish = (how: Omit<Exit, 'startedAt' | 'started'>): void => {
      if (command.endedAt !== null) return;
      command.endedAt = timeline.now;
      command.exitCode = how.exitCode;
      this.#end(child, id, { ...how, startedAt, started });
    };
    child.stops.set(id, () => {
      isOff = true;
      this.#after(behaviour.stopMs, () => finish({ exitCode: 143, signal: 15, reason: null }));
    });
    this.#after(isLong ? payload.timeout_seconds * 1000 : behaviour.runMs, () => {
      if (isOff) return;
      finish(
        isLong
          ? { exitCode: 124, signal: 0, reason: 'ERR_DEADLINE' }
          : { exitCode: behaviour.exitCode, signal: 0, reason: null },
      );
    });
  }

  /** `exit` null: its runner never began. */
  #end(child: Child, id: string, exit: Exit | null): void {
    const allocation = this.#find(child, id);
    if (allocation === null || isOver(allocation)) return;
    child.stops.delete(id);
    const at = new Date(EPOCH + this.#tools.timeline.now).toISOString();
    if (exit !== null) child.lastWords.set(id, lastWords(child, exit, at));
    const isGood = exit === null || exit.exitCode === 0;
    const states = exit === null ? {} : { runner: taskState('dead', exit.startedAt, { ...exit, at }) };
    this.#allocate(child, { ...allocation, ClientStatus: isGood ? 'complete' : 'failed', TaskStates: states });
    if (child.allocations.every((each) => isOver(each))) this.#change(child, { Status: 'dead' });
  }

  #find(child: Child, id: string): Allocation | null {
    return child.allocations.find(({ ID }) => ID === id) ?? null;
  }

  #allocate(child: Child, allocation: Allocation): void {
    this.index += 1;
    const next = { ...allocation, ModifyIndex: this.index };
    child.allocations = [...child.allocations.filter(({ ID }) => ID !== next.ID), next];
    this.#tell(child.job.ID, { Allocation: next });
  }

  #change(child: Child, change: Partial<Job>): void {
    this.index += 1;
    child.job = { ...child.job, ...change, ModifyIndex: this.index };
    this.#tell(child.job.ID, { Job: child.job });
  }

  #tell(child: string, event: Event): void {
    if (!this.children.has(child)) return;
    for (const listener of this.listeners) listener(child, event, this.index);
  }

  #evaluation(job: string, trigger: string, status: string): Evaluation {
    this.index += 1;
    return {
      ...NO_EVALUATION,
      ID: `eval-${this.index}`,
      JobID: job,
      TriggeredBy: trigger,
      Status: status,
      CreateIndex: this.index,
      ModifyIndex: this.index,
    };
  }

  #after(ms: number, work: () => void): void {
    this.#tools.timeline.after(ms, work);
  }

  #nanoseconds(): number {
    return (EPOCH + this.#tools.timeline.now) * 1e6;
  }
}

interface Exit {
  readonly exitCode: number;
  readonly signal: number;
  readonly reason: RunnerReason | null;
  /** Of the runner, and of the command. */
  readonly startedAt: string;
  readonly started: string | null;
}

const STDOUT = 'done\n';

function lastWords({ payload }: Child, { exitCode, reason, signal, started }: Exit, finished: string): string {
  const of = (text: string) => ({ bytes: Buffer.byteLength(text), sha256: sha256(text), cut: false });
  const trailer = {
    v: 1 as const,
    exit: exitCode,
    signal: signal === 15 ? 'SIGTERM' : null,
    reason,
    started,
    finished,
  };
  const rest = { digest: payload.blobs, masked: {}, stdout: of(STDOUT), stderr: of(''), artifacts: [] };
  return encodeTrailer({ ...trailer, ...rest }, payload.trailer_key);
}
