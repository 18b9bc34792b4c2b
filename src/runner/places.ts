import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { type Host, RUN_FILES } from '../domain/run-directory.ts';
import { RunnerError } from './runner-error.ts';

/** The directories of one run. Nothing of an earlier run is in them. */
export interface Places {
  readonly home: string;
  readonly work: string;
  /** What the command may read and not change: inputs, script, prompt. */
  readonly given: string;
  /** The other user that the command runs as; null: the runner's own. */
  readonly owner: Host['run_as'];
  /** Takes all of it away; what can't be removed is left. Safe to repeat. */
  remove(): void;
}

/** Makes them empty, in the run directory or, without one, in the system's. Throws RunnerError (ERR_RUNNER). */
export function makePlaces(runDirectory: string | null, owner: Host['run_as']): Places {
  const root = runDirectory ?? mkdtempSync(path.join(tmpdir(), 'edge-run-'));
  const at = (name: string) => path.join(root, name);
  const made = [at(RUN_FILES.home), at(RUN_FILES.work), at(RUN_FILES.given)] as const;
  const [home, work, given] = made;
  const places: Places = { home, work, given, owner, remove: () => removeAll(runDirectory === null ? [root] : made) };
  places.remove();
  if (owner !== null) openWayTo(root, owner);
  for (const directory of [home, work]) makeOwnDirectory(places, directory);
  mkdirSync(given, { mode: 0o750 });
  letRead(places, given, 0o750);
  return places;
}

/** A new directory that the command's user owns, and nobody else may enter; parents between are made alike. */
export function makeOwnDirectory({ owner }: Places, directory: string): void {
  mkdirSync(directory, { mode: 0o700 });
  if (owner !== null) chownSync(directory, owner.uid, owner.gid);
}

/** Puts a file into `given`: the command's user may read it (with `mode` 0o550 also run it), and not change it. */
export function give(places: Places, name: string, content: string, mode: 0o440 | 0o550 = 0o440): string {
  const file = path.join(places.given, name);
  writeFileSync(file, content, { mode: 0o600, flag: 'wx' });
  letRead(places, file, mode);
  return file;
}

export function letRead({ owner }: Places, file: string, mode: number): void {
  if (owner !== null) chownSync(file, process.getuid?.() ?? 0, owner.gid);
  chmodSync(file, mode);
}

/** The command's user has to pass through the run directory; what is in it stays closed by its own mode. */
function openWayTo(root: string, owner: NonNullable<Host['run_as']>): void {
  mkdirSync(root, { recursive: true });
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

function removeAll(directories: readonly string[]): void {
  for (const directory of directories) {
    try {
      rmSync(directory, { recursive: true, force: true, maxRetries: 2 });
    } catch {
      // An immutable file, a mount: it is in nobody's way, the next run has directories of its own.
    }
  }
}
