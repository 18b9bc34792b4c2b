import { rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Check } from '../../../domain/check.ts';
import { toError } from '../../../errors.ts';
import { isErrno, mkdirDurably, writeDurably } from '../../durable-file.ts';
import { deniedSecrets } from './secret-files.ts';

const OTHERS = 0o077;

/** Everything that `file` access needs of this machine; never throws for a bad answer. */
export async function checkDirectories(secrets: string, tickets: string): Promise<readonly Check[]> {
  return [await checkSecrets(secrets), await checkTickets(tickets)];
}

async function checkSecrets(directory: string): Promise<Check> {
  const name = 'access.file.secrets';
  try {
    const found = await stat(directory);
    if (!found.isDirectory()) return bad(name, `${directory} is no directory`, `Make a directory of it.`);
    if ((found.mode & OTHERS) !== 0) {
      return bad(name, `${directory} is open to other users`, `chmod 700 ${directory}`);
    }
    const denied = await deniedSecrets(directory);
    if (denied.length === 0) return good(name, `${directory} can be read`);
    const files = denied.map((secret) => path.join(directory, secret));
    return bad(name, `open to other users, or not readable: ${denied.join(', ')}`, `chmod 600 ${files.join(' ')}`);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return good(name, `no secrets: ${directory} is not there`);
    return bad(name, `${directory} can not be read: ${toError(error).message}`, 'Give it to the user we run as.');
  }
}

async function checkTickets(directory: string): Promise<Check> {
  const name = 'access.file.tickets';
  const probe = path.join(directory, '.probe');
  try {
    await mkdirDurably(directory);
    await writeDurably(probe, '');
    await rm(probe, { force: true });
    return good(name, `${directory} takes files`);
  } catch (error) {
    return bad(name, `${directory} takes no files: ${toError(error).message}`, 'Make it writable, or free some space.');
  }
}

const good = (name: string, message: string): Check => ({ name, ok: true, code: null, message, fix: null });
const bad = (name: string, message: string, fix: string): Check => ({
  name,
  ok: false,
  code: 'ERR_ACCESS_DENIED',
  message,
  fix,
});
