import type { RunEnd, RunStatus } from '../../../domain/run.ts';
import type { Exit, Started } from '../../../domain/run-directory.ts';
import { isAlive, readBootId } from '../../process-identity.ts';
import { hasRunDirectory, type Read, readExit, readStarted, stopNotedAt } from './run-files.ts';

/**
 * What one look at a run's directory and its runner says:
 *
 * - `gone`: there is no directory. `queued`: no runner has started; `withdrawn`: and none is to start any more.
 * - `running`: the runner lives and has not written its end.
 * - `closing`: its end is written. `vanished`: it is dead without an end. In both a process of the run may still live.
 * - `lost`: the machine was started anew since; nothing of the run lives.
 */
export type Sight =
  | { readonly kind: 'gone' | 'queued' | 'withdrawn' | 'lost' }
  | { readonly kind: 'running' | 'vanished'; readonly started: Started }
  | { readonly kind: 'closing'; readonly started: Started | null; readonly end: RunEnd; readonly runnerLives: boolean };

/** Reads a few small files; costs some 50 µs. Throws Node's own errors when the disk does not answer. */
export function lookAt(directory: string): Sight {
  const started = readStarted(directory);
  if (started.kind === 'none') return lookAtUnstarted(directory);
  const bootId = readBootId();
  const lives = started.kind === 'read' && isAlive(started.value, bootId);
  // After its death the runner writes nothing more, so exit.json is read after the process was looked for.
  const exit = readExit(directory);
  if (exit.kind !== 'none') return closing(exit, started, lives);
  if (started.kind === 'damaged') return closing({ kind: 'damaged' }, started, false);
  if (started.value.boot_id !== bootId) return { kind: 'lost' };
  return { kind: lives ? 'running' : 'vanished', started: started.value };
}

/** As the port tells it, for who only wants to know: what may still be sweeping up counts as running. */
export function statusOf(sight: Sight): RunStatus | null {
  switch (sight.kind) {
    case 'gone':
    case 'withdrawn':
      return null;
    case 'queued':
      return { state: 'queued', message: null };
    case 'running':
    case 'vanished':
      return { state: 'running', startedAt: sight.started.at };
    case 'closing':
      return { state: 'ended', end: sight.end };
    case 'lost':
      return { state: 'ended', end: { kind: 'lost', message: 'the machine was started anew since' } };
  }
}

function lookAtUnstarted(directory: string): Sight {
  if (!hasRunDirectory(directory)) return { kind: 'gone' };
  return { kind: stopNotedAt(directory) === null ? 'queued' : 'withdrawn' };
}

function closing(exit: Read<Exit>, started: Read<Started>, runnerLives: boolean): Sight {
  return { kind: 'closing', started: started.kind === 'read' ? started.value : null, end: endOf(exit), runnerLives };
}

function endOf(exit: Read<Exit>): RunEnd {
  if (exit.kind !== 'read') return { kind: 'unknown', message: 'the files of the run were changed by somebody else' };
  const { exit_code: exitCode, signal, oom, started_at: startedAt, finished_at: finishedAt } = exit.value;
  return { kind: 'exited', exitCode, signal, oom, startedAt, finishedAt };
}
