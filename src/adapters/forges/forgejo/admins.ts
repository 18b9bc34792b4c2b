import type { Account } from '../../../domain/change.ts';
import { StalledError } from '../../../errors.ts';
import type { RepoApi } from './api.ts';
import { permissionSchema } from './schemas.ts';

type Signal = AbortSignal | undefined;

/** Administrators by a team, owners of the organisation and administrators of the site read `owner`. */
const ADMINS: readonly string[] = ['admin', 'owner'];

/** `null` for `api`: no token may ask. False for accounts that are gone, and for another one under the same login. */
export async function isAdmin(api: RepoApi | null, account: Account, signal: Signal): Promise<boolean> {
  if (api === null) {
    throw new StalledError('ERR_FORGE_DENIED', 'nobody may be asked who administers the repository', {
      hint: 'Set admin_token_file of [forge] to a token of an administrator with the scope read:repository.',
    });
  }
  if (account.id === null) return false;
  const found = await permissionOf(api, account.login, signal);
  return found !== null && found.user.id === account.id && ADMINS.includes(found.permission);
}

/** null: no such account. */
export function permissionOf(api: RepoApi, login: string, signal: Signal) {
  const path = '/collaborators/{login}/permission';
  return api.get({ path, values: { login }, signal }, permissionSchema);
}
