import { randomUUID } from 'node:crypto';
import { FakeNomad, MANAGEMENT_TOKEN } from './nomad/fake-nomad.ts';
import { processDriver } from './nomad/process-driver.ts';
import type { TaskDriver } from './nomad/tasks.ts';
import { realServices, type Services } from './services.ts';
import { FakeVault } from './vault/server.ts';

export interface FakeServices extends Services {
  readonly fakeNomad: FakeNomad;
  readonly fakeVault: FakeVault;
  close(): Promise<void>;
}

/** The fakes as a stage's services; by default the children of the fake Nomad really run their task. */
export async function fakeServices(driver: TaskDriver = processDriver()): Promise<FakeServices> {
  const fakeNomad = await FakeNomad.start({ driver });
  const fakeVault = await FakeVault.start();
  const services = realServices({
    NOMAD_ADDR: fakeNomad.address,
    NOMAD_TOKEN: MANAGEMENT_TOKEN,
    VAULT_ADDR: fakeVault.address,
    VAULT_TOKEN: fakeVault.rootToken,
  });
  return {
    ...services,
    fakeNomad,
    fakeVault,
    names: () => ({ ...services.names(), namespace: fakeNomad.namespace }),
    async nomadToken() {
      const secret = randomUUID();
      fakeNomad.acl.addToken(secret, { policies: ['edge-dispatcher'], name: 'dispatcher' });
      return secret;
    },
    // They end with their process.
    remove: async () => undefined,
    async close() {
      await fakeNomad.close();
      await fakeVault.close();
    },
  };
}
