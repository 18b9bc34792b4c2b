import { randomBytes } from 'node:crypto';
import type { Clock } from '../ports/clock.ts';

/** The real clock of this machine. */
export const systemClock: Clock = {
  now: () => new Date(),
  monotonic: () => performance.now(),
  sleep,
  random: () => Math.random(),
  key: () => randomBytes(32).toString('hex'),
};

// setTimeout fires at once for more than 2^31 - 1 ms; a longer sleep is slept in parts.
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  const end = performance.now() + ms;
  for (let left = ms; left > 0 && !signal?.aborted; left = end - performance.now()) {
    await sleepOnce(Math.min(left, LONGEST_TIMEOUT_MS), signal);
  }
}

function sleepOnce(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const wake = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', wake);
      resolve();
    };
    const timer = setTimeout(wake, ms);
    signal?.addEventListener('abort', wake, { once: true });
  });
}
