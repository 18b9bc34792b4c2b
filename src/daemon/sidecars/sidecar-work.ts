import { backoffMs } from '../../domain/backoff.ts';
import type { Result } from '../../domain/result.ts';
import { toError } from '../../errors.ts';
import type { StoryContext } from '../../story/context.ts';
import { type SidecarSettings, Sidecars } from '../../story/sidecar/sidecars.ts';
import { createReports, type Reports } from './reports.ts';

export interface SidecarWork {
  readonly sidecars: Sidecars;
  /** Looks at the issues and tells ends on them until the signal is aborted. */
  run(signal: AbortSignal): Promise<void>;
  /** One look, for `run --once`. Never throws for an outage. */
  look(signal: AbortSignal): Promise<void>;
  /** What is to be told of ends so far is told, if the forge is there. */
  tell(signal: AbortSignal): Promise<void>;
  recorded(result: Result): void;
}

interface Deps {
  readonly context: StoryContext;
  readonly settings: SidecarSettings;
  readonly pollSeconds: number;
  /** There may be something to start. */
  readonly onNews: () => void;
}

/** The issues are looked at beside the loop: a forge that hangs holds up nothing that was committed. */
export function createSidecarWork({ context, settings, pollSeconds, onNews }: Deps): SidecarWork {
  const sidecars = new Sidecars(settings, context);
  const reports: Reports = createReports(context, settings);

  async function look(signal: AbortSignal): Promise<number | null> {
    const { rest, isNews } = await sidecars.poll(signal);
    if (isNews) onNews();
    return rest;
  }

  async function polls(signal: AbortSignal): Promise<void> {
    const { clock, log } = context;
    for (let failures = 0; !signal.aborted; ) {
      let rest: number | null = null;
      try {
        rest = await look(signal);
      } catch (error) {
        if (!signal.aborted) log.error('a look at the issues failed', { err: toError(error) });
      }
      failures = rest === 0 ? 0 : failures + 1;
      const poll = pollSeconds * 1000 * (0.9 + 0.2 * clock.random());
      const wait = failures === 0 ? 0 : (rest ?? backoffMs(failures, clock.random()));
      await clock.sleep(Math.max(poll, wait), signal);
    }
  }

  return {
    sidecars,
    async run(signal) {
      await Promise.all([polls(signal), reports.run(signal)]);
    },
    async look(signal) {
      await look(signal);
    },
    tell: (signal) => reports.tell(signal),
    recorded: (result) => reports.recorded(result),
  };
}
