import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  rmdirSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { type Host, RUN_FILES } from '../domain/run-directory.ts';
import { STANDARD_PATH } from './environment.ts';
import { errorCode, RunnerError } from './runner-error.ts';

/** The directories of one run. Nothing of an earlier run is in them. */
export interface Places {
  readonly root: string;
  /** Whether `root` is ours alone, to be made and taken away, and no run directory. */
  readonly isOwnRoot: boolean;
  readonly home: string;
  readonly work: string;
  /** What the command may read and not change: inputs, script, prompt. */
  readonly given: string;
  /** Collected artifacts; null: nobody would take them from there. */
  readonly artifacts: string | null;
  /** Where a sidecar may keep what is large, on a disk of the operator's choice; null: the job has none. */
  readonly agentData: string | null;
  /** The other user that the command runs as; null: the runner's own. */
  readonly owner: Host['run_as'];
}

/**
 * Where they are to be: in the run directory `directory` or, without one, in a new one of the system's. `artifacts`: a
 * directory of its own for these. `agentData`: what the runs of sidecars share, each with a directory of its own in it.
 * Makes nothing.
 */
export function choosePlaces({ directory, artifacts, runAs, agentData }: Choice): Places {
  const root = directory ?? path.join(tmpdir(), `edge-run-${randomBytes(8).toString('hex')}`);
  return {
    root,
    isOwnRoot: directory === null,
    home: path.join(root, RUN_FILES.home),
    work: path.join(root, RUN_FILES.work),
    given: path.join(root, RUN_FILES.given),
    // A name that nobody can guess: the runs beside it are of the same user.
    agentData: agentData === null ? null : path.join(agentData, `run-${randomBytes(16).toString('hex')}`),
    artifacts: artifacts ?? (directory === null ? null : path.join(root, RUN_FILES.artifacts)),
    owner: runAs,
  };
}

interface Choice {
  readonly directory: string | null;
  readonly artifacts: string | null;
  readonly runAs: Host['run_as'];
  readonly agentData: string | null;
}

/** Where to find what the command leaves, and to put what is kept of it: paths of open directories, good in this process. */
export interface Held {
  readonly work: string;
  /** null: nothing is kept. */
  readonly artifacts: string | null;
}

/**
 * Makes them, empty. Throws RunnerError (ERR_RUNNER) when the command's user could not get there, or the directory for
 * artifacts is there already.
 */
export function makePlaces(places: Places): Held {
  const { root, isOwnRoot, home, work, given, artifacts, agentData, owner } = places;
  if (isOwnRoot) mkdirSync(root, { mode: 0o700 });
  const target = isOwnRoot && artifacts !== null ? makeArtifacts(artifacts) : artifacts;
  for (const directory of [home, work, given]) rmSync(directory, { recursive: true, force: true });
  if (!isOwnRoot && artifacts !== null) rmSync(artifacts, { recursive: true, force: true });
  if (owner !== null) openWayTo(root, owner);
  if (agentData !== null) makeAgentData(places, agentData);
  for (const directory of [home, work]) makeOwnDirectory(places, directory);
  makeGivenDirectory(places, given);
  return { work: hold(work), artifacts: target };
}

/**
 * Where the command has another user, it can pass through the directory above and neither list nor change it: else it
 * could find the runs beside it, or put something else in our way. Where it has ours, nothing keeps it from that.
 */
function makeAgentData(places: Places, directory: string): void {
  const above = path.dirname(directory);
  try {
    if (places.owner !== null) closeToOthers(above, places.owner);
    makeOwnDirectory(places, directory);
  } catch (error) {
    if (error instanceof RunnerError) throw error;
    const why = errorCode(error) ?? 'error';
    throw new RunnerError('ERR_RUNNER', `a directory beneath ${above} can't be made (${why}); nothing was started`);
  }
}

