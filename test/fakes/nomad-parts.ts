import { CLIENT_TIMING, type ClientTiming, NomadClient } from '../../src/adapters/engines/nomad/client.ts';
import { credentialsOf } from '../../src/adapters/engines/nomad/credentials.ts';
import { Dispatcher } from '../../src/adapters/engines/nomad/dispatch.ts';
import { driftFrom, JobGate } from '../../src/adapters/engines/nomad/dispatch-gate.ts';
import { Finder } from '../../src/adapters/engines/nomad/find.ts';
import { jobSpec } from '../../src/adapters/engines/nomad/jobspec.ts';
import { type NomadOptions, nomadOptions } from '../../src/adapters/engines/nomad/options.ts';
import type { EngineTools } from '../../src/adapters/factory.ts';
import { jobVariant } from '../../src/domain/job-variant.ts';
import { SecretText } from '../../src/domain/secret-text.ts';
import { DAEMON_TOKEN, FakeNomad, type FakeNomadOptions } from './nomad/fake-nomad.ts';
import { makeTools, type TestTools, WANTED } from './tools.ts';

/** 403s are asked again for a moment only, so that a test of a denial does not take seconds. */
export const QUICK: ClientTiming = { ...CLIENT_TIMING, deniedMs: 40, recheckMs: 10 };

/** What lies between the engine and Nomad, over a fake of it. */
export interface NomadParts {
  readonly nomad: FakeNomad;
  readonly options: NomadOptions;
  readonly tools: TestTools & EngineTools;
  readonly client: NomadClient;
  readonly finder: Finder;
  readonly dispatcher: Dispatcher;
  /** Another one, closed with the others. */
  newClient(options?: Partial<NomadOptions>, token?: string | null, timing?: ClientTiming): NomadClient;
  /** Registers the variant of `job` as `deploy` does. */
  register(job: string, mounts?: readonly string[]): void;
  close(): Promise<void>;
}

const MOUNTS: EngineTools['wanted']['mounts'] = {
  ssh: { path: null, hostVolume: 'ssh' },
  gpg: { path: null, hostVolume: 'gpg' },
};

/** `vault-runner` is registered; the token is the daemon's. `sidecar`: `[sidecar_job]`; null: there are none. */
export async function startNomadParts(
  fake: FakeNomadOptions = {},
  sidecar: EngineTools['wanted']['sidecar'] = null,
): Promise<NomadParts> {
  const own = {
    'project-repos': { readOnly: true },
    'ops-repo': { readOnly: true },
    'agent-data': { readOnly: false },
  };
  const hostVolumes = { ssh: { readOnly: true }, gpg: { readOnly: true }, ...own };
  const nomad = await FakeNomad.start({ hostVolumes, ...fake });
  const runner = { runner: ['/opt/runner'], runnerEnvironment: {} };
  const tools = { ...makeTools(), ...runner, wanted: { ...WANTED, mounts: MOUNTS, sidecar } };
  const options = nomadOptions.parse({ address: nomad.address, driver: 'exec' });
  const clients: NomadClient[] = [];
  const newClient: NomadParts['newClient'] = (other = {}, token = DAEMON_TOKEN, timing = QUICK) => {
    const all = { ...options, ...other };
    const credentials = credentialsOf(all, token === null ? null : new SecretText(token));
    const client = new NomadClient(all, { clock: tools.clock, credentials, timing });
    clients.push(client);
    return client;
  };
  const register: NomadParts['register'] = (job, mounts = []) => {
    nomad.registerJob(jobSpec(jobVariant(job, mounts), mounts, options, tools));
  };
  register('vault-runner');
  const client = newClient();
  const gate = new JobGate({ client, driftOf: driftFrom(options, tools), clock: tools.clock });
  return {
    nomad,
    options,
    tools,
    client,
    finder: new Finder(client, tools.clock),
    dispatcher: new Dispatcher(client, gate),
    newClient,
    register,
    close: async () => {
      for (const one of clients) one.close();
      await nomad.close();
      tools.remove();
    },
  };
}
