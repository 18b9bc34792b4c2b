import type { AttemptRecord } from '../domain/attempt-record.ts';

/**
 * This host's own notes of its attempts. `save` is durable when it answers (a crash leaves the old or the new content).
 * All calls are safe to repeat. Errors: TransientError (ERR_STORE_UNAVAILABLE) when the disk does not take it.
 */
export interface Records {
  save(record: AttemptRecord): Promise<void>;
  load(token: string): Promise<AttemptRecord | null>;
  /** All that can be read; damaged ones are left alone and not answered. */
  all(): Promise<readonly AttemptRecord[]>;
  /** Those of one action or sidecar. What costs a read is only what was not read before. */
  of(id: string): Promise<readonly AttemptRecord[]>;
  remove(token: string): Promise<void>;
}
