import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { type Host, RUN_FILES } from '../domain/run-directory.ts';
import { RunnerError } from './runner-error.ts';

/** The directories of one run. Nothing of an earlier run is in them. */
export interface Places {
  readonly root: string;
  readonly home: string;
  readonly work: string;
  /** What the command may read and not change: inputs, script, prompt. */
  readonly given: string;
  /** Collected artifacts; null: nobody would take them from there. */
  readonly artifacts: string | null;
  /** The other user that the command runs as; null: the runner's own. */
  readonly owner: Host['run_as'];
}

/** Where they are to be: in the run directory or, without one, in a new one of the system's. Makes nothing. */
export function choosePlaces(runDirectory: string | null, owner: Host['run_as']): Places {
  const root = runDirectory ?? path.join(tmpdir(), `edge-run-${randomBytes(8).toString('hex')}`);
  return {
    root,
    home: path.join(root, RUN_FILES.home),
    work: path.join(root, RUN_FILES.work),
    given: path.join(root, RUN_FILES.given),
    artifacts: runDirectory === null ? null : path.join(root, RUN_FILES.artifacts),
    owner,
  };
}

/** Makes them, empty. Throws RunnerError (ERR_RUNNER) when the command's user could not get there. */
export function makePlaces(places: Places): void {
  const { root, home, work, given, artifacts, owner } = places;
  if (artifacts === null) mkdirSync(root, { mode: 0o700 });
  for (const directory of [home, work, given, artifacts ?? given]) rmSync(directory, { recursive: true, force: true });
  if (owner !== null) openWayTo(root, owner);
  for (const directory of [home, work]) makeOwnDirectory(places, directory);
  makeGivenDirectory(places, given);
}

/** Takes away all but the artifacts; what can't be removed is left. Safe to repeat. */
export function removePlaces({ root, home, work, given, artifacts }: Places): void {
  for (const directory of artifacts === null ? [root] : [home, work, given]) {
    try {
      rmSync(directory, { recursive: true, force: true });
    } catch {
      // An immutable file, a mount: it is in nobody's way, the next run has directories of its own.
    }
  }
}

/** A new directory that the command's user owns, and nobody else may enter. */
export function makeOwnDirectory({ owner }: Places, directory: string): void {
  mkdirSync(directory, { mode: 0o700 });
  if (owner !== null) chownSync(directory, owner.uid, owner.gid);
}

/** A new directory whose files the command's user may read and not change. */
export function makeGivenDirectory(places: Places, directory: string): void {
  mkdirSync(directory);
  letRead(places, directory, 0o750);
}

/** Puts a file into `given`: the command's user may read it (with `mode` 0o550 also run it), and not change it. */
export function give(places: Places, name: string, content: string, mode: 0o440 | 0o550 = 0o440): string {
  const file = path.join(places.given, name);
  writeFileSync(file, content, { mode: 0o600, flag: 'wx' });
  letRead(places, file, mode);
  return file;
}

function letRead({ owner }: Places, file: string, mode: number): void {
  if (owner !== null) chownSync(file, process.getuid?.() ?? 0, owner.gid);
  chmodSync(file, mode);
}

/** The command's user has to pass through the run directory; what is in it stays closed by its own mode. */
function openWayTo(root: string, owner: NonNullable<Host['run_as']>): void {
  chmodSync(root, 0o711);
  for (let directory = root; ; directory = path.dirname(directory)) {
    const { mode, uid, gid } = statSync(directory);
    const bit = uid === owner.uid ? 0o100 : gid === owner.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) {
      throw new RunnerError('ERR_RUNNER', `the user of the command can't pass ${directory}; it needs mode o+x`);
    }
    if (directory === path.dirname(directory)) return;
  }
}
