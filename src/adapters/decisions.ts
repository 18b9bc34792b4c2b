import { open, readFile } from 'node:fs/promises';
import path from 'node:path';
import { commitDecided } from '../domain/decision.ts';
import { TransientError } from '../errors.ts';
import type { Decisions } from '../ports/decisions.ts';
import type { Log } from '../ports/log.ts';
import { isErrno, mkdirDurably, syncDirectory, writeDurably } from './durable-file.ts';

/** One line for each decision, appended. For the process that has the state_dir to itself. */
export function createFileDecisions(file: string, log: Log): Decisions {
  let turn: Promise<unknown> = Promise.resolve();
  /** What stands before may end within a line: it was torn by a crash, or by our own last write. */
  let endsWhole = false;

  async function append(line: string): Promise<void> {
    await mkdirDurably(path.dirname(file), 0o711);
    const start = endsWhole ? '' : '\n';
    endsWhole = false;
    const handle = await open(file, 'a', 0o600);
    try {
      await handle.writeFile(`${start}${line}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (start !== '') await syncDirectory(path.dirname(file));
    endsWhole = true;
  }

  function inTurn<T>(what: string, work: () => Promise<T>): Promise<T> {
    const answer = turn.then(work).catch((error: unknown) => {
      throw unavailable(what, error);
    });
    turn = answer.catch(() => undefined);
    return answer;
  }

  return {
    load: () => inTurn('read', () => readLines(file, log)),
    keep: (line) => inTurn('write', () => append(line)),
    retain: (lines) => inTurn('write', () => writeDurably(file, [...lines].map((line) => `${line}\n`).join(''))),
  };
}

/** For whoever only looks, beside the process that decides: what can't be read there is not known, and nothing is written. */
export function readOnlyDecisions(file: string, log: Log): Decisions {
  return {
    load: () => readLines(file, log).catch(() => new Set()),
    keep: () => Promise.resolve(),
    retain: () => Promise.resolve(),
  };
}

async function readLines(file: string, log: Log): Promise<ReadonlySet<string>> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return '';
    throw error;
  });
  const lines = text.split('\n').filter((line) => line !== '');
  const whole = lines.filter((line) => commitDecided(line) !== null);
  if (whole.length < lines.length) {
    const hint = 'What these lines said was approved is judged anew, by the evidence that is still there.';
    log.warn('decisions about policy and formulas can not be read', { file, lines: lines.length - whole.length, hint });
  }
  return new Set(whole);
}

function unavailable(what: string, error: unknown): TransientError {
  const detail = isErrno(error, 'ENOSPC') ? ': the disk is full' : isErrno(error, 'EACCES') ? ': no permission' : '';
  return new TransientError('ERR_STORE_UNAVAILABLE', `cannot ${what} state_dir/decisions${detail}`, { cause: error });
}
