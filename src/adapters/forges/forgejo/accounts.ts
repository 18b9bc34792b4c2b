import type { Account } from '../../../domain/change.ts';
import type { User } from './schemas.ts';

const GHOST: Account = { id: null, login: 'Ghost', isBot: false };

/**
 * Accounts that were deleted have the id -1 (or none); the forge's own ones (its runners of workflows) have lower ones.
 * Nothing else in an answer says that an account is no person.
 */
export function accountOf(user: User): Account {
  if (user === null) return GHOST;
  const { id, login } = user;
  return { id: id === -1 || id === 0 ? null : id, login, isBot: id < -1 };
}
