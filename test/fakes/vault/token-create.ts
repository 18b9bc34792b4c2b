import { Refusal } from './answers.ts';
import type { Call } from './request.ts';
import type { State } from './state.ts';
import { lesser, lifetimeOf } from './token-lifetime.ts';
import { NEW_ROLE, type TokenRole } from './token-role.ts';
import type { TokenRecord } from './tokens.ts';
import { matchesGlob, policyNames, quoted, record, seconds, text, texts } from './values.ts';

interface Asked {
  readonly call: Call;
  readonly role: TokenRole | null;
  readonly caller: TokenRecord;
  readonly isRoot: boolean;
  /** create-orphan, or no_parent. */
  readonly orphan: boolean;
}

/** Mints a token as asked, or throws Refusal. */
export function createToken(state: State, asked: Asked): { token: TokenRecord; warnings: string[] } {
  const { call, role, caller } = asked;
  checkCaller(asked);
  const policies = altered(state, role, policiesFor(asked));
  const life = lifetimeOf(call.body, role ?? NEW_ROLE);
  const orphan = role === null ? asked.orphan : role.orphan && !state.mint.notOrphan;
  const { pathSuffix, renewable, boundCidrs } = role ?? NEW_ROLE;
  const token = state.tokens.issue({
    label: role === null ? 'token' : `role:${role.name}`,
    policies,
    path: pathSuffix === '' ? call.path : `${call.path}/${pathSuffix}`,
    meta: metaOf(call.body['meta']),
    displayName: displayName(text(call.body['display_name'])),
    ttl: life.ttl,
    explicitMaxTtl: life.explicitMaxTtl,
    period: life.period,
    renewable: renewable && call.body['renewable'] !== false,
    orphan,
    parent: orphan ? null : caller.id,
    role: role?.name ?? null,
    type: typeFor(asked),
    boundCidrs,
    numUses: usesFor(asked),
  });
  const absent = policies.filter((name) => state.policies.get(name) === undefined);
  const missing = absent.map((name) => `Policy ${JSON.stringify(name)} does not exist`);
  return { token, warnings: [...life.warnings, ...missing, ...life.capped] };
}

function checkCaller({ call, caller, isRoot }: Asked): void {
  if (caller.usesLeft > 0) throw new Refusal(400, 'restricted use token cannot generate child tokens');
  if (caller.type === 'batch') throw new Refusal(400, 'batch tokens cannot create more tokens');
  if (seconds(call.body['period']) > 0 && !isRoot) {
    throw new Refusal(400, 'root or sudo privileges required to create periodic token');
  }
}

function policiesFor({ call, role, caller, isRoot }: Asked): readonly string[] {
  const wanted = texts(call.body['policies']);
  const noDefault = call.body['no_default_policy'] === true;
  if (role !== null && hasLists(role)) return policiesByRole(role, wanted, noDefault, caller);
  if (wanted.length === 0) return caller.policies;
  const names = policyNames(wanted);
  if (!isRoot && !names.every((name) => caller.policies.includes(name))) {
    throw new Refusal(400, 'child policies must be subset of parent');
  }
  const addDefault = !noDefault && role?.noDefaultPolicy !== true && (isRoot || caller.policies.includes('default'));
  return policyNames(wanted, addDefault && !names.includes('root'));
}

const hasLists = (role: TokenRole): boolean =>
  [role.allowedPolicies, role.allowedPoliciesGlob, role.disallowedPolicies, role.disallowedPoliciesGlob].some(
    (list) => list.length > 0,
  );

/** No policies asked for means all that the role names. */
function policiesByRole(
  role: TokenRole,
  wanted: readonly string[],
  noDefault: boolean,
  caller: TokenRecord,
): readonly string[] {
  const addDefault = !noDefault && !role.noDefaultPolicy && !role.disallowedPolicies.includes('default');
  const allowed = policyNames(role.allowedPolicies, addDefault);
  const globs = role.allowedPoliciesGlob;
  const limited = role.allowedPolicies.length > 0 || globs.length > 0;
  const fallback = limited ? allowed : policyNames(caller.policies, addDefault);
  const names = wanted.length > 0 ? policyNames(wanted, addDefault) : fallback;
  const isAllowed = (name: string): boolean => allowed.includes(name) || globs.some((glob) => matchesGlob(glob, name));
  if (wanted.length > 0 && limited && !names.every(isAllowed)) {
    const limits = `role's allowed policies (${quoted(allowed)}) or glob policies (${quoted(globs)})`;
    throw new Refusal(400, `token policies (${quoted(names)}) must be subset of the ${limits}`);
  }
  const disallowed = names.find(
    (name) =>
      role.disallowedPolicies.includes(name) || role.disallowedPoliciesGlob.some((glob) => matchesGlob(glob, name)),
  );
  if (disallowed !== undefined) {
    throw new Refusal(400, `token policy ${JSON.stringify(disallowed)} is disallowed by this role`);
  }
  return names;
}

/** What the mint knobs make of it. */
function altered({ mint }: State, role: TokenRole | null, policies: readonly string[]): readonly string[] {
  if (role === null) return policies;
  const drop = policyNames(mint.drop);
  return policyNames([...policies.filter((name) => !drop.includes(name)), ...mint.add]);
}

function typeFor({ call, role }: Asked): 'service' | 'batch' {
  const fixed = role?.tokenType ?? '';
  if (fixed === 'batch' || fixed === 'service') return fixed;
  const wanted = text(call.body['type']);
  return wanted === 'batch' || (wanted === '' && fixed === 'default-batch') ? 'batch' : 'service';
}

function usesFor({ call, role }: Asked): number {
  const wanted = call.body['num_uses'];
  return lesser(typeof wanted === 'number' ? wanted : 0, role?.numUses ?? 0);
}

function metaOf(value: unknown): Readonly<Record<string, string>> | null {
  const entries = Object.entries(record(value)).map(([key, inner]) => [key, String(inner)] as const);
  return entries.length === 0 ? null : Object.fromEntries(entries);
}

function displayName(wanted: string): string {
  return wanted === '' ? 'token' : `token-${wanted.replaceAll(/[^a-zA-Z0-9-]/g, '-').replace(/-$/, '')}`;
}
