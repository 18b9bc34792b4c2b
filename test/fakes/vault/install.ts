import { putJwtRole } from './jwt-routes.ts';
import { putRole } from './roles.ts';
import type { State } from './state.ts';
import type { TokenRecord } from './tokens.ts';

export interface InstallOptions {
  /** Name → value; each gets its policy `runner-<NAME>`. */
  readonly secrets?: Readonly<Record<string, string>>;
  readonly kvMount?: string;
  /** With `{name}` in it. */
  readonly secretPath?: string;
  readonly field?: string;
  readonly role?: string;
  /** Replaces the policy `service-dispatcher`, as HCL. */
  readonly dispatcherPolicy?: string;
  /** The role's token_bound_cidrs. */
  readonly boundCidrs?: readonly string[];
  /** Enables `auth/jwt-nomad` with a login role for the daemon; say by `acceptJwt` which JWT is good. */
  readonly jwt?: { readonly mount?: string; readonly role?: string; readonly ttlSeconds?: number };
}

export interface Installation {
  readonly daemonToken: string;
  readonly daemonAccessor: string;
  readonly role: string;
  readonly kvMount: string;
  readonly secretPath: string;
  readonly field: string;
}

const DAY = 86_400;

/** The policy of the daemon's token: one role, metadata, accessors, itself. */
function dispatcherPolicy(role: string, kvMount: string, folder: string): string {
  return `path "auth/token/create/${role}" {
  capabilities = ["create", "update"]
  min_wrapping_ttl = "30s"
  max_wrapping_ttl = "26h"
  required_parameters = ["policies", "explicit_max_ttl"]
}
path "auth/token/roles/${role}" { capabilities = ["read"] }
path "auth/token/lookup-accessor" { capabilities = ["update"] }
path "auth/token/revoke-accessor" { capabilities = ["update"] }
path "sys/capabilities-accessor" { capabilities = ["update"] }
path "sys/capabilities-self" { capabilities = ["update"] }
path "${kvMount}/metadata/${folder}*" { capabilities = ["read", "list"] }
path "${kvMount}/subkeys/${folder}*" { capabilities = ["read"] }
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
`;
}

const EDGE_RUN_POLICY = `path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
`;

/** What our deployment sets up, and a daemon's token. */
export function install(state: State, options: InstallOptions = {}): Installation {
  const {
    secrets = {},
    kvMount = 'kv',
    secretPath = 'edge/runner/{name}',
    field = 'value',
    role = 'edge-run',
  } = options;
  const folder = secretPath.slice(0, secretPath.indexOf('{name}'));
  state.mount(kvMount);
  state.policies.put('edge-run', EDGE_RUN_POLICY);
  state.policies.put('service-dispatcher', options.dispatcherPolicy ?? dispatcherPolicy(role, kvMount, folder));
  putRole(state, role, {
    allowed_policies: ['edge-run'],
    allowed_policies_glob: ['runner-*'],
    orphan: true,
    renewable: false,
    token_type: 'service',
    token_no_default_policy: true,
    token_explicit_max_ttl: '26h',
    token_bound_cidrs: options.boundCidrs ?? [],
  });
  const daemon = daemonToken(state);
  const installation = { role, kvMount, secretPath, field, daemonToken: daemon.id, daemonAccessor: daemon.accessor };
  for (const [name, value] of Object.entries(secrets)) addSecret(state, installation, name, { [field]: value });
  if (options.jwt !== undefined) enableJwt(state, options.jwt);
  return installation;
}

/** Puts the data where runs look for the secret `name`, and makes its policy. */
export function addSecret(
  state: State,
  { kvMount, secretPath }: Pick<Installation, 'kvMount' | 'secretPath'>,
  name: string,
  data: Readonly<Record<string, unknown>>,
): void {
  const path = secretPath.replace('{name}', name);
  state.mount(kvMount).put(path, data);
  state.policies.put(`runner-${name}`, `path "${kvMount}/data/${path}" {\n  capabilities = ["read"]\n}\n`);
}

/** Another periodic token of the daemon. */
export function daemonToken(state: State): TokenRecord {
  return state.tokens.issue({
    label: 'daemon',
    policies: ['service-dispatcher'],
    path: 'auth/token/create-orphan',
    meta: null,
    displayName: 'token-edge-dispatcher',
    ttl: DAY,
    explicitMaxTtl: 0,
    period: DAY,
    renewable: true,
    orphan: true,
    parent: null,
    role: null,
    type: 'service',
    boundCidrs: [],
    numUses: 0,
  });
}

function enableJwt(
  state: State,
  { mount = 'jwt-nomad', role = 'edge-dispatcher', ttlSeconds = 1200 }: NonNullable<InstallOptions['jwt']>,
): void {
  state.jwt.enable(mount);
  putJwtRole(state, mount, role, {
    role_type: 'jwt',
    bound_audiences: ['vault.io'],
    bound_claims: { nomad_job_id: 'edge-dispatcher' },
    user_claim: 'nomad_job_id',
    token_policies: ['service-dispatcher'],
    token_no_default_policy: true,
    token_ttl: ttlSeconds,
    token_type: 'service',
  });
}
