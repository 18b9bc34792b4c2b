/**
 * What was once decided about edits of gated files, as lines of domain/decision.ts, for the time after a restart: the
 * evidence may be gone by then. All calls are safe to repeat and at the same time. Errors: TransientError
 * (ERR_STORE_UNAVAILABLE) when the disk does not give or take it.
 */
export interface Decisions {
  load(): Promise<ReadonlySet<string>>;
  /** Durable when it answers. */
  keep(line: string): Promise<void>;
  /** Throws away all others. */
  retain(lines: ReadonlySet<string>): Promise<void>;
}
