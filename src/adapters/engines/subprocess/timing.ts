/** All waits of the subprocess engine, in milliseconds. */
export interface Timing {
  /** How long `dispatch` waits for the runner's `started`. */
  readonly startMs: number;
  /** Between two looks at all runs; grows with what a look costs. */
  readonly pollMs: number;
  /** Between TERM and KILL of the command, by the runner. */
  readonly graceMs: number;
  /** After the grace, until the runner itself counts as stuck and is killed. */
  readonly stuckMs: number;
  /** How long a runner may live on after it has written its end. */
  readonly lingerMs: number;
  /** How long a runner has to be gone without an end before that is told. */
  readonly vanishMs: number;
}

export const TIMING: Timing = {
  startMs: 30_000,
  pollMs: 200,
  graceMs: 10_000,
  stuckMs: 5_000,
  lingerMs: 5_000,
  vanishMs: 500,
};
