import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { accesses } from './adapters/access/index.ts';
import { systemClock } from './adapters/clock.ts';
import { createFileControl } from './adapters/control.ts';
import { createFileDecisions, readOnlyDecisions } from './adapters/decisions.ts';
import { mkdirDurably, writeDurably } from './adapters/durable-file.ts';
import { engines } from './adapters/engines/index.ts';
import type { Wanted } from './adapters/factory.ts';
import { type OpsRepoOptions, openOpsRepo } from './adapters/ops-repo/branch.ts';
import { openJournal } from './adapters/ops-repo/journal.ts';
import { RemoteRefs } from './adapters/ops-repo/refs.ts';
import { createFileRecords } from './adapters/records.ts';
import { stateLayout } from './adapters/state-dir.ts';
import { RULE_NAMES } from './approvals/index.ts';
import type { Config } from './config.ts';
import { type Breakers, createBreakers } from './daemon/breakers.ts';
import type { DaemonDeps } from './daemon/daemon.ts';
import type { Available, SectionSchemas } from './domain/config-sections.ts';
import type { ApprovalRule } from './ports/approval.ts';
import type { Decisions } from './ports/decisions.ts';
import type { Log } from './ports/log.ts';
import { createInForce } from './story/in-force.ts';
import { pauseFileOf } from './story/pause.ts';
import { createWatcher, type Watcher } from './story/world.ts';
import { createAccess, createEngine, createForge, createStore, wantedOf } from './wiring/adapters.ts';
import { announceSettings } from './wiring/announce.ts';
import { changesOf, rulesOf, trustedCommit } from './wiring/approval.ts';
import { ownResultsOf, signingPublicKey } from './wiring/results.ts';
import { sidecarSettings } from './wiring/sidecars.ts';

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
  /** Nothing is claimed and no result is written. */
  readonly looksOnly?: boolean;
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
  const breakers = breakersOf(config, options.log);
  const log = breakers.quieten(options.log);
  const layout = stateLayout(config.dispatcher.state_dir);
  const wanted = wantedOf(config);
  const tools = { stateDir: layout.root, clock, log, wanted };
  const instance = randomBytes(8).toString('hex');
  const opened = await openGit(config, layout.root, { ...options, log, instance });
  const git = {
    opsRepo: breakers.guard('opsRepo', opened.opsRepo),
    journal: breakers.guard('journal', opened.journal),
  };
  const { opsRepo, journal } = git;
  const forge = breakers.guard('forge', createForge(config, log));
  const rules = rulesOf(config, { opsRepo, forge, clock });
  const sidecars = sidecarSettings(config, log);
  return {
    config,
    watcher: watcherOf(config, git, rules, decisionsOf(layout.root, options)),
    settings: {
      pollSeconds: config.dispatcher.poll_seconds,
      inFlight: config.limits.in_flight,
      dispatchesPerMinute: config.limits.dispatches_per_minute,
    },
    breakers,
    parts: {
      opsRepo,
      journal,
      engine: breakers.guard('engine', createEngine(config, tools)),
      access: breakers.guard('access', createAccess(config, tools)),
      store: breakers.guard('store', createStore(config, { ...tools, token: null })),
      records: createFileRecords(layout.runs),
      control: createFileControl(layout.root, () => clock.now()),
      clock,
      log,
      rules,
      ownResults: await ownResultsOf(config, opsRepo, options.looksOnly === true),
      forge,
      changes: changesOf(config, { opsRepo, forge, clock }),
      settings: storySettings(config, wanted, instance),
    },
    announce: announceSettings(config),
    ...(sidecars === null ? {} : { sidecars }),
    close: opened.close,
  };
}

