const FIRST_MS = 250;
const CAP_MS = 30_000;

/**
 * Milliseconds to wait after the given number of earlier failures: doubling, capped at 30 s, with jitter over the upper
 * half so that many waiting at once do not come back at once. `random`: 0 ≤ x < 1.
 */
export function backoffMs(failures: number, random: number): number {
  const full = Math.min(CAP_MS, FIRST_MS * 2 ** Math.min(failures, 20));
  return full / 2 + (full / 2) * random;
}
