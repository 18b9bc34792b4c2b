import { closeSync, fsyncSync, linkSync, openSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { type Exit, exitSchema, type Host, hostSchema, RUN_FILES, type Started } from '../domain/run-directory.ts';
import { bootId, startTimeOf } from './processes.ts';
import { errorCode, RunnerError } from './runner-error.ts';

/**
 * Makes this process the one runner of a run directory. The file is linked into place, so it is whole as soon as it can
 * be seen. False: another runner was first, and nothing was changed.
 */
export function claimRunDirectory(directory: string): boolean {
  const started: Started = {
    pid: process.pid,
    start_time: startTimeOf(process.pid),
    boot_id: bootId(),
    at: new Date().toISOString(),
  };
  const draft = path.join(directory, `${RUN_FILES.started}.${process.pid}`);
  writeFileSync(draft, `${JSON.stringify(started)}\n`, { mode: 0o600 });
  try {
    linkSync(draft, path.join(directory, RUN_FILES.started));
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    unlinkSync(draft);
  }
}

/** What the machine gives to this run. Throws RunnerError (ERR_RUNNER) when the file is not there or not right. */
export function readHost(directory: string): Host {
  try {
    return hostSchema.parse(JSON.parse(readFileSync(path.join(directory, RUN_FILES.host), 'utf8')));
  } catch {
    throw new RunnerError('ERR_RUNNER', `${RUN_FILES.host} of the run directory can't be read; nothing was started`);
  }
}

/** The runner's last act: whole and on the disk, or not there. Takes the place of whatever the command put there. */
export function writeExit(directory: string, exit: Exit): void {
  const draft = path.join(directory, `${RUN_FILES.exit}.${process.pid}`);
  const fd = openSync(draft, 'w', 0o600);
  try {
    writeFileSync(fd, `${JSON.stringify(exitSchema.parse(exit))}\n`);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(draft, path.join(directory, RUN_FILES.exit));
}