/** Around every port that talks to a service; `log` is told of outages. */
function breakersOf({ ops_repo }: Config, log: Log): Breakers {
  const journalApart = (ops_repo.journal_url ?? ops_repo.url) !== ops_repo.url;
  return createBreakers({ clock: systemClock, log }, { journalApart });
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
      // A clone of its own: whoever makes his anew deletes it, and each keeps where it stands in a ref of the same name.
      dir: path.join(git.dir, 'journal'),
      // A claim holds a start back: what arrives during a push goes together anyway.
      pushSpacingMs: 0,
      ...(url === git.url ? { refs } : {}),
      journalRef: config.ops_repo.journal_ref,
      instance: options.instance,
      looksOnly: options.looksOnly === true,
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

function decisionsOf(stateDir: string, { looksOnly, log }: WireOptions): Decisions {
  const file = path.join(stateDir, 'decisions');
  return looksOnly === true ? readOnlyDecisions(file, log) : createFileDecisions(file, log);
}

function watcherOf(
  config: Config,
  { opsRepo, journal }: Pick<Awaited<ReturnType<typeof openGit>>, 'opsRepo' | 'journal'>,
  rules: ReadonlyMap<string, ApprovalRule>,
  decisions: Decisions,
): Watcher {
  const { actions_dir, formulas_dir, sidecars_dir, policy_file } = config.ops_repo;
  const inForce = createInForce({
    opsRepo,
    rules,
    requirement: config.approval.high,
    trustedCommit: trustedCommit(config),
    paths: { formulasDir: formulas_dir, policyFile: policy_file, projectFiles: projectFiles(config) },
    decisions,
  });
  const pauseFile = pauseFileOf(actions_dir);
  return createWatcher({
    opsRepo,
    journal,
    inForce,
    paths: { actionsDir: actions_dir, sidecarsDir: sidecars_dir, pauseFile },
  });
}

function projectFiles({ sidecar }: Config): readonly string[] {
  return [...new Set(sidecar.map(({ project_toml }) => project_toml))].toSorted();
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
    sshKeyFile: ops_repo.ssh_key_file,
    knownHostsFile: ops_repo.known_hosts_file,
    author: ops_repo.author,
    signingKeyFile: ops_repo.signing_key_file ?? '',
    signingPublicKey: await signingPublicKey(config, options.looksOnly === true),
    gated: [ops_repo.policy_file, ops_repo.formulas_dir, ...projectFiles(config)],
    timeoutMs: GIT_TIMEOUT_MS,
    pushSpacingMs: options.pushSpacingMs ?? PUSH_SPACING_MS,
    log: options.log,
  };
}

/** Git reads the token from a 0600 file and from nowhere else; one that the environment gave is put into one. */
async function tokenFile(config: Config, cacheDir: string): Promise<string | null> {
  const given = config.secrets['ops_repo.token'];
  if (given === undefined) return config.ops_repo.token_file;
  const file = path.join(cacheDir, 'ops-repo-token');
  await mkdirDurably(cacheDir);
  await writeDurably(file, given.reveal());
  return file;
}

const GIT_TIMEOUT_MS = 60_000;
/** A burst of results becomes few pushes; a single result never waits. */
const PUSH_SPACING_MS = 2000;

function storySettings(config: Config, wanted: Wanted, instance: string): DaemonDeps['parts']['settings'] {
  const { limits, ops_repo, approval } = config;
  return {
    dispatcher: config.dispatcher.name,
    instance,
    peers: config.dispatcher.peers,
    requirements: { low: approval.low, medium: approval.medium, high: approval.high },
    branch: ops_repo.branch,
    actionsDir: ops_repo.actions_dir,
    formulasDir: ops_repo.formulas_dir,
    sidecarsDir: ops_repo.sidecars_dir,
    projectFiles: projectFiles(config),
    agent: config.runner.agent,
    logBytes: limits.log_bytes,
    artifactBytes: limits.artifact_bytes,
    placementSeconds: wanted.placementSeconds,
    placement: limits.placement,
    wrapSeconds: wanted.wrapSeconds,
    approvalDays: limits.approval_days,
    graceMs: approval.grace_minutes * 60_000,
  };
}
