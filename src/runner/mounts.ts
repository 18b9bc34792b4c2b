import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import path from 'node:path';
import type { Host } from '../domain/run-directory.ts';
import { give, makeGivenDirectory, makeOwnDirectory, type Places } from './places.ts';
import { RunnerError } from './runner-error.ts';

/** What a command's environment needs for its mounts. */
export interface MountedEnvironment {
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
  const placed = names.map((name) => {
    const directory = directoryOf(name, directories);
    return PLACERS.get(name)?.(directory, places) ?? NOTHING;
  });
  return {
    path: placed.flatMap((each) => each.path),
    variables: Object.fromEntries(placed.flatMap((each) => Object.entries(each.variables))),
  };
}

const NOTHING: MountedEnvironment = { path: [], variables: {} };

const PLACERS: ReadonlyMap<string, (directory: string, places: Places) => MountedEnvironment> = new Map([
  ['ssh', placeSsh],
  ['gpg', placeGpg],
  ['sops', placeSops],
]);

function directoryOf(name: string, directories: Host['mounts'] | null): string {
  const own = directories !== null && Object.hasOwn(directories, name) ? directories[name] : undefined;
  const directory = directories === null ? `/mounts/${name}` : own;
  if (directory !== undefined && statSync(directory, { throwIfNoEntry: false })?.isDirectory() === true) {
    return directory;
  }
  const where = directory === undefined ? '' : ` (${directory})`;
  throw new RunnerError('ERR_RUNNER', `the mount ${name} is not on this machine${where}; nothing was started`);
}

const SSH_PROGRAMS = ['ssh', 'scp', 'sftp'];
const SSH_KEYS = ['id_ed25519', 'id_ed25519_sk', 'id_ecdsa', 'id_ecdsa_sk', 'id_rsa'];

/**
 * OpenSSH looks for ~/.ssh in the home of the password file, whatever HOME says. So besides the link there is a
 * configuration that names the mount, and programs before PATH (and GIT_SSH_COMMAND, for who resets it) that use it.
 */
function placeSsh(directory: string, places: Places): MountedEnvironment {
  const mounted = path.join(places.home, '.ssh');
  symlinkSync(directory, mounted);
  const config = give(places, 'ssh_config', sshConfig(mounted));
  const programs = path.join(places.given, 'bin');
  makeGivenDirectory(places, programs);
  for (const name of SSH_PROGRAMS) {
    give(places, path.join('bin', name), `#!/bin/sh\nexec /usr/bin/${name} -F '${config}' "$@"\n`, 0o550);
  }
  return { path: [programs], variables: { GIT_SSH_COMMAND: `ssh -F '${config}'` } };
}

/** The mount's own configuration first (the first value wins), `~` meant as the run's. */
function sshConfig(mounted: string): string {
  const own = path.join(mounted, 'config');
  const text = existsSync(own) ? readFileSync(own, 'utf8').replaceAll(/(?:~|%d)\/\.ssh\//g, `${mounted}/`) : '';
  const keys = SSH_KEYS.map((name) => path.join(mounted, name)).filter((file) => existsSync(file));
  const defaults = [
    'Host *',
    `  UserKnownHostsFile "${path.join(mounted, 'known_hosts')}"`,
    ...keys.map((file) => `  IdentityFile "${file}"`),
  ];
  return `${text}\n${defaults.join('\n')}\n`;
}

/** GnuPG writes locks, sockets and its trust database beside the keys: it gets a copy. */
function placeGpg(directory: string, places: Places): MountedEnvironment {
  copyPrivately(directory, path.join(places.home, '.gnupg'), places);
  return NOTHING;
}

function copyPrivately(from: string, to: string, places: Places): void {
  makeOwnDirectory(places, to);
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [path.join(from, entry.name), path.join(to, entry.name)];
    if (entry.isDirectory()) copyPrivately(source, target, places);
    if (!entry.isFile()) continue;
    copyFileSync(source, target);
    chmodSync(target, 0o600);
    if (places.owner !== null) chownSync(target, places.owner.uid, places.owner.gid);
  }
}

function placeSops(directory: string, places: Places): MountedEnvironment {
  const config = path.join(places.home, '.config');
  const sops = path.join(config, 'sops');
  for (const each of [config, sops]) makeOwnDirectory(places, each);
  symlinkSync(directory, path.join(sops, 'age'));
  return { path: [], variables: { SOPS_AGE_KEY_FILE: path.join(sops, 'age', 'keys.txt') } };
}
