import type { Difference } from './announcement.ts';
import type { Formula } from './formula.ts';
import type { Approver, Policy } from './policy.ts';

/** What an edit of a gated file would change, for the people who approve it. Pure. */

/** What a difference in who may approve is called; such a one is never cut. */
export const APPROVER = 'approver';

/** First, because who may approve decides all the rest. */
export function policyDifference(before: Policy | null, after: Policy): readonly Difference[] {
  return [
    ...between(APPROVER, approvers(before), approvers(after)),
    ...between('tier of', new Map(Object.entries(before?.tiers ?? {})), new Map(Object.entries(after.tiers))),
  ];
}

/** Fields as JSON; of a new formula what it says at all. */
export function formulaDifference(before: Formula | null, after: Formula): readonly Difference[] {
  return between('field', before === null ? new Map() : fields(before), fields(after));
}

function between(
  what: string,
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): readonly Difference[] {
  const names = [...new Set([...before.keys(), ...after.keys()])];
  return names.flatMap((name) => {
    const [was, is] = [before.get(name) ?? null, after.get(name) ?? null];
    return was === is ? [] : [{ what, name, before: was, after: is }];
  });
}

function approvers(policy: Policy | null): ReadonlyMap<string, string> {
  return new Map(policy?.approvers.map((approver) => [approver.name, identityOf(approver)]) ?? []);
}

/** Everything that the person would be known by. */
function identityOf({ forge, keys }: Approver): string {
  const account = forge === null ? [] : [`${forge.login} (id ${forge.id}) of ${forge.url}`];
  return [...account, ...keys.map(({ principal, key }) => `key ${key} of ${principal}`)].join(', ');
}

function fields(formula: Formula): ReadonlyMap<string, string> {
  const said = Object.entries(formula).filter(([, value]) => !EMPTY.includes(JSON.stringify(value)));
  return new Map(said.map(([name, value]) => [name, JSON.stringify(value)]));
}

const EMPTY: readonly string[] = ['null', '[]', '{}', 'false'];
