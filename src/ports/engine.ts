import type { Check } from '../domain/check.ts';
import type { AttemptToken } from '../domain/ids.ts';
import type { Run, RunStatus, StopRequest } from '../domain/run.ts';

/** What is sent to the engine. Written to disk before the claim, so that a restart sends the very same bytes. */
export interface DispatchRequest {
  readonly token: AttemptToken;
  /** Engine job of the formula (`vault-runner`), or `sidecar`. */
  readonly job: string;
  readonly meta: {
    readonly action_id: string;
    readonly attempt: string;
    readonly formula: string;
    readonly mounts: string;
    readonly secrets_csv: string;
    /** Of a sidecar only. */
    readonly issue_number?: string;
    readonly project_toml?: string;
  };
  /** `encodePayload` of the payload. Holds the wrapping token. */
  readonly payload: Uint8Array;
  readonly timeoutSeconds: number;
}

/** What a run is known by: ours are those with this token whose stored payload has this digest, and no others. */
export interface AttemptRef {
  readonly token: AttemptToken;
  /** SHA-256 of the payload as sent, hex. */
  readonly payloadSha256: string;
}

/** The engine job of a formula, and the names of what a run of it mounts. */
export interface Place {
  readonly job: string;
  readonly mounts: readonly string[];
}

export type LogStream = 'stdout' | 'stderr';

/**
 * Where actions run.
 *
 * Order: `dispatch` only after the claim has landed; `find` before `dispatch` after any doubt; `forget` after the result
 * is recorded. All calls may run at the same time for different runs. Safe to repeat: all but `dispatch`; and `dispatch`
 * with the same token never makes a second execution, because the payload's wrapper is single-use.
 * A run is found by its token only; runs that the caller does not name are never adopted, stopped or counted.
 * Errors: TransientError while the engine is away (never a verdict), StalledError when it denies us. `find` and `dispatch`
 * throw StalledError (ERR_FOREIGN_RUN) when the engine holds a run of this token with other bytes than ours: our own can
 * never start then, and the other is never followed, stopped or counted.
 */
export interface Engine {
  readonly kind: string;
  /** True where the command runs as another user than the runner, so that it can't reach the runner's memory and files. */
  readonly isolated: boolean;
  check(signal?: AbortSignal): Promise<readonly Check[]>;
  /**
   * Whether a run of this job with these mounts could be dispatched now; asked before anything is minted or claimed.
   * Throws StalledError: ERR_JOB_MISSING, ERR_JOB_DRIFT, ERR_ENGINE_DENIED (a mount that is not to be had here).
   */
  ready(place: Place, signal?: AbortSignal): Promise<void>;
  /** The run of this attempt; null when the engine knows none, which proves nothing. */
  find(attempt: AttemptRef, signal?: AbortSignal): Promise<Run | null>;
  /** The present status in one look, for who only wants to know; null when the engine knows no such run. */
  look(run: Run, signal?: AbortSignal): Promise<RunStatus | null>;
  dispatch(request: DispatchRequest, signal?: AbortSignal): Promise<Run>;
  /**
   * Each change of the run's status, the present one first; ends after `ended`. Survives outages of the engine: it is
   * silent then. Ends without `ended` only when the signal is aborted.
   */
  watch(run: Run, signal: AbortSignal): AsyncIterable<RunStatus>;
  /** Bytes of one stream from `offset` up to what is there now; after the end: all that was kept. */
  logs(run: Run, stream: LogStream, offset: number, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** One collected artifact, by its path in the trailer; null where the engine collects none or it is gone. */
  artifact(run: Run, path: string): Promise<AsyncIterable<Uint8Array> | null>;
  /** Asks the run to stop. Returns when the engine has taken the wish; the end is told by `watch`. Again is no error. */
  cancel(run: Run, why: StopRequest, signal?: AbortSignal): Promise<void>;
  /** Frees what is kept of a run whose result is recorded. Unknown is no error. */
  forget(token: AttemptToken): Promise<void>;
}
