import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { BASE_POLICY, secretPolicy } from '../../../domain/grant-policies.ts';

const texts = z
  .array(z.string())
  .nullish()
  .transform((list) => list ?? []);

/** A token role as the server tells it; what is missing there has its default here. */
export const roleSchema = z.object({
  allowed_policies: texts,
  allowed_policies_glob: texts,
  allowed_entity_aliases: texts,
  orphan: z.boolean().default(false),
  renewable: z.boolean().default(true),
  token_no_default_policy: z.boolean().default(false),
  token_explicit_max_ttl: z.number().default(0),
  token_period: z.number().default(0),
  token_num_uses: z.number().default(0),
  token_type: z.string().default('default-service'),
  path_suffix: z.string().default(''),
  token_bound_cidrs: texts,
  disallowed_policies: texts,
  disallowed_policies_glob: texts,
});
export type Role = z.infer<typeof roleSchema>;

/** What a role may give beyond what a run is to have, in words; empty: nothing. */
export function excessOf(role: Role): readonly string[] {
  return EXCESS.filter(([, holds]) => holds(role)).map(([words]) => words);
}

/** What keeps a role from giving what a run needs, in words; empty: nothing. `seconds`: how long its token has to live. */
export function lackOf(role: Role, seconds: number, cidrs: readonly string[]): readonly string[] {
  const { allowed_policies: named, allowed_policies_glob: globs, token_explicit_max_ttl: most } = role;
  const allowed = [...named, ...globs];
  const lacks: [string, boolean][] = [
    [`it does not allow ${SECRETS}`, !globs.includes(SECRETS)],
    [`it does not allow ${BASE_POLICY}`, !allowed.includes(BASE_POLICY)],
    [`its tokens end after ${most} s, before the ${seconds} s that a run may need`, most > 0 && most < seconds],
    ['it forbids policies', role.disallowed_policies.length + role.disallowed_policies_glob.length > 0],
    ['its tokens are bound to other addresses than bound_cidrs', !isDeepStrictEqual(role.token_bound_cidrs, cidrs)],
    ['its tokens can be used a few times only', role.token_num_uses !== 0],
  ];
  return lacks.filter(([, holds]) => holds).map(([words]) => words);
}

const SECRETS = secretPolicy('*');
const isOurs = (policy: string): boolean => policy === BASE_POLICY || policy.startsWith(secretPolicy(''));

const EXCESS: readonly (readonly [string, (role: Role) => boolean])[] = [
  [
    `it allows other policies than ${SECRETS} and ${BASE_POLICY}`,
    (role) => ![...role.allowed_policies, ...role.allowed_policies_glob].every(isOurs),
  ],
  [
    'it names no policies: a token may then have those of whoever asks for it',
    (role) => role.allowed_policies.length + role.allowed_policies_glob.length === 0,
  ],
  ['its tokens are no orphans', ({ orphan }) => !orphan],
  ['its tokens have the policy default', ({ token_no_default_policy }) => !token_no_default_policy],
  ['its tokens can be renewed', ({ renewable, token_period }) => renewable || token_period > 0],
  ['its tokens have no explicit maximum of life', ({ token_explicit_max_ttl }) => token_explicit_max_ttl === 0],
  ['its tokens are no service tokens', ({ token_type }) => !['service', 'default-service'].includes(token_type)],
  ['it allows entity aliases', ({ allowed_entity_aliases }) => allowed_entity_aliases.length > 0],
  ['its tokens have another path', ({ path_suffix }) => path_suffix !== ''],
];
