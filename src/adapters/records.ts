import { readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { type AttemptRecord, attemptRecordSchema } from '../domain/attempt-record.ts';
import { TransientError } from '../errors.ts';
import type { Records } from '../ports/records.ts';
import { isErrno, mkdirDurably, writeDurably } from './durable-file.ts';

const FILE = /^([0-9a-f]{32})\.json$/;

/** Notes of attempts as `<dir>/<token>.json`, 0600: they hold the wrapping token until the run has started. */
export function createFileRecords(dir: string): Records {
  const fileOf = (token: string) => path.join(dir, `${token}.json`);

  async function load(token: string): Promise<AttemptRecord | null> {
    try {
      return attemptRecordSchema.parse(JSON.parse(await readFile(fileOf(token), 'utf8')));
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return null;
      throw unavailable('read', error);
    }
  }

  return {
    async save(record) {
      try {
        await mkdirDurably(dir, 0o711);
        await writeDurably(fileOf(record.entry.token), JSON.stringify(record));
      } catch (error) {
        throw unavailable('write', error);
      }
    },
    load,
    async all() {
      const names = await readdir(dir).catch((error: unknown) => {
        if (isErrno(error, 'ENOENT')) return [];
        throw unavailable('list', error);
      });
      const tokens = names.flatMap((name) => FILE.exec(name)?.[1] ?? []);
      const records = await Promise.all(tokens.map((token) => load(token).catch(() => null)));
      return records.filter((record) => record !== null);
    },
    async remove(token) {
      try {
        await rm(fileOf(token), { force: true });
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
