/** Time and chance, so that tests and the simulation can hold them still. */
export interface Clock {
  /** Wall time; may jump. For stamps only. */
  now(): Date;
  /** Milliseconds that only grow. For durations and deadlines. */
  monotonic(): number;
  /** Ends after `ms`, or at once when the signal is aborted (never throws for it). */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** 0 ≤ x < 1, for jitter. */
  random(): number;
  /** 32 bytes nobody can guess, as 64 hex digits. */
  key(): string;
}
