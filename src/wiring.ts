import { randomBytes } from 'node:crypto';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { accesses } from './adapters/access/index.ts';
import { systemClock } from './adapters/clock.ts';
import { createFileControl } from './adapters/control.ts';
import { engines } from './adapters/engines/index.ts';
import type { AccessFactory, EngineFactory, StoreFactory, Tools } from './adapters/factory.ts';
import { openOpsRepo, type OpsRepoOptions } from './adapters/ops-repo/branch.ts';
import { openJournal } from './adapters/ops-repo/journal.ts';
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
import { createWatcher } from './story/world.ts';

/*
 * The composition root: configuration → implementations. The only place that knows all of them by name.
 */

/** What this version has, for the check of the configuration. */
export function availableParts(): Available {
  return { rules: RULE_NAMES, engines: { subprocess: ['file'] }, accesses: Object.keys(accesses) };
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
  /** Time between two landed pushes of results while more arrive, in milliseconds. */
  readonly pushSpacingMs?: number;
}

export interface Wired extends Omit<DaemonDeps, 'onResult' | 'onStep'> {
  readonly config: Config;
  close(): Promise<void>;
}

/** Opens nothing outside but the clones; throws UsageError for what only shows when parts meet. */
export async function wire(config: Config, options: WireOptions): Promise<Wired> {
  const clock = systemClock;
  const { log } = options;
  const layout = stateLayout(config.dispatcher.state_dir);
  const tools: Tools = { stateDir: layout.root, clock, log };
  const instance = randomBytes(8).toString('hex');
  const git = gitOptions(config, layout.root, options);
  const opsRepo = await openOpsRepo(git, clock);
  const journal = await openJournal(
    {
      ...git,
      url: config.ops_repo.journal_url ?? config.ops_repo.url,
      // A claim holds a start back: what arrives during a push goes together anyway.
      pushSpacingMs: 0,
      journalRef: config.ops_repo.journal_ref,
      instance,
      dispatcher: config.dispatcher.name,
      tombstoneDays: config.limits.approval_days + 1,
    },
    clock,
  );
  const rules = new Map<string, ApprovalRule>(
    Object.entries(approvals).map(([name, factory]) => [name, factory.create({ opsRepo })]),
  );
  const { actions_dir, formulas_dir, policy_file } = config.ops_repo;
  const inForce = createInForce({
    opsRepo,
    rules,
    requirement: config.approval.high,
    trustedCommit: trustedCommit(config),
    paths: { formulasDir: formulas_dir, policyFile: policy_file },
  });
  const watcher = createWatcher({
    opsRepo,
    journal,
    inForce,
    paths: { actionsDir: actions_dir, formulasDir: formulas_dir, pauseFile: `${path.posix.dirname(actions_dir)}/PAUSE` },
  });
  return {
    config,
    watcher,
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
      store: createStore(config, tools),
      records: createFileRecords(layout.runs),
      control: createFileControl(layout.root, () => clock.now()),
      clock,
      log,
      rules,
      settings: storySettings(config, instance),
    },
    async close() {
      await journal.close();
      await opsRepo.close();
    },
  };
}

function gitOptions(config: Config, stateDir: string, options: WireOptions): OpsRepoOptions {
  const { ops_repo } = config;
  return {
    url: ops_repo.url,
    branch: ops_repo.branch,
    dir: options.cacheDir,
    acceptedTipFile: path.join(stateDir, 'accepted-tip'),
    username: ops_repo.username,
    tokenFile: ops_repo.token_file ?? '',
    sshKeyFile: ops_repo.ssh_key_file ?? '',
    knownHostsFile: ops_repo.known_hosts_file ?? '',
    author: ops_repo.author,
    timeoutMs: GIT_TIMEOUT_MS,
    pushSpacingMs: options.pushSpacingMs ?? PUSH_SPACING_MS,
    log: options.log,
  };
}

const GIT_TIMEOUT_MS = 60_000;
/** A burst of results becomes few pushes; a single result never waits. */
const PUSH_SPACING_MS = 2000;

function storySettings(config: Config, instance: string): DaemonDeps['parts']['settings'] {
  const { limits, ops_repo, approval } = config;
  const placementSeconds = limits.placement_minutes * 60;
  return {
    dispatcher: config.dispatcher.name,
    instance,
    requirements: { low: approval.low, medium: approval.medium, high: approval.high },
    actionsDir: ops_repo.actions_dir,
    formulasDir: ops_repo.formulas_dir,
    agent: config.runner.agent,
    logBytes: limits.log_bytes,
    artifactBytes: limits.artifact_bytes,
    placementSeconds,
    wrapSeconds: placementSeconds + 120,
    approvalDays: limits.approval_days,
  };
}

function trustedCommit(config: Config) {
  const { trusted_commit } = config.approval;
  if (trusted_commit === null || trusted_commit === '') return null;
  if (isOid(trusted_commit)) return trusted_commit;
  throw new UsageError('ERR_CONFIG_FIELD', 'approval.trusted_commit must be a whole commit id, 40 or 64 hex digits');
}

function createEngine(config: Config, tools: Tools) {
  const factory: EngineFactory = pick('engine.kind', config.engine.kind, engines);
  const mounts: Record<string, { path: string }> = {};
  for (const [name, mount] of Object.entries(config.mounts)) if (mount.path !== null) mounts[name] = { path: mount.path };
  return factory.create(factory.options.parse(config.sections[`engine.${config.engine.kind}`] ?? {}), {
    ...tools,
    runner: [process.execPath, fileURLToPath(new URL('./runner/main.js', import.meta.url))],
    mounts,
    placementSeconds: config.limits.placement_minutes * 60,
  });
}

function createAccess(config: Config, tools: Tools) {
  const factory: AccessFactory = pick('access.kind', config.access.kind, accesses);
  return factory.create(factory.options.parse(config.sections[`access.${config.access.kind}`] ?? {}), tools);
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
