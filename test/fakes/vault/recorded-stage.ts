import { Replay, type Reply, recording } from './replay.ts';
import { FakeVault } from './server.ts';

const RECORDED_AT = Date.parse('2026-11-21T03:36:13.500Z');

export interface RecordedStage {
  readonly vault: FakeVault;
  /** Knows the root's and the daemon's token by their recorded names. */
  readonly replay: Replay;
  /** As root, wrapped or not. */
  readonly call: (method: string, path: string, body?: unknown, wrapTtl?: string) => Promise<Reply>;
}

/** A server that was set up as the recorded one was. */
export async function recordedStage(): Promise<RecordedStage> {
  const vault = await FakeVault.start({ now: () => RECORDED_AT });
  const replay = new Replay(vault.address);
  replay.bind('<root-token>', vault.rootToken);
  const call: RecordedStage['call'] = (method, path, body, wrapTtl) => {
    const wrap = wrapTtl === undefined ? {} : { 'X-Vault-Wrap-TTL': wrapTtl };
    const headers = { 'X-Vault-Token': '<root-token>', ...wrap };
    return replay.send({ method, path: `/v1/${path}`, headers, ...(body === undefined ? {} : { body }) });
  };
  await call('POST', 'sys/mounts/kv', { type: 'kv', options: { version: '2' } });
  for (const name of ['CODEBERG_TOKEN', 'GITHUB_TOKEN', 'EMPTY', 'NOFIELD', 'DELETED', 'DESTROYED', 'MISSING']) {
    const policy = `path "kv/data/edge/runner/${name}" {\n  capabilities = ["read"]\n}\n`;
    await call('PUT', `sys/policies/acl/runner-${name}`, { policy });
  }
  await call('PUT', 'sys/policies/acl/edge-dispatcher', { policy: recordedPolicy() });
  await call('POST', 'auth/token/roles/edge-run', {
    allowed_policies_glob: 'runner-*',
    orphan: true,
    renewable: false,
    token_type: 'service',
    token_no_default_policy: true,
    token_explicit_max_ttl: '2h',
  });
  const daemon = {
    policies: ['edge-dispatcher'],
    period: '24h',
    no_default_policy: true,
    display_name: 'edge-dispatcher',
  };
  const { auth } = (await call('POST', 'auth/token/create-orphan', daemon)).body as { auth: Minted };
  replay.bind('<daemon-token>', auth.client_token);
  replay.bind('fmiwHYFoU8wsG1O1vxoZB0Q1', auth.accessor);
  return { vault, replay, call };
}

function recordedPolicy(): string {
  const [read] = recording('setup').filter(({ note }) => note === 'the policy of the daemon');
  if (read === undefined) throw new Error('the recording has no policy of the daemon');
  return (read.response.body as { data: { policy: string } }).data.policy;
}

interface Minted {
  readonly client_token: string;
  readonly accessor: string;
}
interface Wrapped {
  readonly token: string;
  readonly accessor: string;
  readonly wrapped_accessor: string;
}

export async function mint(stage: RecordedStage, body: unknown): Promise<Minted> {
  return ((await stage.call('POST', 'auth/token/create/edge-run', body)).body as { auth: Minted }).auth;
}

export async function mintWrapped(stage: RecordedStage, body: unknown, ttl = '300s'): Promise<Wrapped> {
  const reply = await stage.call('POST', 'auth/token/create/edge-run', body, ttl);
  return (reply.body as { wrap_info: Wrapped }).wrap_info;
}
