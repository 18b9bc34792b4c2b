import { randomUUID } from 'node:crypto';
import { type Answer, done, found, missing, Refusal } from './answers.ts';
import type { Call } from './request.ts';
import type { Route } from './routes.ts';
import type { State } from './state.ts';
import { DEFAULT_TTL } from './token-lifetime.ts';
import { authOf } from './tokens.ts';
import { matchesGlob, policyNames, record, seconds, text, texts } from './values.ts';

type Claims = Readonly<Record<string, unknown>>;

const LOGIN = /^auth\/([^/]+)\/login$/;

export const jwtRoutes: readonly Route[] = [
  { path: /^auth\/([^/]+)\/config$/, update: () => done },
  {
    path: /^auth\/([^/]+)\/role\/?$/,
    list: (_, [mount = ''], { jwt }) => {
      const keys = [...(jwt.roles(mount)?.keys() ?? [])].toSorted();
      return keys.length === 0 ? missing : found({ data: { keys } });
    },
  },
  {
    path: /^auth\/([^/]+)\/role\/([^/]+)$/,
    exists: ([mount = '', name = ''], { jwt }) => jwt.roles(mount)?.has(name) === true,
    read: (_, [mount = '', name = ''], { jwt }) => {
      const role = jwt.roles(mount)?.get(name);
      return role === undefined ? missing : found({ data: role.fields });
    },
    update: ({ body }, [mount = '', name = ''], state) => {
      putJwtRole(state, mount, name, body);
      return done;
    },
    delete: (_, [mount = '', name = ''], { jwt }) => {
      jwt.roles(mount)?.delete(name);
      return done;
    },
  },
];

/** Makes or changes a login role. Throws Refusal. */
export function putJwtRole({ jwt }: State, mount: string, name: string, body: Claims): void {
  const before = jwt.roles(mount)?.get(name)?.fields ?? NEW;
  const merged = { ...before, ...body };
  const times = ['token_ttl', 'token_max_ttl', 'token_explicit_max_ttl', 'token_period'];
  const fields: Claims = { ...merged, ...Object.fromEntries(times.map((key) => [key, seconds(merged[key])])) };
  const bound = [
    ...texts(fields['bound_audiences']),
    ...Object.keys(record(fields['bound_claims'])),
    text(fields['bound_subject']),
  ];
  if (bound.every((one) => one === '')) {
    throw new Refusal(400, 'must have at least one bound constraint when creating/updating a role');
  }
  jwt.roles(mount)?.set(name, { fields });
}

/** The mount that a call logs in to; null: it is no login. */
export function loginMount(state: State, call: Call): string | null {
  const mount = LOGIN.exec(call.path)?.[1];
  return call.operation === 'update' && mount !== undefined && state.jwt.roles(mount) !== undefined ? mount : null;
}

/** auth/<mount>/login: needs no token. */
export function login(state: State, call: Call, mount: string): Answer {
  const jwt = text(call.body['jwt']);
  const name = text(call.body['role']);
  if (name === '') throw new Refusal(400, 'missing role');
  const role = state.jwt.roles(mount)?.get(name)?.fields;
  if (role === undefined) throw new Refusal(400, `role ${JSON.stringify(name)} could not be found`);
  if (jwt === '') throw new Refusal(400, 'missing token');
  const claims = goodClaims(state, jwt);
  fitAudience(role, claims);
  fitClaims(role, claims);
  return found({ auth: authOf(issue(state, { call, mount, name, role, claims })) });
}

interface Login {
  readonly call: Call;
  readonly mount: string;
  readonly name: string;
  readonly role: Claims;
  readonly claims: Claims;
}

