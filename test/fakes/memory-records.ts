import { type AttemptRecord, attemptRecordSchema } from '../../src/domain/attempt-record.ts';
import { TransientError } from '../../src/errors.ts';
import type { Records } from '../../src/ports/records.ts';

/** Notes of attempts as the disk would keep them: text, checked when it is read. */
export class MemoryRecords implements Records {
  /** Token → JSON. May be damaged by a test. */
  readonly files = new Map<string, string>();

  async save(record: AttemptRecord): Promise<void> {
    this.files.set(record.entry.token, JSON.stringify(record));
  }

  async load(token: string): Promise<AttemptRecord | null> {
    const text = this.files.get(token);
    if (text === undefined) return null;
    try {
      return attemptRecordSchema.parse(JSON.parse(text));
    } catch {
      throw new TransientError('ERR_STORE_UNAVAILABLE', 'cannot read the attempts in state_dir/runs');
    }
  }

  async all(): Promise<readonly AttemptRecord[]> {
    const loaded = await Promise.all([...this.files.keys()].map((token) => this.load(token).catch(() => null)));
    return loaded.filter((record) => record !== null);
  }

  async of(id: string): Promise<readonly AttemptRecord[]> {
    return (await this.all()).filter(({ entry }) => entry.id === id);
  }

  async remove(token: string): Promise<void> {
    this.files.delete(token);
  }
}
