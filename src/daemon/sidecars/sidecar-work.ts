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

  async function look(signal: AbortSignal, most?: number): Promise<number> {
    const { rest, isNews } = await sidecars.poll(signal, most);
    if (isNews) onNews();
    return rest;
  }

  async function polls(signal: AbortSignal): Promise<void> {
    const { clock, log } = context;
    for (let failures = 0; !signal.aborted; ) {
      let rest = 0;
      try {
        rest = await look(signal);
        failures = 0;
      } catch (error) {
        if (!signal.aborted) log.error('a look at the issues failed', { err: toError(error) });
        failures += 1;
        rest = backoffMs(failures, clock.random());
      }
      const poll = pollSeconds * 1000 * (0.9 + 0.2 * clock.random());
      await clock.sleep(Math.max(poll, rest), signal);
    }
  }

  return {
    sidecars,
    async run(signal) {
      await Promise.all([polls(signal), reports.run(signal)]);
    },
    async look(signal) {
      try {
        // There is no next poll that would ask about the rest.
        await look(signal, Infinity);
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    },
    tell: (signal) => reports.tell(signal),
    recorded: (result) => reports.recorded(result),
  };
}