function issue(state: State, { call, mount, name, role, claims }: Login) {
  const isBatch = role['token_type'] === 'batch';
  const period = seconds(role['token_period']);
  const explicitMaxTtl = seconds(role['token_explicit_max_ttl']);
  const wanted = period || seconds(role['token_ttl']) || DEFAULT_TTL;
  const byClaims = role['token_policies_template_claims'] === true;
  const policies = texts(role['token_policies']).map((policy) => (byClaims ? rendered(policy, claims) : policy));
  const mapped = Object.entries(record(role['claim_mappings'])).flatMap(([claim, key]) => {
    const value = claims[claim];
    return typeof value === 'string' ? [[String(key), value] as const] : [];
  });
  const user = claims[text(role['user_claim']).replace(/^\//, '')];
  return state.tokens.issue({
    label: `jwt:${name}`,
    policies: byClaims ? policies.toSorted() : policyNames(policies, role['token_no_default_policy'] !== true),
    path: call.path,
    meta: { ...Object.fromEntries(mapped), role: name },
    displayName: `${mount}-${text(user)}`,
    ttl: explicitMaxTtl > 0 ? Math.min(wanted, explicitMaxTtl) : wanted,
    explicitMaxTtl,
    period,
    renewable: !isBatch,
    orphan: true,
    parent: null,
    role: null,
    type: isBatch ? 'batch' : 'service',
    entityId: randomUUID(),
    boundCidrs: texts(role['token_bound_cidrs']),
    numUses: 0,
  });
}

function goodClaims(state: State, jwt: string): Claims {
  const claims = state.jwt.claims(jwt);
  const unsigned = 'error validating token: error verifying token signature:';
  if (claims === undefined && jwt.split('.').length !== 3) {
    throw new Refusal(400, `${unsigned} go-jose/go-jose: compact JWS format must have three parts`);
  }
  if (claims === undefined) {
    throw new Refusal(400, `${unsigned} no known key successfully validated the token signature`);
  }
  const { exp } = claims;
  if (typeof exp === 'number' && exp * 1000 < state.now()) {
    throw new Refusal(400, 'error validating token: invalid expiration time (exp) claim: token is expired');
  }
  return claims;
}

function fitAudience(role: Claims, claims: Claims): void {
  const wanted = texts(role['bound_audiences']);
  const given = texts(claims['aud']);
  if (wanted.length === 0 || wanted.some((audience) => given.includes(audience))) return;
  const why = 'invalid audience (aud) claim: audience claim does not match any expected audience';
  throw new Refusal(400, `error validating token: ${why}`);
}

function fitClaims(role: Claims, claims: Claims): void {
  const isGlob = role['bound_claims_type'] === 'glob';
  for (const [name, wanted] of Object.entries(record(role['bound_claims']))) {
    const given = texts(claims[name]);
    if (given.length === 0) throw invalidClaims(`claim ${JSON.stringify(name)} is missing`);
    const matches = (want: string): boolean => given.some((one) => (isGlob ? matchesGlob(want, one) : want === one));
    if (!texts(wanted).some(matches)) {
      throw invalidClaims(`claim ${JSON.stringify(name)} does not match any associated bound claim values`);
    }
  }
}

const invalidClaims = (why: string): Refusal => new Refusal(400, `error validating claims: ${why}`);

/** OpenBao's `{{.extra_claims.profile}}`. */
function rendered(template: string, claims: Claims): string {
  return template.replaceAll(/\{\{\s*\.([\w.]+)\s*\}\}/g, (_, path: string) => {
    const value = path.split('.').reduce<unknown>((at, key) => record(at)[key], claims);
    return text(value);
  });
}

const NEW: Claims = {
  allowed_redirect_uris: null,
  bound_audiences: [],
  bound_claims: null,
  bound_claims_type: 'string',
  bound_subject: '',
  callback_mode: 'client',
  claim_mappings: null,
  clock_skew_leeway: 0,
  expiration_leeway: 0,
  groups_claim: '',
  max_age: 0,
  not_before_leeway: 0,
  oauth2_metadata: null,
  oidc_disable_confirmation: false,
  oidc_scopes: null,
  role_type: 'jwt',
  token_bound_cidrs: [],
  token_explicit_max_ttl: 0,
  token_max_ttl: 0,
  token_no_default_policy: false,
  token_num_uses: 0,
  token_period: 0,
  token_policies: [],
  token_policies_template_claims: false,
  token_strictly_bind_ip: false,
  token_ttl: 0,
  token_type: 'default',
  user_claim: '',
  user_claim_json_pointer: false,
  verbose_oidc_logging: false,
};
