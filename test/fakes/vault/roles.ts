import { done, found, missing, Refusal } from './answers.ts';
import type { Call } from './request.ts';
import type { Route } from './routes.ts';
import type { State } from './state.ts';
import { NEW_ROLE, type TokenRole } from './token-role.ts';
import { policyNames, seconds, text, texts } from './values.ts';

const TYPES = ['service', 'batch', 'default-service', 'default-batch', 'default'];

export const roleRoutes: readonly Route[] = [
  {
    path: /^auth\/token\/roles\/?$/,
    list: (_, __, { roles }) => (roles.size === 0 ? missing : found({ data: { keys: [...roles.keys()].toSorted() } })),
  },
  {
    path: /^auth\/token\/roles\/([^/]+)$/,
    exists: ([name = ''], { roles }) => roles.has(name),
    read: (_, [name = ''], { roles }) => {
      const role = roles.get(name);
      return role === undefined ? missing : found({ data: shown(role) });
    },
    update: ({ body }, [name = ''], state) => {
      putRole(state, name, body);
      return done;
    },
    delete: (_, [name = ''], { roles }) => {
      roles.delete(name);
      return done;
    },
  },
];

/** Makes the role, or changes the fields that are given. Throws Refusal. */
export function putRole({ roles }: State, name: string, body: Call['body']): void {
  const old = roles.get(name) ?? { ...NEW_ROLE, name };
  const take = <T>(key: string, read: (value: unknown) => T, before: T): T => (key in body ? read(body[key]) : before);
  const policies = (value: unknown): string[] => policyNames(texts(value));
  const role: TokenRole = {
    name,
    allowedPolicies: take('allowed_policies', policies, old.allowedPolicies),
    allowedPoliciesGlob: take('allowed_policies_glob', policies, old.allowedPoliciesGlob),
    disallowedPolicies: take('disallowed_policies', policies, old.disallowedPolicies),
    disallowedPoliciesGlob: take('disallowed_policies_glob', policies, old.disallowedPoliciesGlob),
    orphan: take('orphan', Boolean, old.orphan),
    renewable: take('renewable', Boolean, old.renewable),
    noDefaultPolicy: take('token_no_default_policy', Boolean, old.noDefaultPolicy),
    tokenType: take('token_type', text, old.tokenType),
    explicitMaxTtl: take('token_explicit_max_ttl', seconds, old.explicitMaxTtl),
    period: take('token_period', seconds, old.period),
    numUses: take('token_num_uses', Number, old.numUses),
    pathSuffix: take('path_suffix', text, old.pathSuffix),
    boundCidrs: take('token_bound_cidrs', texts, old.boundCidrs),
  };
  if (!TYPES.includes(role.tokenType)) {
    throw new Refusal(400, `invalid 'token_type' value ${JSON.stringify(role.tokenType)}`);
  }
  if (role.tokenType === 'batch' && role.renewable) {
    throw new Refusal(400, "'token_type' cannot be 'batch' when role is set to generate renewable tokens");
  }
  roles.set(name, role);
}

function shown(role: TokenRole): Readonly<Record<string, unknown>> {
  return {
    allowed_entity_aliases: null,
    allowed_policies: role.allowedPolicies,
    allowed_policies_glob: role.allowedPoliciesGlob,
    disallowed_policies: role.disallowedPolicies,
    disallowed_policies_glob: role.disallowedPoliciesGlob,
    explicit_max_ttl: 0,
    name: role.name,
    orphan: role.orphan,
    path_suffix: role.pathSuffix,
    period: 0,
    renewable: role.renewable,
    ...(role.boundCidrs.length > 0 ? { token_bound_cidrs: role.boundCidrs } : {}),
    token_explicit_max_ttl: role.explicitMaxTtl,
    token_no_default_policy: role.noDefaultPolicy,
    ...(role.numUses > 0 ? { token_num_uses: role.numUses } : {}),
    token_period: role.period,
    token_type: role.tokenType,
  };
}
