import { readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { type AttemptRecord, attemptRecordSchema } from '../domain/attempt-record.ts';
import { TransientError } from '../errors.ts';
import type { Records } from '../ports/records.ts';
import { isErrno, mkdirDurably, writeDurably } from './durable-file.ts';
import { Lanes } from './lanes.ts';

const READS_AT_ONCE = 32;
const FILE = /^([0-9a-f]{32})\.json$/;

/** Notes of attempts as `<dir>/<token>.json`, 0600: they hold the wrapping token until the run has started. */
export function createFileRecords(dir: string): Records {
  const fileOf = (token: string) => path.join(dir, `${token}.json`);
  // Each read holds a file open: thousands at once would be more than a process may.
  const lanes = new Lanes(READS_AT_ONCE);
  /** Whose each note is, once it was read: a token is of one id for ever. */
  const ids = new Map<string, string>();

  async function load(token: string): Promise<AttemptRecord | null> {
    try {
      const record = attemptRecordSchema.parse(JSON.parse(await readFile(fileOf(token), 'utf8')));
      ids.set(token, record.entry.id);
      return record;
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return null;
      throw unavailable('read', error);
    }
  }

  async function tokens(): Promise<readonly string[]> {
    const names = await readdir(dir).catch((error: unknown) => {
      if (isErrno(error, 'ENOENT')) return [];
      throw unavailable('list', error);
    });
    return names.flatMap((name) => FILE.exec(name)?.[1] ?? []);
  }

  async function readable(wanted: readonly string[]): Promise<readonly AttemptRecord[]> {
    const records = await Promise.all(wanted.map((token) => lanes.run(() => load(token)).catch(() => null)));
    return records.filter((record) => record !== null);
  }

  return {
    async save(record) {
      try {
        await mkdirDurably(dir, 0o711);
        await writeDurably(fileOf(record.entry.token), JSON.stringify(record));
        ids.set(record.entry.token, record.entry.id);
      } catch (error) {
        throw unavailable('write', error);
      }
    },
    load,
    async all() {
      return readable(await tokens());
    },
    async of(id) {
      const mayBe = (await tokens()).filter((token) => (ids.get(token) ?? id) === id);
      return (await readable(mayBe)).filter(({ entry }) => entry.id === id);
    },
    async remove(token) {
      try {
        await rm(fileOf(token), { force: true });
        ids.delete(token);
      } catch (error) {
        throw unavailable('remove', error);
      }
    },
  };
}

/** The cause is left out on purpose where it would quote the file: it holds a wrapping token. */
function unavailable(what: string, error: unknown): TransientError {
  const detail = isErrno(error, 'ENOSPC') ? ': the disk is full' : isErrno(error, 'EACCES') ? ': no permission' : '';
  return new TransientError('ERR_STORE_UNAVAILABLE', `cannot ${what} the attempts in state_dir/runs${detail}`);
}