function closeToOthers(directory: string, owner: NonNullable<Host['run_as']>): void {
  try {
    chmodSync(directory, PASS_ONLY);
  } catch {
    // Not ours: it may be right as it is.
  }
  const status = statSync(directory);
  // An owner may give itself any mode.
  if (status.uid === owner.uid || (status.mode & bitsFor(status, owner, 0o6)) !== 0) {
    const message = `the user of the command may list or change ${directory}; let it belong to root, with mode 0711`;
    throw new RunnerError('ERR_RUNNER', `${message}; nothing was started`);
  }
  checkWayTo(directory, owner);
}

function makeArtifacts(directory: string): string {
  try {
    mkdirSync(directory, { mode: 0o700 });
    return hold(directory);
  } catch (error) {
    const why = errorCode(error) ?? 'error';
    throw new RunnerError('ERR_RUNNER', `${directory} for the artifacts can't be made (${why}); nothing was started`);
  }
}

/**
 * Open until we end, and named by that. The directory above may be one that the command can write (in Nomad all are), so
 * it could put something else in its place, which we would read or write with more rights than the command has.
 */
function hold(directory: string): string {
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  return `/proc/self/fd/${fd}`;
}

/** Takes away all but the artifacts; what can't be removed is left. Safe to repeat. */
export function removePlaces({ root, isOwnRoot, home, work, given, agentData, owner }: Places): void {
  const written = [agentData, home, work].flatMap((directory) =>
    directory !== null && existsSync(directory) ? [directory] : [],
  );
  // What is easily removed is so without a process; with another user's rights there is no other way.
  if (owner !== null || !written.every(isRemoved)) emptyAs(owner, written);
  for (const directory of written) quietly(() => rmdirSync(directory));
  // The command could read this one and not change it.
  quietly(() => rmSync(given, { recursive: true, force: true }));
  if (isOwnRoot) quietly(() => rmdirSync(root));
}

function isRemoved(directory: string): boolean {
  quietly(() => rmSync(directory, { recursive: true, force: true }));
  return !existsSync(directory);
}

/**
 * With the command's own rights, never with more: something of it may still be there, and put a link in the place of a
 * directory that is just being gone through. By `rm`, because what lies deeper than a path may be long is out of Node's
 * reach. The command may have taken rights away (module caches are read-only directories).
 */
function emptyAs(owner: Host['run_as'], directories: readonly string[]): void {
  if (directories.length === 0) return;
  const empty = 'chmod -R u+rwX -- "$@" 2> /dev/null; rm -rf -- "$@"';
  const options = {
    env: { PATH: STANDARD_PATH },
    stdio: 'ignore',
    timeout: EMPTYING_MS,
    killSignal: 'SIGKILL',
  } as const;
  spawnSync('/bin/sh', ['-c', empty, 'sh', ...directories], { ...options, ...owner });
}

const EMPTYING_MS = 60_000;

/** An immutable file, a mount: it is in nobody's way, the next run has directories of its own. */
function quietly(remove: () => void): void {
  try {
    remove();
  } catch {
    // As said.
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
export function give(places: Places, name: string, content: string | Uint8Array, mode: 0o440 | 0o550 = 0o440): string {
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
  chmodSync(root, PASS_ONLY);
  checkWayTo(root, owner);
}

const PASS_ONLY = 0o711;

function checkWayTo(end: string, owner: NonNullable<Host['run_as']>): void {
  for (let directory = end; ; directory = path.dirname(directory)) {
    const status = statSync(directory);
    if ((status.mode & bitsFor(status, owner, 0o1)) === 0) {
      throw new RunnerError('ERR_RUNNER', `the user of the command can't pass ${directory}; it needs mode o+x`);
    }
    if (directory === path.dirname(directory)) return;
  }
}

/** Those bits of a mode that say of this user what `bits` (of one octal digit) say of somebody. */
function bitsFor({ uid, gid }: Stats, owner: NonNullable<Host['run_as']>, bits: number): number {
  return uid === owner.uid ? bits << 6 : gid === owner.gid ? bits << 3 : bits;
}
