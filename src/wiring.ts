import { randomBytes } from 'node:crypto';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { accesses } from './adapters/access/index.ts';
import { systemClock } from './adapters/clock.ts';
import { createFileControl } from './adapters/control.ts';
import { mkdirDurably, writeDurably } from './adapters/durable-file.ts';
import { engines } from './adapters/engines/index.ts';
import type {
  AccessFactory,
  Catalogue,
  Change,
  EngineFactory,
  EngineTools,
  StoreFactory,
  Tools,
  Wanted,
} from './adapters/factory.ts';
import { type OpsRepoOptions, openOpsRepo } from './adapters/ops-repo/branch.ts';
import { openJournal } from './adapters/ops-repo/journal.ts';
import { RemoteRefs } from './adapters/ops-repo/refs.ts';
import { createFileRecords } from './adapters/records.ts';
import { stateLayout } from './adapters/state-dir.ts';
import { stores } from './adapters/stores/index.ts';
import { approvals, RULE_NAMES } from './approvals/index.ts';
import type { Config } from './config.ts';
import type { DaemonDeps } from './daemon/daemon.ts';
import type { Available, SectionSchemas } from './domain/config-sections.ts';
import { isOid } from './domain/ids.ts';
import { UsageError } from './errors.ts';
import type { ApprovalRule } from './ports/approval.ts';
import type { Log } from './ports/log.ts';
import { createInForce } from './story/in-force.ts';
import { createWatcher, type Watcher } from './story/world.ts';

/*
 * The composition root: configuration → implementations. The only place that knows all of them by name.
 */

/** What this version has, for the check of the configuration. */
export function availableParts(): Available {
  const pairs = { nomad: ['vault'], subprocess: ['file', 'vault'] };
  return { rules: RULE_NAMES, engines: pairs, accesses: Object.keys(accesses) };
}

/** The sections that implementations own, keyed by where they stand in the file. */
export function sectionSchemas(): SectionSchemas {
  const schemas: Record<string, SectionSchemas[string]> = {};
  for (const [kind, factory] of Object.entries(engines)) schemas[`engine.${kind}`] = factory.options;
  for (const [kind, factory] of Object.entries(accesses)) schemas[`access.${kind}`] = factory.options;
  return schemas;
}

export interface WireOptions {
  readonly log: Log;
  /** Folder of the clones beneath `state_dir/cache`; a command beside the daemon uses its own. */
  readonly cacheDir: string;
  /** Where the last accepted tip is kept; default: in state_dir. Who only looks brings a copy. */
  readonly acceptedTipFile?: string;
  /** Time between two landed pushes of results while more arrive, in milliseconds. */
  readonly pushSpacingMs?: number;
}

export interface Wired extends Omit<DaemonDeps, 'onResult' | 'onStep'> {
  readonly config: Config;
  close(): Promise<void>;
}

/** Opens nothing outside but the clones; throws UsageError for what only shows when parts meet. */
export async function wire(config: Config, options: WireOptions): Promise<Wired> {
  const { log } = options;
  const clock = systemClock;
  const layout = stateLayout(config.dispatcher.state_dir);
  const wanted = wantedOf(config);
  const tools = { stateDir: layout.root, clock, log, wanted };
  const instance = randomBytes(8).toString('hex');
  const git = await openGit(config, layout.root, { ...options, instance });
  const { opsRepo, journal } = git;
  const rules = new Map<string, ApprovalRule>(
    Object.entries(approvals).map(([name, factory]) => [name, factory.create({ opsRepo })]),
  );
  return {
    config,
    watcher: watcherOf(config, git, rules),
    settings: {
      pollSeconds: config.dispatcher.poll_seconds,
      inFlight: config.limits.in_flight,
      dispatchesPerMinute: config.limits.dispatches_per_minute,
    },
    parts: {
      opsRepo,
      journal,
      engine: createEngine(config, tools),
      access: createAccess(config, tools),
      store: createStore(config, { ...tools, token: null }),
      records: createFileRecords(layout.runs),
      control: createFileControl(layout.root, () => clock.now()),
      clock,
      log,
      rules,
      settings: storySettings(config, wanted, instance),
    },
    close: git.close,
  };
}

/** Branch and journal; in the same repo a poll of both is one request. */
async function openGit(config: Config, stateDir: string, options: WireOptions & { readonly instance: string }) {
  const git = await gitOptions(config, stateDir, options);
  const refs = new RemoteRefs(git, systemClock);
  const opsRepo = await openOpsRepo({ ...git, refs }, systemClock);
  const url = config.ops_repo.journal_url ?? git.url;
  const journal = await openJournal(
    {
      ...git,
      url,
      // A claim holds a start back: what arrives during a push goes together anyway.
      pushSpacingMs: 0,
      ...(url === git.url ? { refs } : {}),
      journalRef: config.ops_repo.journal_ref,
      instance: options.instance,
      dispatcher: config.dispatcher.name,
      tombstoneDays: config.limits.approval_days + 1,
    },
    systemClock,
  );
  const close = async () => {
    await journal.close();
    await opsRepo.close();
    refs.close();
  };
  return { opsRepo, journal, close };
}

