import type { Check } from '../../src/domain/check.ts';
import { type AttemptToken, sha256 } from '../../src/domain/ids.ts';
import { decodePayload, type Payload } from '../../src/domain/payload.ts';
import type { Run, RunEnd, RunStatus, StopRequest } from '../../src/domain/run.ts';
import { encodeTrailer, type RunnerReason } from '../../src/domain/trailer.ts';
import { StalledError } from '../../src/errors.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type { AttemptRef, DispatchRequest, Engine, LogStream, Place } from '../../src/ports/engine.ts';
import type { MemoryAccess } from './memory-access.ts';

/** What becomes of the runs of an action. */
export interface Behaviour {
  /** Before it is placed; `never`: the engine gives it up after `queuedMs`. */
  readonly queuedMs?: number;
  readonly never?: boolean;
  readonly runMs?: number;
  readonly exitCode?: number;
  readonly oom?: boolean;
  /** The runner's own reason, with which it ends before its command. */
  readonly reason?: RunnerReason;
  /** The engine's word on it instead of an exit. */
  readonly end?: 'lost' | 'unknown';
  readonly stdout?: string;
  readonly stderr?: string;
  readonly trailer?: 'signed' | 'forged' | 'none';
  /** The runner says that it cut its output at the limit. */
  readonly cut?: boolean;
  readonly artifacts?: Readonly<Record<string, string>>;
  /** How long it goes on after it was asked to stop; null: for ever. */
  readonly stopMs?: number | null;
  /** Replaced allocations: so many more copies of the runner are started with the same payload. */
  readonly copies?: number;
}

interface Live {
  readonly run: Run;
  readonly payload: Payload;
  readonly behaviour: Behaviour;
  readonly stopped: AbortController;
  status: RunStatus;
  stdout: string;
  stderr: string;
  wakers: (() => void)[];
}

/** Obeys knobs, outlives every dispatcher, and starts nothing whose wrapper is used. */
export class DummyEngine implements Engine {
  readonly kind = 'dummy';
  readonly isolated = true;
  readonly behaviours = new Map<string, Behaviour>();
  /** Tokens of all attempts whose command was started, once for each start. */
  readonly executions: string[] = [];
  /** Runs whose command lives at this moment, and the most that ever did together. */
  living = 0;
  mostLiving = 0;
  readonly cancels: StopRequest[] = [];
  /** Somebody else's run stands under every token. */
  foreign = false;
  /** Jobs that are not registered. */
  readonly missing = new Set<string>();
  readonly #clock: Clock;
  readonly #access: MemoryAccess;
  readonly #runs = new Map<string, Live>();

  constructor(clock: Clock, access: MemoryAccess) {
    this.#clock = clock;
    this.#access = access;
  }

  async check(): Promise<readonly Check[]> {
    return [];
  }

  async ready({ job }: Place): Promise<void> {
    if (this.missing.has(job)) throw new StalledError('ERR_JOB_MISSING', `job ${job} is not registered`);
  }

  async find({ token }: AttemptRef): Promise<Run | null> {
    this.#refuseForeign();
    return this.#runs.get(token)?.run ?? null;
  }

  async look(run: Run): Promise<RunStatus | null> {
    return this.#runs.get(run.token)?.status ?? null;
  }

