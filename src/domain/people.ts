import type { Approver } from './policy.ts';

/** A name and address as git knows them: claimed, never proven. */
export interface ClaimedPerson {
  readonly name: string;
  readonly email: string;
}

/**
 * Whether this approver may be one of the people who made the change. Their address is compared with the principals of
 * the approver's keys, their name with the approver's; in doubt it is the author, so that nobody approves for himself.
 */
export function isAmong(people: readonly ClaimedPerson[], approver: Approver): boolean {
  const addresses = new Set(approver.keys.map(({ principal }) => principal.toLowerCase()));
  const names = new Set([approver.name, approver.forge?.login].flatMap((name) => name?.trim().toLowerCase() ?? []));
  return people.some(
    ({ name, email }) =>
      addresses.has(email.trim().toLowerCase()) ||
      names.has(name.trim().toLowerCase()) ||
      names.has(email.trim().toLowerCase()),
  );
}
