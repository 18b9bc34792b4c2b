import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock } from '../../src/adapters/clock.ts';
import { CLIENT_TIMING, type ClientTiming } from '../../src/adapters/engines/nomad/client.ts';
import { jobSpec } from '../../src/adapters/engines/nomad/jobspec.ts';
import { type NomadOptions, nomadOptions } from '../../src/adapters/engines/nomad/options.ts';
import { TIMING, type Timing } from '../../src/adapters/engines/nomad/timing.ts';
import { createNomad } from '../../src/adapters/engines/nomad.ts';
import type { EngineTools, Wanted } from '../../src/adapters/factory.ts';
import type { AttemptToken } from '../../src/domain/ids.ts';
import { SecretText } from '../../src/domain/secret-text.ts';
import type { DispatchRequest, Engine } from '../../src/ports/engine.ts';
import type { LogFields } from '../../src/ports/log.ts';
import { DAEMON_CAPABILITIES, DAEMON_TOKEN, FakeNomad, type FakeNomadOptions } from './nomad/fake-nomad.ts';
import { WANTED } from './tools.ts';

/** So short that no test waits, so long that nothing is given up in a slow moment. */
const QUICK: Timing = {
  ...TIMING,
  firstLineMs: 300,
  blindMs: 100,
  spacingMs: 2,
  retryMs: 50,
  confirmMs: 30,
  settleMs: 20,
  settleLimitMs: 1_000,
  drainMs: 30,
};
const QUICK_CLIENT: ClientTiming = { ...CLIENT_TIMING, deniedMs: 400, recheckMs: 10 };

/** The stand-in for the runner: runs its payload as a script. The engine puts `--payload <file>` behind it. */
const STAND_IN = ['/bin/sh', '-c', '. "$1"'];
const JOB = 'vault-runner';
/** Few enough dispatches that Nomad's default retention holds their children. */
export const LIMITS: Wanted = { ...WANTED, dispatchesPerMinute: 20 };

/** A Nomad, fake or real, with the jobs registered, and engines on a state_dir of their own. */
export class NomadBench {
  readonly stateDir: string;
  readonly warnings: { readonly message: string; readonly fields: LogFields | undefined }[] = [];
  readonly options: NomadOptions;
  readonly #token: string;

  protected constructor(stateDir: string, options: Partial<NomadOptions>, token: string) {
    this.stateDir = stateDir;
    this.options = nomadOptions.parse({ driver: 'raw_exec', runner: STAND_IN, memory_mb: 128, cpu: 20, ...options });
    this.#token = token;
  }

