import { chownSync, copyFileSync, existsSync, lstatSync, readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { chmodSync } from 'node:fs';
import path from 'node:path';
import type { Host } from '../domain/run-directory.ts';
import { give, makeOwnDirectory, type Places } from './places.ts';
import { RunnerError } from './runner-error.ts';

/** What a command's environment needs for its mounts. */
interface MountedEnvironment {
  /** Directories to be searched before the standard PATH. */
  readonly path: readonly string[];
  readonly variables: Readonly<Record<string, string>>;
}

/**
 * Puts each mount at the expected place of the run's HOME. `directories` says where they are on this machine; null: at
 * /mounts/<name>. A mount without a place in HOME is only checked to be there. Throws RunnerError (ERR_RUNNER).
 */
export function placeMounts(
  names: readonly string[],
  directories: Host['mounts'] | null,
  places: Places,
): MountedEnvironment {
  const placed = names.map((name) => PLACERS.get(name)?.(directoryOf(name, directories), places) ?? NOTHING);
  return {
    path: placed.flatMap((each) => each.path),
    variables: Object.assign({}, ...placed.map((each) => each.variables)) as Record<string, string>,
  };
}

const NOTHING: MountedEnvironment = { path: [], variables: {} };

const PLACERS: ReadonlyMap<string, (directory: string, places: Places) => MountedEnvironment> = new Map([
  ['ssh', placeSsh],
  ['gpg', placeGpg],
  ['sops', placeSops],
]);
