import type { StopRequest } from '../domain/run.ts';

/** What the operator asked of this dispatcher, kept in `state_dir/control` so that it outlives both sides. */
export interface Control {
  /** Since when and by whom new claims are held back; null when they are not. */
  paused(): Promise<{ readonly by: string; readonly at: string } | null>;
  pause(by: string): Promise<void>;
  resume(): Promise<void>;
  /** The wish to cancel this action or sidecar, null if nobody asked. */
  stopRequest(id: string): Promise<StopRequest | null>;
  /** All wishes to cancel at once, by their ids: for whoever looks on behalf of many. */
  stopRequests(): Promise<ReadonlyMap<string, StopRequest>>;
  requestStop(id: string, request: StopRequest): Promise<void>;
  /** After its end. */
  clearStop(id: string): Promise<void>;
  /** Calls back soon after something was asked (a hint only); ends with the signal. */
  onChange(callback: () => void, signal: AbortSignal): void;
}