  engine(timing: Partial<Timing> = {}, tools: Partial<EngineTools> = {}, client: Partial<ClientTiming> = {}): Engine {
    const log = {
      debug: () => undefined,
      info: () => undefined,
      warn: (message: string, fields?: LogFields) => void this.warnings.push({ message, fields }),
      error: () => undefined,
    };
    const token = new SecretText(this.#token);
    const shared = { stateDir: this.stateDir, clock: systemClock, log, token, wanted: LIMITS };
    const own = { runner: STAND_IN, runnerEnvironment: {} };
    return createNomad(
      this.options,
      { ...shared, ...own, ...tools },
      { watch: { ...QUICK, ...timing }, client: { ...QUICK_CLIENT, ...client } },
    );
  }

  /** The payload is the script that a stand-in runs. */
  request(token: AttemptToken, script = 'exit 0'): DispatchRequest {
    return {
      token,
      job: JOB,
      meta: { action_id: 'a', attempt: '1', formula: 'f', mounts: '', secrets_csv: '' },
      payload: Buffer.from(script),
      timeoutSeconds: 60,
    };
  }

  /** What `deploy` would register. */
  protected spec(): ReturnType<typeof jobSpec> {
    return jobSpec(JOB, [], this.options, { runner: STAND_IN, wanted: LIMITS });
  }

  /** A file for what happens behind the engine's back. */
  aside(name: string): string {
    return path.join(this.stateDir, name);
  }

  async note(name: string): Promise<void> {
    await writeFile(this.aside(name), '');
  }

  async read(name: string): Promise<string> {
    const file = this.aside(name);
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  async close(): Promise<void> {
    await rm(this.stateDir, { recursive: true, force: true });
  }
}

const newDirectory = (): Promise<string> => mkdtemp(path.join(tmpdir(), 'nomad-'));

/** On the fake. */
export class FakeNomadBench extends NomadBench {
  readonly nomad: FakeNomad;

  private constructor(nomad: FakeNomad, stateDir: string, engine: Partial<NomadOptions>) {
    super(stateDir, { address: nomad.address, namespace: nomad.namespace, ...engine }, DAEMON_TOKEN);
    this.nomad = nomad;
    nomad.registerJob(this.spec());
  }

  /** `engine`: `[engine.nomad]`. */
  static async open(options: FakeNomadOptions = {}, engine: Partial<NomadOptions> = {}): Promise<FakeNomadBench> {
    return new FakeNomadBench(await FakeNomad.start(options), await newDirectory(), engine);
  }

  override async close(): Promise<void> {
    await this.nomad.close();
    await super.close();
  }
}

/** On a real one, in a namespace of its own; takes a management token. */
export class RealNomadBench extends NomadBench {
  readonly #call: Call;
  readonly #name: string;

  private constructor(
    { call, name }: { readonly call: Call; readonly name: string },
    stateDir: string,
    given: { readonly address: string; readonly token: string },
  ) {
    super(stateDir, { address: given.address, namespace: name }, given.token);
    this.#call = call;
    this.#name = name;
  }

  static async open(given: { readonly NOMAD_ADDR: string; readonly NOMAD_TOKEN: string }): Promise<RealNomadBench> {
    const name = `contract-${randomBytes(6).toString('hex')}`;
    const call = caller(given.NOMAD_ADDR, given.NOMAD_TOKEN);
    const capabilities = JSON.stringify(DAEMON_CAPABILITIES);
    await call('PUT', `/v1/namespace/${name}`, { Name: name });
    const Rules = `namespace "${name}" {\n  capabilities = ${capabilities}\n}\n`;
    await call('PUT', `/v1/acl/policy/${name}`, { Name: name, Rules });
    const minted = await call('PUT', '/v1/acl/token', { Name: name, Type: 'client', Policies: [name] });
    const token = String(minted['SecretID']);
    const bench = new RealNomadBench({ call, name }, await newDirectory(), { address: given.NOMAD_ADDR, token });
    await call('POST', '/v1/jobs', { Job: bench.spec() });
    return bench;
  }

  /** The child and all that the server knows of it is gone. */
  async purge(child: string): Promise<void> {
    await this.#call('DELETE', `/v1/job/${encodeURIComponent(child)}?namespace=${this.#name}&purge=true`);
  }

  /** Takes away what `open` made; the namespace once its allocations have ended. */
  override async close(): Promise<void> {
    const jobs = await this.#call('GET', `/v1/jobs?namespace=${this.#name}`);
    for (const { ID } of Object.values(jobs) as { ID: string }[]) await this.purge(ID);
    const tokens = await this.#call('GET', '/v1/acl/tokens');
    for (const { AccessorID, Name } of Object.values(tokens) as { AccessorID: string; Name: string }[]) {
      if (Name === this.#name) await this.#call('DELETE', `/v1/acl/token/${AccessorID}`);
    }
    await this.#call('DELETE', `/v1/acl/policy/${this.#name}`);
    await this.#call('DELETE', `/v1/namespace/${this.#name}`, undefined, 100);
    await super.close();
  }
}

type Call = (method: string, path: string, body?: unknown, tries?: number) => Promise<Record<string, unknown>>;

function caller(address: string, token: string): Call {
  return async function call(method, path, body, tries = 1) {
    const headers = { 'X-Nomad-Token': token };
    const init = body === undefined ? { method, headers } : { method, headers, body: JSON.stringify(body) };
    for (let left = tries; ; left -= 1) {
      const response = await fetch(`${address}${path}`, init);
      const text = await response.text();
      if (response.ok) return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
      if (left <= 1) throw new Error(`${method} ${path}: ${response.status} ${text}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
}
