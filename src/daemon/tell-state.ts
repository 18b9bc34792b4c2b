import type { DaemonState } from '../domain/daemon-state.ts';
import { printable } from '../domain/text.ts';
import { toError } from '../errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/log.ts';
import type { Daemon } from './daemon.ts';

interface Tools {
  readonly clock: Clock;
  readonly log: Log;
  readonly pid: number;
  /** Replaces what was said before. */
  readonly write: (state: DaemonState) => Promise<void>;
}

const LOOK_MS = 5_000;
const AGAIN_MS = 30_000;

/** Says what the daemon knows of itself when that has changed, and every half minute, until the signal is aborted. */
export async function keepTelling(
  daemon: Pick<Daemon, 'figures' | 'unready'>,
  tools: Tools,
  signal: AbortSignal,
): Promise<void> {
  const { clock, log, write } = tools;
  let last = { text: '', at: -Infinity };
  let isToldOf = false;
  while (!signal.aborted) {
    const state = stateOf(daemon, tools);
    const text = JSON.stringify({ ...state, at: null });
    if (text !== last.text || clock.monotonic() - last.at >= AGAIN_MS) {
      last = { text, at: clock.monotonic() };
      await write(state).catch((error: unknown) => {
        // A full disk is told of by whatever needs it.
        if (!isToldOf) log.warn('cannot write what status tells of the daemon', { err: toError(error) });
        isToldOf = true;
      });
    }
    await clock.sleep(LOOK_MS, signal);
  }
}

function stateOf(daemon: Pick<Daemon, 'figures' | 'unready'>, { clock, pid }: Tools): DaemonState {
  const { slots, pace, services } = daemon.figures();
  return {
    v: 1,
    at: clock.now().toISOString(),
    pid,
    unready: daemon.unready().map(({ code, message }) => ({ code, message: printable(message) })),
    away: services.flatMap(({ service, away }) => {
      if (away === null) return [];
      const { since, nextTry, failed, reason } = away;
      return [
        {
          service,
          since: since.toISOString(),
          next_try: nextTry?.toISOString() ?? null,
          failed,
          reason: { code: reason.code, message: printable(reason.message) },
        },
      ];
    }),
    slots,
    queued: pace.queued,
    starts_per_minute: pace.perMinute,
  };
}
