import type { Account } from '../../../domain/change.ts';
import type { User } from './schemas.ts';

/** The account to which GitHub gives what those wrote whose accounts were deleted. */
const GHOST = 'ghost';

/** Only an account of the type User is a person's; apps show as `name[bot]`. */
export function accountOf(user: User): Account {
  if (user === null || user.login.toLowerCase() === GHOST) return { id: null, login: GHOST, isBot: false };
  const { id, login, type } = user;
  return { id, login, isBot: (type !== undefined && type !== 'User') || login.endsWith('[bot]') };
}
