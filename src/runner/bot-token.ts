import { closeSync, constants, fstatSync, openSync, readFileSync, rmSync, type Stats, unlinkSync } from 'node:fs';
import type { Formula } from '../domain/formula.ts';
import type { Secret } from '../domain/redact.ts';
import type { Host } from '../domain/run-directory.ts';
import { errorCode, RunnerError } from './runner-error.ts';
import { secretOf } from './secrets.ts';

const NAME = 'EDGE_BOT_TOKEN';

/**
 * The token of the bot that a sidecar works as, taken out of the file that the engine rendered: the file is deleted, so
 * that the variable is the only way to it. A secret like any that is granted. `user`: of the command; null: our own.
 * Throws RunnerError (ERR_SECRET_MISSING, ERR_SECRET_DENIED, ERR_SECRET_EMPTY, ERR_SECRET_UNMASKABLE, ERR_RUNNER).
 */
export function takeBotToken(file: string, formula: Pick<Formula, 'unmasked'>, user: Host['run_as']): Secret {
  const fd = openFile(file);
  try {
    const status = fstatSync(fd);
    if (!status.isFile()) throw new RunnerError('ERR_SECRET_DENIED', `${NAME}: ${file} is no regular file`);
    const bytes = readFileSync(fd);
    putAway(file, status, user);
    return secretOf({ name: NAME, bytes, place: file }, formula);
  } finally {
    closeSync(fd);
  }
}

function openFile(file: string): number {
  try {
    return openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = errorCode(error) ?? 'error';
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw new RunnerError('ERR_SECRET_MISSING', `${NAME}: ${file} is not there`);
    }
    throw new RunnerError('ERR_SECRET_DENIED', `${NAME}: ${file} can't be read (${code})`);
  }
}

/**
 * What stays is harmless only if its mode keeps the command out, as it can where the command has another user. A command
 * that could read the file could also hand its path to whoever outlives the run, and nothing that we scrub would show it.
 */
function putAway(file: string, status: Stats, user: Host['run_as']): void {
  try {
    unlinkSync(file);
  } catch (error) {
    if (user !== null && !mayRead(status, user)) return;
    const why = errorCode(error) ?? 'error';
    const message = `${file} can't be deleted (${why}), and the command could read it; nothing was started`;
    throw new RunnerError('ERR_RUNNER', message);
  }
}

function mayRead({ mode, uid, gid }: Stats, user: NonNullable<Host['run_as']>): boolean {
  // An owner may give itself any mode.
  if (uid === user.uid) return true;
  return (mode & (gid === user.gid ? 0o040 : 0o004)) !== 0;
}

/** Where the run ended before anybody read it. Safe to repeat; what can't be removed goes with the task. */
export function dropBotToken(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // Its mode keeps the command out, and no command is there any more.
  }
}
