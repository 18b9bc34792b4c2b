import { type FSWatcher, mkdirSync, watch } from 'node:fs';
import path from 'node:path';
import type { DaemonBench } from './daemon-bench.ts';
import type { Figures, Tally } from './tally.ts';
import { until } from './until.ts';

/** A small seeded generator (mulberry32), so that a moment that failed can be asked for again. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export interface KillPlan {
  readonly bench: DaemonBench;
  /** Starts the daemon as it is configured. */
  readonly start: () => ReturnType<DaemonBench['start']>;
  readonly tally: Tally;
  readonly kills: number;
  readonly seed: number;
}

export interface KillReport extends Figures {
  readonly seed: number;
  readonly killed: number;
}

/** What a kill waits for: so much time since the start, or a trace of a step of the story. */
type Trigger = 'time' | 'note' | 'journal' | 'branch' | 'execution';
const TRIGGERS: readonly Trigger[] = ['time', 'note', 'journal', 'branch', 'execution'];

/** So many actions may be on their way before no new ones are committed. */
const MOST_OPEN = 12;

/**
 * Kills the real daemon with SIGKILL at seeded moments and starts it again at once, while new actions arrive; then lets
 * the last one finish, and compares executions and results with what was asked for.
 */
export async function killAt(plan: KillPlan): Promise<KillReport> {
  const { bench, start, tally, kills, seed } = plan;
  const random = seeded(seed);
  let killed = 0;
  for (let moment = 0; moment < kills; moment += 1) {
    const open = tally.size - (await bench.executions()).size;
    const files = open < MOST_OPEN ? tally.more(1 + Math.floor(random() * 2), random) : {};
    const isFull = Object.keys(files).length === 0;
    const [which, count, share] = [random(), 1 + Math.floor(random() * 4), random()];
    const moved = killOnce(
      plan,
      isFull ? { trigger: 'execution', count, share } : { trigger: pick(which), count, share },
    );
    if (Object.keys(files).length > 0) await bench.pushOnTip(files);
    if (await moved) killed += 1;
  }
  const last = start();
  await until('all are recorded', () => tally.areRecorded(bench), 120_000).catch((error: unknown) => {
    throw new Error(`seed ${seed}: ${last.stderr().slice(-4000)}`, { cause: error });
  });
  last.child.kill('SIGTERM');
  await last.ended;
  return { seed, killed, ...(await tally.compare(bench)) };
}

const pick = (chance: number): Trigger => TRIGGERS[Math.floor(chance * TRIGGERS.length)] ?? 'time';

/** After it watches. */
const LONGEST_MS = 1_500;
/** Something has to come to its end now and then. */
const EXECUTION_MS = 20_000;
const AFTER_TRACE_MS = 30;

interface Moment {
  readonly trigger: Trigger;
  /** The kill follows the trace of this number. */
  readonly count: number;
  readonly share: number;
}

/** True: it lived until the kill. */
async function killOnce({ bench, start }: KillPlan, { trigger, count, share }: Moment): Promise<boolean> {
  const traces = trigger === 'time' ? null : watchTraces(bench, trigger, count);
  const daemon = start();
  const over = new AbortController();
  const late = lateness(daemon, trigger, share, over.signal);
  await Promise.race([late, daemon.ended, ...(traces === null ? [] : [traces.seen])]);
  if (traces !== null) await pause(share * AFTER_TRACE_MS);
  traces?.close();
  daemon.child.kill('SIGKILL');
  const { signal } = await daemon.ended;
  over.abort();
  await late;
  return signal === 'SIGKILL';
}

/** Every fourth time of those that only wait also while it starts. */
async function lateness(
  daemon: ReturnType<DaemonBench['start']>,
  trigger: Trigger,
  share: number,
  signal: AbortSignal,
) {
  if (trigger === 'time' && share < 0.25) return pause(share * 4_000, signal);
  await Promise.race([isWatching(daemon), daemon.ended]);
  return pause(trigger === 'execution' ? EXECUTION_MS : share * LONGEST_MS, signal);
}

function isWatching(daemon: ReturnType<DaemonBench['start']>): Promise<void> {
  return new Promise((resolve) => {
    daemon.child.stderr?.on('data', () => {
      if (daemon.stderr().includes('watching')) resolve();
    });
  });
}

function watchTraces(bench: DaemonBench, trigger: Exclude<Trigger, 'time'>, count: number) {
  const folder = folderOf(bench, trigger);
  mkdirSync(folder, { recursive: true });
  let left = count;
  let watcher: FSWatcher | undefined;
  const seen = new Promise<void>((resolve) => {
    watcher = watch(folder, (_, name) => {
      if (trigger === 'execution' && name !== path.basename(bench.countFile)) return;
      left -= 1;
      if (left <= 0) resolve();
    });
  });
  return { seen, close: () => watcher?.close() };
}

function folderOf({ stateDir, remote, countFile }: DaemonBench, trigger: Exclude<Trigger, 'time'>): string {
  if (trigger === 'note') return path.join(stateDir, 'runs');
  if (trigger === 'execution') return path.dirname(countFile);
  return path.join(remote, 'refs', trigger === 'journal' ? 'dispatcher' : 'heads');
}

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, signal?.aborted === true ? 0 : ms);
    const over = (): void => {
      clearTimeout(timer);
      resolve();
    };
    signal?.addEventListener('abort', over, { once: true });
  });
}
