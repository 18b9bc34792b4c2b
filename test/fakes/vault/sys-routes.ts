import { type Answer, done, found, missing, oneOf, Refusal, spread } from './answers.ts';
import type { Call } from './request.ts';
import type { Route } from './routes.ts';
import type { State } from './state.ts';
import { text, texts, timestamp } from './values.ts';

/** sys/ but wrapping, and what is open to anybody. */

const VERSION = '2.6.2';
const CLUSTER = { cluster_name: 'vault-cluster-fake', cluster_id: '3a7c8d20-aadc-9b1c-c9c9-3b87bbabbb17' };

export const sysRoutes: readonly Route[] = [
  {
    path: /^sys\/policies\/acl\/?$/,
    list: (_, __, { policies }) => found({ data: { keys: policies.names() } }),
  },
  {
    path: /^sys\/policies\/acl\/([^/]+)$/,
    read: (_, [name = ''], state) => readPolicy(state, name),
    update: ({ body }, [name = ''], state) => writePolicy(state, name, text(body['policy'])),
    delete: (_, [name = ''], { policies }) => {
      if (['root', 'default'].includes(name)) throw new Refusal(400, `cannot delete ${JSON.stringify(name)} policy`);
      policies.delete(name);
      return done;
    },
  },
  {
    path: /^sys\/capabilities-self$/,
    update: ({ body }, _, state, caller) => capabilities(state, caller.policies, body),
  },
  {
    path: /^sys\/capabilities-accessor$/,
    update: ({ body }, _, state) => {
      const accessor = text(body['accessor']);
      if (accessor === '') throw new Refusal(400, 'missing accessor');
      if (pathsOf(body).length === 0) throw new Refusal(400, 'paths must be supplied');
      const token = state.tokens.byAccessor(accessor);
      if (token === undefined) throw new Refusal(400, oneOf('invalid accessor'));
      return capabilities(state, token.policies, body);
    },
  },
  { path: /^sys\/mounts$/, read: (_, __, state) => spread(mountsOf(state)) },
  {
    path: /^sys\/mounts\/([^/]+)$/,
    read: (_, [name = ''], { mounts }) => {
      if (!mounts.has(name)) throw new Refusal(400, `No secret engine mount at ${name}/`);
      return spread(kvMount(name));
    },
    update: (_, [name = ''], state) => {
      if (state.mounts.has(name)) throw new Refusal(400, `path is already in use at ${name}/`);
      state.mount(name);
      return done;
    },
    delete: (_, [name = ''], { mounts }) => {
      mounts.delete(name);
      return done;
    },
  },
  { path: /^sys\/auth$/, read: (_, __, state) => spread(authMountsOf(state)) },
  {
    path: /^sys\/auth\/([^/]+)$/,
    update: (_, [name = ''], { jwt }) => {
      if (jwt.roles(name) !== undefined) throw new Refusal(400, `path is already in use at ${name}/`);
      jwt.enable(name);
      return done;
    },
    delete: (_, [name = ''], { jwt }) => {
      jwt.disable(name);
      return done;
    },
  },
  {
    path: /^sys\/seal$/,
    update: (_, __, state) => {
      state.sealed = true;
      return done;
    },
  },
];

/** What needs no token and is answered by a sealed server too; null: it is none of these. */
export function openAnswer(state: State, call: Call): Answer | null {
  if (call.path === 'sys/health' && call.operation === 'read') return health(state, call.query);
  if (call.path === 'sys/seal-status' && call.operation === 'read') return { status: 200, body: sealStatus(state) };
  if (call.path === 'sys/unseal' && call.operation === 'update') {
    state.sealed = false;
    return { status: 200, body: sealStatus(state) };
  }
  return null;
}

