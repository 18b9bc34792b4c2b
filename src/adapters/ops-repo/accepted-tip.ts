import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { isOid, type Oid } from '../../domain/ids.ts';
import { TransientError } from '../../errors.ts';
import { isErrno, mkdirDurably, writeDurably } from '../durable-file.ts';

/**
 * The last tip that was seen and accepted. Not in the clone, which may be deleted at any time; read anew each time,
 * because a person accepts a rewritten history from outside of the process.
 */
export class AcceptedTip {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  /** `none`: there is no file, the next tip is the first one. `unreadable`: there is one, and it says nothing. */
  async read(): Promise<Oid | 'none' | 'unreadable'> {
    try {
      const text = (await readFile(this.#file, 'utf8')).trim();
      return isOid(text) ? text : 'unreadable';
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return 'none';
      throw unavailable('read', error);
    }
  }

  async write(tip: Oid): Promise<void> {
    try {
      await mkdirDurably(path.dirname(this.#file));
      await writeDurably(this.#file, `${tip}\n`);
    } catch (error) {
      throw unavailable('write', error);
    }
  }
}

function unavailable(what: string, error: unknown): TransientError {
  const detail = isErrno(error, 'ENOSPC') ? ': the disk is full' : isErrno(error, 'EACCES') ? ': no permission' : '';
  const message = `cannot ${what} the last accepted tip in state_dir${detail}`;
  return new TransientError('ERR_STORE_UNAVAILABLE', message, { cause: error });
}
