import type { Reply } from './replay.ts';
import { FakeVault, type FakeVaultOptions } from './server.ts';

/** A request with somebody's token; `path` without `/v1/`. */
type Ask = (method: string, path: string, body?: unknown, wrapTtl?: string) => Promise<Reply>;

export interface InstalledStage {
  readonly vault: FakeVault;
  readonly daemonToken: string;
  readonly asRoot: Ask;
  readonly asDaemon: Ask;
  readonly as: (token: string) => Ask;
}

/** A server with our deployment, and who asks it. */
export async function installedStage(options: FakeVaultOptions = {}): Promise<InstalledStage> {
  const vault = await FakeVault.start(options);
  const { daemonToken } = vault.install({ secrets: { TOKEN_A: 'value-a', TOKEN_B: 'value-b' } });
  return {
    vault,
    daemonToken,
    asRoot: asker(vault, vault.rootToken),
    asDaemon: asker(vault, daemonToken),
    as: (token: string) => asker(vault, token),
  };
}

function asker({ address }: FakeVault, token: string): Ask {
  return async (method, path, body, wrapTtl = '') => {
    const response = await fetch(`${address}/v1/${path}`, {
      method,
      redirect: 'manual',
      headers: { 'X-Vault-Token': token, 'X-Vault-Wrap-TTL': wrapTtl },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? '' : (JSON.parse(text) as unknown) };
  };
}

export const MINT = { policies: ['edge-run', 'runner-TOKEN_A'], ttl: '15m', explicit_max_ttl: '15m' };

/** A wrapped mint by the daemon. */
export async function granted({ asDaemon }: InstalledStage) {
  const reply = await asDaemon('POST', 'auth/token/create/edge-run', MINT, '720s');
  const wrapInfo = (reply.body as { wrap_info: { token: string; accessor: string; wrapped_accessor: string } })
    .wrap_info;
  return { wrapper: wrapInfo.token, wrapperAccessor: wrapInfo.accessor, accessor: wrapInfo.wrapped_accessor };
}

export const authOf = ({ body }: Reply) => (body as { auth: { client_token: string; policies: string[] } }).auth;
export const dataOf = ({ body }: Reply) => (body as { data: Record<string, unknown> }).data;
