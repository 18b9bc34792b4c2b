import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { accesses } from '../adapters/access/index.ts';
import { systemClock } from '../adapters/clock.ts';
import { engines } from '../adapters/engines/index.ts';
import type {
  AccessFactory,
  Catalogue,
  Change,
  EngineFactory,
  EngineTools,
  ForgeFactory,
  ForgeOptions,
  SecretSource,
  StoreFactory,
  Tools,
  Wanted,
} from '../adapters/factory.ts';
import { forges } from '../adapters/forges/index.ts';
import { stores } from '../adapters/stores/index.ts';
import type { Config } from '../config.ts';
import { UsageError } from '../errors.ts';
import type { Forge } from '../ports/forge.ts';
import type { IssueTracker } from '../ports/issues.ts';
import type { Log } from '../ports/log.ts';

/** Sections of the configuration → engine, secret store, store and forge. */

/** What engine and access have to hold for this configuration. Throws UsageError for a wrapper that lives too short. */
export function wantedOf(config: Config): Wanted {
  const { limits } = config;
  const placementSeconds = limits.placement_minutes * 60;
  const least = placementSeconds + 120;
  const given = config.access.kind === 'vault' ? config.sections['access.vault']?.['wrap_seconds'] : undefined;
  const wrapSeconds = typeof given === 'number' ? given : least;
  if (wrapSeconds < least) {
    throw new UsageError(
      'ERR_CONFIG_FIELD',
      `access.vault.wrap_seconds must be at least ${least}: placement_minutes of [limits] × 60 + 120`,
    );
  }
  const mounts = Object.entries(config.mounts).map(([name, { path: directory, host_volume }]) => {
    return [name, { path: directory, hostVolume: host_volume }] as const;
  });
  return {
    mounts: Object.fromEntries(mounts),
    logBytes: limits.log_bytes,
    inFlight: limits.in_flight,
    dispatchesPerMinute: limits.dispatches_per_minute,
    placementSeconds,
    wrapSeconds,
    ...vaultOf(config),
    sidecar: config.sidecar.length === 0 ? null : config.sidecar_job,
    engineNamespace: namespaceOf(config),
  };
}

function namespaceOf(config: Config): string | null {
  const namespace = config.engine.kind === 'nomad' ? engineOf(config).section['namespace'] : undefined;
  return typeof namespace === 'string' ? namespace : null;
}

/** As payloads name it. */
function vaultOf(config: Config): Pick<Wanted, 'vaultAddress' | 'vaultNamespace'> {
  const section = config.access.kind === 'vault' ? config.sections['access.vault'] : undefined;
  const [address, namespace] = [section?.['address'], section?.['namespace']];
  return {
    vaultAddress: typeof address === 'string' ? address : null,
    vaultNamespace: typeof namespace === 'string' ? namespace : '',
  };
}

type SharedTools = Omit<Tools, 'token'>;

export function createEngine(config: Config, tools: SharedTools) {
  const { factory, section } = engineOf(config);
  return factory.create(section, engineTools(config, tools));
}

export function createAccess(config: Config, tools: SharedTools) {
  const { factory, section } = accessOf(config);
  return factory.create(section, accessTools(config, tools));
}

/** What `deploy` would change in engine and secret store; nothing is changed. Errors: TransientError, StalledError. */
export async function planDeployment(config: Config, log: Log, catalogue: Catalogue): Promise<readonly Change[]> {
  const tools = { stateDir: config.dispatcher.state_dir, clock: systemClock, log, wanted: wantedOf(config) };
  const [engine, access] = [engineOf(config), accessOf(config)];
  const changes = [
    await access.factory.deployment?.(access.section, accessTools(config, tools), catalogue),
    await engine.factory.deployment?.(engine.section, engineTools(config, tools), catalogue),
  ];
  return changes.flatMap((each) => each ?? []);
}

function engineOf(config: Config) {
  const factory: EngineFactory = pick('engine.kind', config.engine.kind, engines);
  return { factory, section: factory.options.parse(config.sections[`engine.${config.engine.kind}`] ?? {}) };
}

function accessOf(config: Config) {
  const factory: AccessFactory = pick('access.kind', config.access.kind, accesses);
  return { factory, section: factory.options.parse(config.sections[`access.${config.access.kind}`] ?? {}) };
}

function engineTools(config: Config, tools: SharedTools): EngineTools {
  const ca = config.access.kind === 'vault' ? config.sections['access.vault']?.['ca_file'] : undefined;
  return {
    ...tools,
    token: config.secrets[`engine.${config.engine.kind}.token`] ?? null,
    runner: [process.execPath, fileURLToPath(new URL('../runner/main.js', import.meta.url))],
    runnerEnvironment: typeof ca === 'string' && ca !== '' ? { VAULT_CACERT: ca } : {},
  };
}

function accessTools(config: Config, tools: SharedTools): Tools {
  return { ...tools, token: config.secrets[`access.${config.access.kind}.token`] ?? null };
}

export function createStore(config: Config, tools: Tools) {
  const factory: StoreFactory = pick('store.url', new URL(config.store.url).protocol.slice(0, -1), stores);
  return factory.create(factory.options.parse(config.store), tools);
}

function pick<T>(key: string, name: string, family: Readonly<Record<string, T>>): T {
  const found = family[name];
  if (found !== undefined) return found;
  throw new UsageError('ERR_CONFIG_FIELD', `${key}: this version has ${Object.keys(family).join(', ')}`);
}

/** null: no forge is asked. */
export function createForge(config: Config, log: Log): Forge | null {
  const { forge } = config;
  if (forge === null) return null;
  const factory: ForgeFactory = pick('forge.kind', forge.kind, forges);
  return factory.create(forgeOptions(config, forge), { clock: systemClock, log });
}

/** The issues of another repository on the same forge. */
export function createIssueTracker(config: Config, repo: string, log: Log): IssueTracker {
  const { forge } = config;
  if (forge === null) throw new UsageError('ERR_CONFIG_FIELD', 'sidecar needs the section [forge]');
  const factory: ForgeFactory = pick('forge.kind', forge.kind, forges);
  return factory.issues({ ...forgeOptions(config, forge), repo }, { clock: systemClock, log });
}

type ForgeSection = NonNullable<Config['forge']>;

function forgeOptions(config: Config, forge: ForgeSection): ForgeOptions {
  const token = secretOf(config, 'forge.token', forge.token_file);
  if (token === null) throw new UsageError('ERR_CONFIG_FIELD', 'forge.token_file is missing');
  const adminToken = secretOf(config, 'forge.admin_token', forge.admin_token_file);
  const { branch } = config.ops_repo;
  return { url: homeOf(forge.url), repo: forge.repo, branch, token, adminToken, caFile: forge.ca_file };
}

/** As the policy writes the `forge.url` of approvers: host in lower case, no default port, no slash at the end. */
function homeOf(url: string): string {
  return new URL(url).href.replace(/\/+$/, '');
}

function secretOf(config: Config, name: string, file: string | null): SecretSource | null {
  return config.secrets[name] ?? (file === null ? null : { file });
}
