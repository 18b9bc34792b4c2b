import { deployment } from '../../src/adapters/access/vault/deployment.ts';
import { type VaultOptions, vaultOptions } from '../../src/adapters/access/vault/options.ts';
import { vault } from '../../src/adapters/access/vault.ts';
import type { Tools } from '../../src/adapters/factory.ts';
import { SecretText } from '../../src/domain/secret-text.ts';
import type { Access } from '../../src/ports/access.ts';
import { makeTools, type TestTools } from './tools.ts';
import type { InstallOptions } from './vault/install.ts';
import { FakeVault, type FakeVaultOptions } from './vault/server.ts';

/** The `vault` access over a fake server, set up by our own deployment. */
export interface VaultBench {
  readonly server: FakeVault;
  readonly tools: TestTools;
  readonly options: VaultOptions;
  readonly access: Access;
  /** That `access` uses. */
  readonly daemonToken: string;
  /** Another instance, of other options or with another token. */
  open(change?: Partial<VaultOptions>, token?: string | null): Access;
  /** What `deploy` does with an operator's token. */
  deploy(secrets: readonly string[], change?: Partial<VaultOptions>): Promise<void>;
  /** For the server and for us. */
  pass(seconds: number): void;
  close(): Promise<void>;
}

export async function makeVaultBench(
  serverOptions: FakeVaultOptions = {},
  installed: InstallOptions = {},
): Promise<VaultBench> {
  const server = await FakeVault.start(serverOptions);
  const { daemonToken } = server.install(installed);
  const tools = makeTools();
  const options = vaultOptions.parse({ address: server.address });
  const open = (change: Partial<VaultOptions> = {}, token: string | null = daemonToken): Access =>
    vault.create({ ...options, ...change }, withToken(tools, token));
  const deploy = async (secrets: readonly string[], change: Partial<VaultOptions> = {}): Promise<void> => {
    await applyAll({ ...options, ...change }, withToken(tools, server.rootToken), secrets);
  };
  await deploy([]);
  server.forget();
  return {
    server,
    tools,
    options,
    access: open(),
    daemonToken,
    open,
    deploy,
    pass: (seconds) => {
      server.advance(seconds * 1000);
      tools.advance(seconds);
    },
    close: async () => {
      await server.close();
      tools.remove();
    },
  };
}

export const withToken = (tools: Tools, token: string | null): Tools => ({
  ...tools,
  token: token === null ? null : new SecretText(token),
});

export async function applyAll(options: VaultOptions, tools: Tools, secrets: readonly string[]): Promise<void> {
  const changes = await deployment(options, tools, { variants: [], secrets, sidecarSeconds: null });
  for (const change of changes) await change.apply();
}