function health(state: State, query: URLSearchParams): Answer {
  const { sealed } = state;
  const standby = sealed || state.standby !== 'no';
  const active = { replication_performance_mode: 'primary', replication_dr_mode: 'disabled' };
  const unknown = { replication_performance_mode: 'unknown', replication_dr_mode: 'unknown' };
  const body = {
    initialized: true,
    sealed,
    standby,
    ...(sealed ? unknown : active),
    server_time_utc: Math.floor(state.now() / 1000),
    version: VERSION,
    ...(sealed ? {} : CLUSTER),
  };
  if (sealed) return { status: Number(query.get('sealedcode') ?? '503'), body };
  const [ok, code, usual] =
    state.standby === 'performance'
      ? ['perfstandbyok', 'performancestandbycode', '473']
      : ['standbyok', 'standbycode', '429'];
  const isWelcome = ['true', ''].includes(query.get(ok) ?? 'false');
  return { status: standby && !isWelcome ? Number(query.get(code) ?? usual) : 200, body };
}

function sealStatus({ sealed }: State): Readonly<Record<string, unknown>> {
  return {
    type: 'shamir',
    initialized: true,
    sealed,
    t: 1,
    n: 1,
    progress: 0,
    nonce: '',
    recovery_seal: false,
    version: VERSION,
    commit_date: '',
    migration: false,
    ...(sealed ? {} : CLUSTER),
    storage_type: 'raft',
  };
}

function readPolicy({ policies }: State, name: string): Answer {
  const policy = policies.get(name);
  if (policy === undefined) return missing;
  return found({
    data: {
      allow_slashes_in_identity_templates: false,
      allow_wildcards_in_identity_templates: false,
      cas_required: false,
      modified: timestamp(policy.modified),
      name: name.toLowerCase(),
      policy: policy.source,
      version: policy.version,
    },
  });
}

function writePolicy({ policies }: State, name: string, source: string): Answer {
  if (source === '') throw new Refusal(400, "'policy' parameter not supplied or empty");
  policies.put(name, Buffer.from(source, 'utf8').toString());
  const lower = name.toLowerCase();
  return lower === name ? done : found({ warnings: [`policy name was converted to ${lower}`] });
}

function capabilities(state: State, policies: readonly string[], body: Call['body']): Answer {
  const paths = pathsOf(body);
  if (paths.length === 0) throw new Refusal(400, 'paths must be supplied');
  const acl = state.policies.acl(policies);
  const entries = paths.map((path) => [path, acl.capabilities(path)] as const);
  const [only] = entries;
  return spread({
    ...Object.fromEntries(entries),
    ...(entries.length === 1 && only !== undefined ? { capabilities: only[1] } : {}),
  });
}

const pathsOf = (body: Call['body']): string[] => texts(body['paths'] ?? body['path']);

function mountsOf({ mounts }: State): Readonly<Record<string, unknown>> {
  const own = {
    'cubbyhole/': mountOf('cubbyhole', null),
    'identity/': mountOf('identity', null),
    'sys/': mountOf('system', null),
  };
  return { ...own, ...Object.fromEntries([...mounts.keys()].map((name) => [`${name}/`, kvMount(name)])) };
}

function authMountsOf({ jwt }: State): Readonly<Record<string, unknown>> {
  const entries = jwt.names().map((name) => [`${name}/`, mountOf('jwt', null)] as const);
  return { 'token/': mountOf('token', null), ...Object.fromEntries(entries) };
}

const kvMount = (name: string) => ({ ...mountOf('kv', { version: '2' }), accessor: `kv_${name}` });

function mountOf(type: string, options: Readonly<Record<string, string>> | null) {
  return {
    accessor: `${type}_0`,
    config: { default_lease_ttl: 0, force_no_cache: false, max_lease_ttl: 0 },
    description: '',
    external_entropy_access: false,
    local: false,
    options,
    plugin_version: '',
    running_plugin_version: 'v2.0.0+builtin.bao',
    running_sha256: '',
    seal_wrap: false,
    type,
    uuid: '03bec2d8-64a2-1f02-a5ea-1045122d40e4',
  };
}
