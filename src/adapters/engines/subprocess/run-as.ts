import { readFileSync } from 'node:fs';
import process from 'node:process';
import type { Host } from '../../../domain/run-directory.ts';

/**
 * The other user for commands (`[engine.subprocess] run_as`). `none`: not asked for. `refused`: asked for and can't be
 * had; nothing is run then, since a run that was to be isolated must not be one that is not.
 */
export type RunAs =
  | { readonly kind: 'none' }
  | { readonly kind: 'user'; readonly ids: NonNullable<Host['run_as']> }
  | { readonly kind: 'refused'; readonly message: string; readonly fix: string };

/** `setting`: empty, a name of /etc/passwd, or `uid:gid`. */
export function resolveRunAs(setting: string, passwdFile = '/etc/passwd', ownUid = process.getuid?.()): RunAs {
  if (setting === '') return { kind: 'none' };
  const ids = parseIds(setting) ?? lookUp(setting, passwdFile);
  if (ids === null) return refused(`there is no user ${setting} in ${passwdFile}`, 'Add the user, or give uid:gid.');
  if (ids.uid === 0) return refused('run_as is root itself', 'Name a user without privileges.');
  if (ownUid !== 0) return refused('only root can run commands as another user', 'Start as root, or remove run_as.');
  return { kind: 'user', ids };
}

const refused = (message: string, fix: string): RunAs => ({ kind: 'refused', message, fix });

function parseIds(setting: string): NonNullable<Host['run_as']> | null {
  const [, uid, gid] = /^([0-9]{1,10}):([0-9]{1,10})$/.exec(setting) ?? [];
  return uid === undefined || gid === undefined ? null : { uid: Number(uid), gid: Number(gid) };
}

function lookUp(name: string, passwdFile: string): NonNullable<Host['run_as']> | null {
  const users = readUsers(passwdFile)
    .split('\n')
    .map((line) => line.split(':'));
  const [, , uid = '', gid = ''] = users.find(([user]) => user === name) ?? [];
  return parseIds(`${uid}:${gid}`);
}

function readUsers(passwdFile: string): string {
  try {
    return readFileSync(passwdFile, 'utf8');
  } catch {
    return '';
  }
}
