import type { Clock } from '../../ports/clock.ts';

/**
 * The same hint, given at once or, within `ms` of the last one, when that time is over: however often it is called, so
 * much lies between two. Ends with the signal.
 */
export function spaced(hint: () => void, ms: number, clock: Clock, signal: AbortSignal): () => void {
  let last = -Infinity;
  let isDue = false;
  const give = (): void => {
    last = clock.monotonic();
    hint();
  };
  return () => {
    if (isDue || signal.aborted) return;
    const rest = last + ms - clock.monotonic();
    if (rest <= 0) return give();
    isDue = true;
    void clock.sleep(rest, signal).then(() => {
      isDue = false;
      if (!signal.aborted) give();
    });
  };
}
