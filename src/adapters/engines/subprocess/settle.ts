import { uptime } from 'node:os';
import type { RunEnd, RunStatus } from '../../../domain/run.ts';
import type { ProcessStat } from '../../process-identity.ts';
import { killMembers } from './members.ts';
import { isKillNoted, noteKill, stopNotedAt, writeKilledExit } from './run-files.ts';
import type { Sight } from './sight.ts';
import type { Timing } from './timing.ts';

/** A run that was looked at. `endingMs`: for how long it has been seen to be closing, or vanished. */
export interface Scene {
  readonly directory: string;
  readonly sight: Sight;
  readonly endingMs: number;
  /** Its living processes; looked for only where `needsMembers` says so. */
  readonly members: readonly ProcessStat[];
  readonly now: Date;
}

/** The status to tell, and the processes that we wanted to kill and may not. */
export interface Settled {
  readonly status: RunStatus;
  readonly unkillable: readonly number[];
}

const ENDS = {
  gone: { kind: 'unknown', message: 'nothing is kept of this run on this machine' },
  lost: { kind: 'lost', message: 'the machine was started anew while it ran' },
  withdrawn: { kind: 'not-started', message: 'it was stopped before its runner had started' },
  vanished: {
    kind: 'unknown',
    message: 'its runner is gone and left no exit status; the machine was not started anew',
  },
} as const satisfies Record<string, RunEnd>;

/** Looking through all processes is dear: done only for a run that ends, or is to be made to. */
export function needsMembers(directory: string, sight: Sight, timing: Timing): boolean {
  if (sight.kind === 'running') return isStuck(directory, timing);
  return sight.kind === 'closing' || sight.kind === 'vanished';
}

/**
 * Brings a run nearer to its end and says where it is. It has ended only when none of its processes lives (R9): what
 * the runner left behind is killed, and looked for again next time.
 */
export async function settle(scene: Scene, timing: Timing): Promise<Settled> {
  const { sight } = scene;
  switch (sight.kind) {
    case 'running':
      return await settleRunning(scene, sight.started.at, timing);
    case 'closing':
      return settleClosing(scene, sight, timing);
    case 'vanished':
      return await settleVanished(scene, sight.started.at, timing);
    case 'queued':
      return { status: { state: 'queued', message: 'its runner has not started yet' }, unkillable: [] };
    case 'gone':
    case 'lost':
    case 'withdrawn':
      return ended(ENDS[sight.kind]);
    default:
      return sight satisfies never;
  }
}

type Closing = Extract<Sight, { kind: 'closing' }>;

const ended = (end: RunEnd): Settled => ({ status: { state: 'ended', end }, unkillable: [] });

const running = (startedAt: string | null, unkillable: readonly number[] = []): Settled => ({
  status: { state: 'running', startedAt },
  unkillable,
});

/** It was told to stop, and the runner had the time to see to it. */
function isStuck(directory: string, { graceMs, stuckMs }: Timing): boolean {
  const at = stopNotedAt(directory);
  return at !== null && (uptime() - at) * 1000 > graceMs + stuckMs;
}

async function settleRunning({ directory, members }: Scene, startedAt: string, timing: Timing): Promise<Settled> {
  if (!isStuck(directory, timing)) return running(startedAt);
  await noteKill(directory);
  return running(startedAt, killMembers(members));
}

function settleClosing({ members, endingMs }: Scene, sight: Closing, timing: Timing): Settled {
  if (members.length === 0) return ended(sight.end);
  const startedAt = sight.started?.at ?? null;
  if (sight.runnerLives && endingMs < timing.lingerMs) return running(startedAt);
  return running(startedAt, killMembers(members));
}

async function settleVanished(scene: Scene, startedAt: string, timing: Timing): Promise<Settled> {
  const { directory, members, now } = scene;
  // A command that its runner was just about to start shows its HOME only a moment later.
  if (members.length > 0 || scene.endingMs < timing.vanishMs) return running(startedAt, killMembers(members));
  if (!isKillNoted(directory)) return ended(ENDS.vanished);
  const finishedAt = now.toISOString();
  await writeKilledExit(directory, startedAt, finishedAt);
  return ended({ kind: 'exited', exitCode: 137, signal: 'SIGKILL', oom: false, startedAt, finishedAt });
}
