/** All waits of the side of the nomad engine that follows runs, in milliseconds. */
export interface Timing {
  /** From the request of an event stream to its first line: what takes longer was refused. */
  readonly firstLineMs: number;
  /** Without a line a stream counts as dead; the server sends one every 30 s. */
  readonly silenceMs: number;
  /** Between two lists of what is watched, while the event stream lives. */
  readonly reconcileMs: number;
  /** The same while there is no event stream. */
  readonly blindMs: number;
  /** Wishes for a look that come in such quick succession (1,000 adopted runs) share one. */
  readonly spacingMs: number;
  /** A look that takes longer is no longer waited for by the looks at other runs. */
  readonly slowMs: number;
  /** Longest wait between two tries of a call that failed. */
  readonly retryMs: number;
  /** Between two answers that have to agree that nothing is kept of a run. */
  readonly confirmMs: number;
  /** Between two looks at a run that is to end: stopped, or with nothing placed in time. */
  readonly settleMs: number;
  /** How long other allocations of a stopped run are waited for. */
  readonly settleLimitMs: number;
  /** Between two drains of the output of a run that goes on. */
  readonly drainMs: number;
  /** How long a stopped run of a disconnected node is waited for: `LostAfter` of the job. */
  readonly lostAfterMs: number;
}

export const TIMING: Timing = {
  firstLineMs: 5_000,
  silenceMs: 60_000,
  reconcileMs: 30_000,
  blindMs: 3_000,
  spacingMs: 20,
  slowMs: 500,
  retryMs: 5_000,
  confirmMs: 2_000,
  settleMs: 1_000,
  settleLimitMs: 60_000,
  drainMs: 30_000,
  lostAfterMs: 15 * 60_000,
};
