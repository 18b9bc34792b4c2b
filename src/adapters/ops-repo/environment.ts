import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { isGitPath } from '../../domain/config-urls.ts';
import { writeDurably } from '../durable-file.ts';

/**
 * The closed environment that every git process runs in: no system or user configuration, no hooks, no prompts, one
 * allowed protocol, and credentials only by a helper that prints a file. Nothing of our own environment is inherited.
 */

export interface Remote {
  /** https, ssh (also `user@host:path`) or a path. Without credentials: the configuration refuses these. */
  readonly url: string;
  /** For https. */
  readonly username: string;
  /** For https; read anew at every request. null: no credentials. */
  readonly tokenFile: string | null;
  /** For ssh. null: ssh has nothing to show. */
  readonly sshKeyFile: string | null;
  /** The only place that host keys are looked up in. null: no host is known. */
  readonly knownHostsFile: string | null;
}

export type Environment = Readonly<Record<string, string>>;

export interface EnvironmentFolders {
  /** The bare clone. */
  readonly repo: string;
  /** Folder for the empty HOME and the askpass script; made when it is not there. */
  readonly tools: string;
}

export const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** For everything that does not talk to a server. */
export function localEnvironment(folders: EnvironmentFolders, searchPath: string): Environment {
  return {
    PATH: searchPath,
    HOME: path.join(folders.tools, 'home'),
    LC_ALL: 'C',
    TZ: 'UTC',
    GIT_DIR: folders.repo,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_SYSTEM: '/dev/null',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_GRAFT_FILE: path.join(folders.tools, 'no-grafts'),
    GIT_LITERAL_PATHSPECS: '1',
    GIT_OPTIONAL_LOCKS: '0',
    ...configuration(),
  };
}

/** The same with what talking to the remote needs. */
export function networkEnvironment(local: Environment, folders: EnvironmentFolders, remote: Remote): Environment {
  const protocol = protocolOf(remote.url);
  return {
    ...local,
    // The server's side of a path is a git of ours too, and may be on the disk of another user.
    ...(protocol === 'file' ? { GIT_CONFIG_GLOBAL: path.join(folders.tools, 'config') } : {}),
    GIT_ALLOW_PROTOCOL: protocol,
    GIT_PROTOCOL_FROM_USER: '0',
    GIT_ASKPASS: path.join(folders.tools, 'askpass'),
    GIT_SSH_COMMAND: sshCommand(remote),
    GIT_SSH_VARIANT: 'ssh',
  };
}

/** By the environment, not by `-c`: it reaches sub-processes of git, and a lost file can't open what it had closed. */
function configuration(): Environment {
  const settings: readonly (readonly [string, string])[] = [
    ['core.hooksPath', '/dev/null'],
    ['core.fsmonitor', 'false'],
    ['core.askPass', ''],
    ['core.pager', 'cat'],
    ['core.logAllRefUpdates', 'false'],
    ['credential.helper', ''],
    ['http.emptyAuth', 'false'],
    ['safe.directory', '*'],
    ['gc.auto', '0'],
    ['maintenance.auto', 'false'],
    ['fetch.recurseSubmodules', 'false'],
    ['push.recurseSubmodules', 'no'],
    ['push.gpgSign', 'false'],
    ['commit.gpgSign', 'false'],
    ['log.showRoot', 'true'],
    ['log.showSignature', 'false'],
    ['diff.noprefix', 'false'],
    ['protocol.version', '2'],
    ['advice.detachedHead', 'false'],
  ];
  const pairs = settings.flatMap(([key, value], index) => [
    [`GIT_CONFIG_KEY_${index}`, key] as const,
    [`GIT_CONFIG_VALUE_${index}`, value] as const,
  ]);
  return { GIT_CONFIG_COUNT: String(settings.length), ...Object.fromEntries(pairs) };
}

