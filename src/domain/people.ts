import type { Approver } from './policy.ts';

/** A name and address as git knows them: claimed, never proven. */
export interface ClaimedPerson {
  readonly name: string;
  readonly email: string;
}

/**
 * Whether this approver may be one of the people who made the change. In doubt it is: what somebody is called by name or
 * by address is compared with everything that the approver is known by (name, login, principals of keys), and somebody
 * with neither may be anybody.
 */
export function isAmong(people: readonly ClaimedPerson[], approver: Approver): boolean {
  const names = [approver.name, approver.forge?.login ?? '', ...approver.keys.map(({ principal }) => principal)];
  const known = new Set(names.flatMap(callingsOf));
  return people.some((person) => {
    const claimed = [...callingsOf(person.name), ...callingsOf(person.email)];
    return claimed.length === 0 || claimed.some((calling) => known.has(calling));
  });
}

/**
 * What a text may be called: itself and, of an address, the part before the @, both also without the tag after a plus
 * (`jane+ops@…`) and without the number before one (`12+jane@noreply…`).
 */
function callingsOf(text: string): string[] {
  const plain = plainly(text);
  const at = plain.lastIndexOf('@');
  const [local, domain] = at === -1 ? [plain, ''] : [plain.slice(0, at), plain.slice(at)];
  const [before = '', after = ''] = local.split('+');
  const untagged = /^\d*$/.test(before) ? after : before;
  const callings = [plain, local, untagged, `${untagged}${domain}`];
  return [...new Set(callings)].filter((calling) => calling !== '' && !calling.startsWith('@'));
}

/** A name or address as it is compared: written in another way it is still the same. */
export function plainly(text: string): string {
  return text.normalize('NFKC').trim().replaceAll(/\s+/gu, ' ').toLowerCase();
}