function watcherOf(
  config: Config,
  { opsRepo, journal }: Pick<Awaited<ReturnType<typeof openGit>>, 'opsRepo' | 'journal'>,
  rules: ReadonlyMap<string, ApprovalRule>,
): Watcher {
  const { actions_dir, formulas_dir, policy_file } = config.ops_repo;
  const inForce = createInForce({
    opsRepo,
    rules,
    requirement: config.approval.high,
    trustedCommit: trustedCommit(config),
    paths: { formulasDir: formulas_dir, policyFile: policy_file },
  });
  const pauseFile = `${path.posix.dirname(actions_dir)}/PAUSE`;
  return createWatcher({
    opsRepo,
    journal,
    inForce,
    paths: { actionsDir: actions_dir, formulasDir: formulas_dir, pauseFile },
  });
}

async function gitOptions(config: Config, stateDir: string, options: WireOptions): Promise<OpsRepoOptions> {
  const { ops_repo } = config;
  return {
    url: ops_repo.url,
    branch: ops_repo.branch,
    dir: options.cacheDir,
    acceptedTipFile: options.acceptedTipFile ?? path.join(stateDir, 'accepted-tip'),
    username: ops_repo.username,
    tokenFile: await tokenFile(config, options.cacheDir),
    sshKeyFile: ops_repo.ssh_key_file ?? '',
    knownHostsFile: ops_repo.known_hosts_file ?? '',
    author: ops_repo.author,
    timeoutMs: GIT_TIMEOUT_MS,
    pushSpacingMs: options.pushSpacingMs ?? PUSH_SPACING_MS,
    log: options.log,
  };
}

/** Git reads the token from a 0600 file and from nowhere else; one that the environment gave is put into one. */
async function tokenFile(config: Config, cacheDir: string): Promise<string> {
  const given = config.secrets['ops_repo.token'];
  if (given === undefined) return config.ops_repo.token_file ?? '';
  const file = path.join(cacheDir, 'ops-repo-token');
  await mkdirDurably(cacheDir);
  await writeDurably(file, given.reveal());
  return file;
}

const GIT_TIMEOUT_MS = 60_000;
/** A burst of results becomes few pushes; a single result never waits. */
const PUSH_SPACING_MS = 2000;

/** What engine and access have to hold for this configuration. Throws UsageError for a wrapper that lives too short. */
function wantedOf(config: Config): Wanted {
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
  };
}

function storySettings(config: Config, wanted: Wanted, instance: string): DaemonDeps['parts']['settings'] {
  const { limits, ops_repo, approval } = config;
  return {
    dispatcher: config.dispatcher.name,
    instance,
    requirements: { low: approval.low, medium: approval.medium, high: approval.high },
    actionsDir: ops_repo.actions_dir,
    formulasDir: ops_repo.formulas_dir,
    agent: config.runner.agent,
    logBytes: limits.log_bytes,
    artifactBytes: limits.artifact_bytes,
    placementSeconds: wanted.placementSeconds,
    placement: limits.placement,
    wrapSeconds: wanted.wrapSeconds,
    approvalDays: limits.approval_days,
  };
}

function trustedCommit(config: Config) {
  const { trusted_commit } = config.approval;
  if (trusted_commit === null || trusted_commit === '') return null;
  if (isOid(trusted_commit)) return trusted_commit;
  throw new UsageError('ERR_CONFIG_FIELD', 'approval.trusted_commit must be a whole commit id, 40 or 64 hex digits');
}

type SharedTools = Omit<Tools, 'token'>;

function createEngine(config: Config, tools: SharedTools) {
  const { factory, section } = engineOf(config);
  return factory.create(section, engineTools(config, tools));
}

function createAccess(config: Config, tools: SharedTools) {
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
    runner: [process.execPath, fileURLToPath(new URL('./runner/main.js', import.meta.url))],
    runnerEnvironment: typeof ca === 'string' && ca !== '' ? { VAULT_CACERT: ca } : {},
  };
}

function accessTools(config: Config, tools: SharedTools): Tools {
  return { ...tools, token: config.secrets[`access.${config.access.kind}.token`] ?? null };
}

function createStore(config: Config, tools: Tools) {
  const factory: StoreFactory = pick('store.url', new URL(config.store.url).protocol.slice(0, -1), stores);
  return factory.create(factory.options.parse(config.store), tools);
}

function pick<T>(key: string, name: string, family: Readonly<Record<string, T>>): T {
  const found = family[name];
  if (found !== undefined) return found;
  throw new UsageError('ERR_CONFIG_FIELD', `${key}: this version has ${Object.keys(family).join(', ')}`);
}
