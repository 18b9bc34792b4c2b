import type { Account } from '../../../domain/change.ts';
import type { RepoApi } from './api.ts';
import { permissionSchema } from './schemas.ts';

type Signal = AbortSignal | undefined;

/**
 * `permission` is the highest of all that teams, organisation and enterprise grant, and `admin` also under a role of
 * another name. False for accounts that are gone, and for another one under the same login.
 */
export async function isAdmin(api: RepoApi, { id, login }: Account, signal: Signal): Promise<boolean> {
  if (id === null) return false;
  const found = await permissionOf(api, login, signal);
  return found?.user?.id === id && found.permission === 'admin';
}

/** null: no such account. */
export function permissionOf(api: RepoApi, login: string, signal: Signal) {
  return api.get({ path: '/collaborators/{login}/permission', values: { login }, signal }, permissionSchema);
}
