import { backoffMs } from '../domain/backoff.ts';
import type { Reason } from '../domain/run.ts';
import { StalledError, TransientError } from '../errors.ts';
import type { StoryContext } from './context.ts';
import { reasonOf } from './reasons.ts';

/** Our own shutdown: the action stays pending and goes on at the next start. Not an error of anything. */
export class ShuttingDown extends Error {
  constructor() {
    super('the dispatcher is stopping');
  }
}

/**
 * Does what has to be done before the action can go on, however long the outside is away: an outage is never a verdict.
 * `onWait` is told the reason of each failed try and null after success. Throws ShuttingDown when the signal is aborted
 * between two tries, and whatever is neither TransientError nor StalledError. Comes back no sooner than it is asked to.
 */
export async function persist<T>(
  work: () => Promise<T>,
  onWait: (reason: Reason | null) => void,
  context: StoryContext,
  signal: AbortSignal,
): Promise<T> {
  for (let failures = 0; ; failures += 1) {
    if (signal.aborted) throw new ShuttingDown();
    try {
      const value = await work();
      if (failures > 0) onWait(null);
      return value;
    } catch (error) {
      if (!(error instanceof TransientError || error instanceof StalledError)) throw error;
      onWait(reasonOf(error));
      await context.clock.sleep(pauseMs(error, failures, context.clock.random()), signal);
    }
  }
}

/** Of thousands that were told the same time not all come back at the same moment. */
const JITTER = 0.2;

function pauseMs(error: TransientError | StalledError, failures: number, random: number): number {
  const asked = error instanceof TransientError ? Math.min(error.retryAfterMs ?? 0, 30_000) : 0;
  return Math.max(asked * (1 + JITTER * random), backoffMs(failures, random));
}
