export interface DispatchLimits {
  /** Slots of this dispatcher. */
  readonly inFlight: number;
  readonly dispatchesPerMinute: number;
}

/**
 * How many runs may be started in a minute while `queued` of ours wait in the engine for a place: all that is allowed with
 * none, evenly fewer the more there are, and one a minute when as many wait as would be started in a minute (or as there
 * are slots). It depends on the queue of this moment alone, so it grows again as soon as runs are placed.
 */
export function startsPerMinute(queued: number, { inFlight, dispatchesPerMinute }: DispatchLimits): number {
  const most = Math.max(1, Math.min(inFlight, dispatchesPerMinute));
  const share = Math.max(0, 1 - queued / most);
  return Math.max(1, Math.floor(dispatchesPerMinute * share));
}
