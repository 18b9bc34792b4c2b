import { inject } from 'vitest';
import { readTemplates, renderPolicy } from '../../src/adapters/access/vault/templates.ts';
import { makeVaultBench } from '../fakes/vault-access-bench.ts';
import { type AccessHarness, accessContract } from './access.contract.ts';
import { openRealVault } from './real-vault.ts';

// The run's token is revoked, not its wrapper: what comes out of it is dead, and we know that nobody had read it.
const AFTER_REVOKE = { afterRevoke: 'consumed' } as const;

accessContract(
  'vault, over the fake server',
  async (): Promise<AccessHarness> => {
    const bench = await makeVaultBench();
    const { server, options } = bench;
    return {
      access: bench.access,
      reopen: () => bench.open(),
      async put(name, value) {
        server.putSecret(name, value);
        await bench.deploy([name]);
      },
      async deny(name) {
        const { dispatcher } = await readTemplates();
        const denied = `path "kv/metadata/edge/runner/${name}" { capabilities = ["deny"] }`;
        server.putPolicy('service-dispatcher', `${renderPolicy(dispatcher, options)}\n${denied}\n`);
      },
      pass: async (seconds) => bench.pass(seconds),
      close: () => bench.close(),
    };
  },
  AFTER_REVOKE,
);

const { VAULT_ADDR: address, VAULT_TOKEN: rootToken } = inject('realServices');

if (address !== undefined && rootToken !== undefined) {
  accessContract('vault, over a real server', () => openRealVault(address, rootToken), {
    ...AFTER_REVOKE,
    passes: false,
  });
}
