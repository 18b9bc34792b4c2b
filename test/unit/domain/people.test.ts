import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isAmong } from '../../../src/domain/people.ts';
import type { Approver } from '../../../src/domain/policy.ts';

const jane: Approver = {
  name: 'Jane Doe',
  forge: { url: 'https://forge.example', id: 12, login: 'jdoe' },
  keys: [
    { principal: 'jane@example.org', key: 'ssh-ed25519 AAAA' },
    { principal: 'Jane-Laptop', key: 'ssh-ed25519 BBBB' },
  ],
};

const among = (name: string, email: string): boolean => isAmong([{ name, email }], jane);

describe('isAmong', () => {
  it.each([
    ['the address of a key', 'Somebody Else', 'jane@example.org'],
    ['the address in other case', 'Somebody Else', 'JANE@Example.ORG'],
    ['the address with a tag', 'Somebody Else', 'jane+ops@example.org'],
    ['the principal of a second key, which is no address', 'jane-laptop', 'x@example.com'],
    ['the name', 'Jane Doe', 'x@example.com'],
    ['the name in other case and spacing', '  jane \t DOE ', 'x@example.com'],
    ['the name in compatibility characters', 'Ｊａｎｅ Doe', 'x@example.com'],
    ['the login as name', 'JDoe', 'x@example.com'],
    ['the login as address', 'X', 'jdoe@users.noreply.forge.example'],
    ['the login in a hidden address with its number', 'X', '12+jdoe@users.noreply.forge.example'],
    ['the same mailbox elsewhere, which is in doubt', 'X', 'jane@elsewhere.example'],
    ['the address as name', 'jane@example.org', ''],
    ['nothing at all, which is in doubt', '', ' '],
  ])('takes an approver for the author who has %s (R23)', (_, name, email) => {
    expect(among(name, email)).toBe(true);
  });

  it.each([
    ['Somebody Else', 'else@example.org'],
    ['Jane Doel', 'janet@example.org'],
    ['Doe', '12@example.org'],
    ['example.org', 'x@example.org'],
  ])('does not take %s <%s> for another person', (name, email) => {
    expect(among(name, email)).toBe(false);
  });

  it('looks at everybody who made the change (R23)', () => {
    const people = [
      { name: 'Somebody', email: 'somebody@example.org' },
      { name: 'Co Author', email: 'jane@example.org' },
    ];
    expect(isAmong(people, jane)).toBe(true);
    expect(isAmong(people.slice(0, 1), jane)).toBe(false);
    expect(isAmong([], jane)).toBe(false);
  });

  it('finds nobody by what an entry has not got', () => {
    expect(isAmong([{ name: 'X', email: 'x@example.org' }], { name: 'Jane', forge: null, keys: [] })).toBe(false);
  });

  it('finds every approver by any of their addresses, whatever stands beside it (R23)', () => {
    const address = fc.emailAddress();
    fc.assert(
      fc.property(address, fc.string(), (principal, name) => {
        const approver = { name: 'Q', forge: null, keys: [{ principal, key: 'k' }] };
        return isAmong([{ name, email: principal.toUpperCase() }], approver);
      }),
    );
  });
});