  #refuseForeign(): void {
    if (this.foreign) throw new StalledError('ERR_FOREIGN_RUN', 'vault-runner/dispatch-1 holds other bytes');
  }

  async dispatch(request: DispatchRequest): Promise<Run> {
    this.#refuseForeign();
    const known = this.#runs.get(request.token);
    if (known !== undefined) return known.run;
    const live: Live = {
      run: { token: request.token, id: `${request.job}/${request.token.slice(0, 8)}`, node: 'node-1' },
      payload: decodePayload(request.payload),
      behaviour: this.behaviours.get(request.meta.action_id) ?? {},
      stopped: new AbortController(),
      status: { state: 'queued', message: null },
      stdout: '',
      stderr: '',
      wakers: [],
    };
    this.#runs.set(request.token, live);
    void this.#live(live);
    return live.run;
  }

  async *watch(run: Run, signal: AbortSignal): AsyncIterable<RunStatus> {
    const live = this.#runs.get(run.token);
    if (live === undefined) {
      yield { state: 'ended', end: { kind: 'unknown', message: 'the engine knows nothing of it' } };
      return;
    }
    for (let told: RunStatus | null = null; !signal.aborted; ) {
      if (told !== live.status) {
        told = live.status;
        yield told;
        if (told.state === 'ended') return;
      } else await change(live, signal);
    }
  }

  async *logs(run: Run, stream: LogStream, offset: number): AsyncIterable<Uint8Array> {
    const bytes = Buffer.from(this.#runs.get(run.token)?.[stream] ?? '').subarray(offset);
    for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
  }

  async artifact(run: Run, path: string): Promise<AsyncIterable<Uint8Array> | null> {
    const text = this.#runs.get(run.token)?.behaviour.artifacts?.[path];
    return text === undefined ? null : once(Buffer.from(text));
  }

  async cancel(run: Run, why: StopRequest): Promise<void> {
    this.cancels.push(why);
    this.#runs.get(run.token)?.stopped.abort();
  }

  async forget(token: AttemptToken): Promise<void> {
    this.#runs.delete(token);
  }

  /** As if its garbage collection had taken everything. */
  forgetAll(): void {
    this.#runs.clear();
  }

  get known(): number {
    return this.#runs.size;
  }

  async #live(live: Live): Promise<void> {
    const { queuedMs = 0, never = false } = live.behaviour;
    await this.#clock.sleep(queuedMs, live.stopped.signal);
    if (live.stopped.signal.aborted) this.#end(live, { kind: 'not-started', message: 'stopped before it was placed' });
    else if (never) this.#end(live, { kind: 'not-started', message: 'no node has the volume ssh' });
    else await this.#placed(live);
  }

  async #placed(live: Live): Promise<void> {
    const started = this.#clock.now().toISOString();
    tell(live, { state: 'running', startedAt: started });
    if (this.#redeems(live)) await this.#execute(live, started);
    else this.#exit(live, { exitCode: 69, reason: 'ERR_WRAPPER_USED', started: null });
  }

  async #execute(live: Live, started: string): Promise<void> {
    const { runMs = 0, stopMs = 0, copies = 0, exitCode = 0, end, reason = null } = live.behaviour;
    const { signal } = live.stopped;
    this.executions.push(live.run.token);
    // Copies come later than the first, and find what it left.
    for (let copy = 0; copy < copies; copy += 1) if (this.#redeems(live)) this.executions.push(live.run.token);
    this.living += 1;
    this.mostLiving = Math.max(this.living, this.mostLiving);
    await this.#clock.sleep(runMs, signal);
    if (signal.aborted) await this.#clock.sleep(stopMs ?? Infinity);
    this.living -= 1;
    if (end !== undefined) this.#end(live, { kind: end, message: 'node-1 is gone' });
    else this.#exit(live, { exitCode: signal.aborted ? 143 : exitCode, reason, started });
  }

  #redeems(live: Live): boolean {
    return this.#access.redeem(live.payload.access.wrapping_token) === 'consumed';
  }

  #exit(live: Live, how: { exitCode: number; reason: RunnerReason | null; started: string | null }): void {
    const { behaviour } = live;
    const finished = this.#clock.now().toISOString();
    const signal = how.exitCode === 143 ? 'SIGTERM' : null;
    live.stdout = how.reason === null ? (behaviour.stdout ?? 'done\n') : '';
    live.stderr = `${behaviour.stderr ?? ''}${lastWords(live, { ...how, signal, finished })}`;
    const { exitCode, started: startedAt } = how;
    this.#end(live, { kind: 'exited', exitCode, signal, oom: behaviour.oom ?? false, startedAt, finishedAt: finished });
  }

  #end(live: Live, end: RunEnd): void {
    tell(live, { state: 'ended', end });
  }
}

interface LastWords {
  readonly exitCode: number;
  readonly reason: RunnerReason | null;
  readonly signal: string | null;
  readonly started: string | null;
  readonly finished: string;
}

function lastWords(live: Live, { exitCode, reason, signal, started, finished }: LastWords): string {
  const { behaviour, payload, stdout } = live;
  if (behaviour.trailer === 'none') return '';
  const summary = (text: string) => ({
    bytes: Buffer.byteLength(text),
    sha256: sha256(text),
    cut: behaviour.cut ?? false,
  });
  const artifacts = Object.entries(behaviour.artifacts ?? {}).map(([path, text]) => {
    return { path, bytes: Buffer.byteLength(text), sha256: sha256(text) };
  });
  const key = behaviour.trailer === 'forged' ? '0'.repeat(64) : payload.trailer_key;
  const said = { v: 1 as const, exit: exitCode, signal, reason, started, finished, digest: payload.blobs, masked: {} };
  return encodeTrailer({ ...said, stdout: summary(stdout), stderr: summary(behaviour.stderr ?? ''), artifacts }, key);
}

function tell(live: Live, status: RunStatus): void {
  live.status = status;
  for (const wake of live.wakers) wake();
  live.wakers = [];
}

function change(live: Live, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    live.wakers.push(resolve);
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}