/** The one protocol that this remote needs; a redirect or an `ext::` address can't get at another. */
function protocolOf(url: string): string {
  if (isGitPath(url) && !url.includes('::')) return 'file';
  if (httpOrigin(url) !== null) return /^https:/i.test(url) ? 'https' : 'http';
  const scheme = /^([a-z]+):\/\//i.exec(url)?.[1]?.toLowerCase() ?? (url.includes('::') ? 'none' : 'ssh');
  return ['ssh', 'file'].includes(scheme) ? scheme : 'none';
}

/** `https://host:port` as git names it in its prompts; null where no token may be sent: ssh, paths, open http. */
export function httpOrigin(url: string): string | null {
  const [, scheme = '', host = ''] = /^(https?):\/\/([^/]+)/i.exec(url) ?? [];
  const isLoopback = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i.test(host);
  if (scheme === '' || (scheme.toLowerCase() === 'http' && !isLoopback)) return null;
  return `${scheme.toLowerCase()}://${host}`;
}

function sshCommand(remote: Remote): string {
  const options = [
    'BatchMode=yes',
    'StrictHostKeyChecking=yes',
    `UserKnownHostsFile=${sshPath(remote.knownHostsFile)}`,
    'GlobalKnownHostsFile=/dev/null',
    'UpdateHostKeys=no',
    'IdentitiesOnly=yes',
    'IdentityAgent=none',
    `IdentityFile=${remote.sshKeyFile === null ? 'none' : sshPath(remote.sshKeyFile)}`,
    'PasswordAuthentication=no',
    'KbdInteractiveAuthentication=no',
    'ForwardAgent=no',
    'ClearAllForwardings=yes',
    'PermitLocalCommand=no',
    'ControlMaster=no',
    'ControlPath=none',
    'ConnectTimeout=20',
    'ServerAliveInterval=15',
    'ServerAliveCountMax=3',
  ];
  return ['ssh', '-F', '/dev/null', ...options.flatMap((option) => ['-o', shellQuote(option)])].join(' ');
}

/** ssh reads quotes and percent signs in file names itself. */
function sshPath(file: string | null): string {
  if (file === null) return '/dev/null';
  return `"${path.resolve(file).replaceAll('%', '%%').replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Makes the empty HOME and the askpass script, again if somebody deleted the cache. Safe to repeat. */
export async function prepareTools(tools: string, remote: Remote): Promise<void> {
  const askpass = path.join(tools, 'askpass');
  const script = askpassScript(remote);
  // Another address, user or token file than last time: what the script says would be of the one before.
  if ((await readFile(askpass, 'utf8').catch(() => null)) === script) return;
  await mkdir(path.join(tools, 'home'), { recursive: true, mode: 0o700 });
  await writeDurably(path.join(tools, 'config'), '[safe]\n\tdirectory = *\n');
  await writeDurably(askpass, script, 0o700);
}

/**
 * Answers git's prompts `Username for 'https://host': ` and `Password for 'https://user@host': `, and only for the host
 * that the token is meant for: after a redirect to elsewhere there is nothing to hand over.
 */
export function askpassScript(remote: Remote): string {
  const origin = httpOrigin(remote.url);
  if (origin === null || remote.tokenFile === null) return '#!/bin/sh\nexit 1\n';
  const [scheme = '', host = ''] = origin.split('://');
  const user = encodeURIComponent(remote.username);
  return [
    '#!/bin/sh',
    'case "$1" in',
    `${shellQuote(`Username for '${scheme}://${host}': `)}) printf '%s\\n' ${shellQuote(remote.username)} ;;`,
    `${shellQuote(`Password for '${scheme}://${remote.username}@${host}': `)} | \\`,
    `${shellQuote(`Password for '${scheme}://${user}@${host}': `)}) exec cat ${shellQuote(path.resolve(remote.tokenFile))} ;;`,
    '*) exit 1 ;;',
    'esac',
    '',
  ].join('\n');
}

/** The address as it may be shown: whatever credentials somebody has put into it are cut off. */
export function shownUrl(url: string): string {
  return url.replace(/^([a-z+]+:\/\/)[^/]*@/i, '$1').replace(/[?#].*$/, '');
}
