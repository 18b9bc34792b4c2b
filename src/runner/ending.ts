import { constants } from 'node:os';
import type { RunnerReason, Trailer } from '../domain/trailer.ts';
import type { CommandEnd } from './execute.ts';
import { RunnerError } from './runner-error.ts';
import type { StopCause } from './stop.ts';

/** How it ended, for trailer, exit.json and the runner's own exit code alike. */
export interface Ending {
  readonly exit: number;
  readonly signal: string | null;
  readonly reason: RunnerReason | null;
  /** The runner's own words on stderr; null: the command's end says it all. */
  readonly message: string | null;
  readonly startedAt: string | null;
  readonly oom: boolean;
  /** By TERM, as opposed to its deadline. */
  readonly isCancelled: boolean;
  readonly artifacts: Trailer['artifacts'];
}

/** The runner's own trouble: nothing was started, or what was started is gone. */
export function ownEnding(error: RunnerError): Ending {
  const message = `edge-runner: ${error.reason}: ${error.message}`;
  return { ...NOTHING, exit: error.exitCode, reason: error.reason, message };
}

/** Stopped before the command could start. */
export function unstartedEnding(cause: StopCause): Ending {
  if (cause === 'deadline') {
    return ownEnding(new RunnerError('ERR_DEADLINE', 'the time was over before the command could start'));
  }
  const message = 'edge-runner: stopped before the command was started';
  return { ...NOTHING, exit: signalExit('SIGTERM'), signal: 'SIGTERM', isCancelled: true, message };
}

/** The command's own end, unless `cause` ended it (null: nothing did). */
export function commandEnding({ code, signal, startedAt }: CommandEnd, cause: StopCause | null): Ending {
  if (cause === 'deadline') {
    const error = new RunnerError('ERR_DEADLINE', 'the command was stopped at its deadline');
    return { ...ownEnding(error), signal, startedAt };
  }
  const exit = signal === null ? (code ?? 0) : signalExit(signal);
  return { ...NOTHING, exit, signal, startedAt, isCancelled: cause === 'cancelled' };
}

const NOTHING: Omit<Ending, 'exit'> = {
  signal: null,
  reason: null,
  message: null,
  startedAt: null,
  oom: false,
  isCancelled: false,
  artifacts: [],
};

function signalExit(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}
