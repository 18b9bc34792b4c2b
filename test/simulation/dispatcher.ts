import { journalOver } from '../../src/adapters/ops-repo/journal.ts';
import { createBreakers } from '../../src/daemon/breakers.ts';
import { createDaemon, type Daemon, type DaemonDeps } from '../../src/daemon/daemon.ts';
import type { Requirement } from '../../src/domain/verdict.ts';
import type { Log } from '../../src/ports/log.ts';
import type { StorySettings } from '../../src/story/context.ts';
import { createInForce } from '../../src/story/in-force.ts';
import { createOwnResults } from '../../src/story/own-results.ts';
import { createWatcher } from '../../src/story/world.ts';
import type { Chance } from './chance.ts';
import { SimClone, SimJournalCommits } from './clone.ts';
import type { SimForge } from './forge.ts';
import type { SimGit } from './git.ts';
import type { SimHost } from './host.ts';
import { processClock, SimProcess } from './machine.ts';
import { Link, type LinkTools, type ServiceName } from './network.ts';
import type { SimNomad } from './nomad.ts';
import { SimEngine } from './nomad-engine.ts';
import { SimAccess, type SimVault } from './vault.ts';

const NOBODY: Requirement = { all: [], any: [], atLeast: 0, selfApprove: false };
const REVIEWED: Requirement = { all: ['forge-review'], any: [], atLeast: 1, selfApprove: false };

export interface Outside extends LinkTools {
  readonly git: SimGit;
  readonly vault: SimVault;
  readonly nomad: SimNomad;
  readonly forge: SimForge;
  /** What it tells of an action. */
  readonly told: (id: string, state: string, why: string | null) => void;
  /** Something happened that must never happen. */
  readonly broken: (what: string) => void;
}

export interface DispatcherOptions {
  readonly name: string;
  readonly instance: string;
  readonly peers: readonly string[];
  readonly inFlight: number;
  readonly pollSeconds: number;
  readonly placement: 'wait' | 'stop';
}

export const PLACEMENT_SECONDS = 60;
export const WRAP_SECONDS = 180;

/** One start of one dispatcher. */
export interface SimDispatcher {
  readonly process: SimProcess;
  readonly host: SimHost;
  readonly options: DispatcherOptions;
  readonly daemon: Daemon;
  readonly clone: SimClone;
  readonly journal: SimJournalCommits;
  /** Asks it to end as an operator does; answers when it has. */
  end(): Promise<void>;
  readonly ended: Promise<void>;
}

export function startDispatcher(
  host: SimHost,
  options: DispatcherOptions,
  outside: Outside,
  chance: Chance,
): SimDispatcher {
  const process = new SimProcess(`${options.name}#${options.instance}`);
  const clock = processClock(process, host.wall, outside.timeline, chance);
  const link = (service: ServiceName) => new Link(process, host.name, service, outside);
  const log = logTo(outside, process);
  const clones = { git: outside.git, link: link('git'), clock, disk: host.clone, author: options.name };
  const clone = new SimClone(clones);
  const commits = new SimJournalCommits(clones);
  const { name: dispatcher, instance } = options;
  const terms = { dispatcher, instance, tombstoneDays: 8, pushSpacingMs: 0, log };
  const settings = { ...SETTINGS, dispatcher, instance, peers: options.peers, placement: options.placement };
  const breakers = createBreakers({ clock, log });
  const engineTools = { nomad: outside.nomad, link: link('engine'), clock, log };
  const parts: DaemonDeps['parts'] = {
    opsRepo: breakers.guard('opsRepo', clone),
    journal: breakers.guard('journal', journalOver(commits, terms, clock)),
    engine: breakers.guard(
      'engine',
      new SimEngine({ ...engineTools, placementSeconds: PLACEMENT_SECONDS, wrapSeconds: WRAP_SECONDS }),
    ),
    access: breakers.guard('access', new SimAccess(outside.vault, link('vault'), clock)),
    store: breakers.guard('store', host.port(host.store, process, ['put'])),
    records: host.port(host.records, process, ['save']),
    control: host.port(host.control, process, ['clearStop'], ['onChange']),
    clock,
    log: breakers.quieten(log),
    rules: new Map([['forge-review', outside.forge.rule(link('forge'))]]),
    ownResults: createOwnResults({
      opsRepo: clone,
      keys: [],
      trustedCommit: null,
      folders: ['vault/actions', 'vault/sidecars'],
    }),
    forge: null,
    changes: null,
    settings,
  };
  const daemon = createDaemon({
    parts,
    watcher: watcherOf(parts),
    breakers,
    onStep: (id, state, why) => outside.told(id, state, why?.message ?? null),
    settings: { pollSeconds: options.pollSeconds, inFlight: options.inFlight, dispatchesPerMinute: 600 },
  });
  const stopping = new AbortController();
  const ended = daemon.run(stopping.signal);
  ended.catch((error: unknown) =>
    outside.broken(`${process.name} broke down: ${error instanceof Error ? error.stack : String(error)}`),
  );
  const end = () => {
    stopping.abort();
    return ended;
  };
  return { process, host, options, daemon, clone, journal: commits, end, ended };
}

function watcherOf({ opsRepo, journal, rules }: DaemonDeps['parts']) {
  const paths = { actionsDir: 'vault/actions', formulasDir: 'vault/formulas', sidecarsDir: 'vault/sidecars' };
  const gated = { ...paths, policyFile: 'vault/policy.toml', projectFiles: [] };
  const inForce = createInForce({ opsRepo, rules, requirement: NOBODY, trustedCommit: null, paths: gated });
  return createWatcher({ opsRepo, journal, inForce, paths: { ...paths, pauseFile: 'vault/PAUSE' } });
}

/** What it says goes into the trace; that it made a mistake is one of ours. */
function logTo({ trace, broken }: Outside, { name }: SimProcess): Log {
  const say =
    (level: string) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}) => {
      trace(() => `${name} ${level}: ${message} ${said(fields)}`);
      const code = fields['code'];
      if (level === 'error' && fields['err'] instanceof Error && code === undefined)
        broken(`${name}: ${message}: ${said(fields)}`);
    };
  return { debug: () => undefined, info: say('info'), warn: say('warn'), error: say('error') };
}

function said(fields: Readonly<Record<string, unknown>>): string {
  const shown = Object.entries(fields).map(([key, value]) => {
    return `${key}=${value instanceof Error ? (value.stack ?? value.message) : JSON.stringify(value)}`;
  });
  return shown.join(' ');
}

const SETTINGS: Omit<StorySettings, 'dispatcher' | 'instance' | 'peers' | 'placement'> = {
  requirements: { low: NOBODY, medium: REVIEWED, high: REVIEWED },
  branch: 'main',
  actionsDir: 'vault/actions',
  formulasDir: 'vault/formulas',
  sidecarsDir: 'vault/sidecars',
  projectFiles: [],
  agent: ['agent', '-p'],
  logBytes: 1_000_000,
  artifactBytes: 1_000_000,
  placementSeconds: PLACEMENT_SECONDS,
  wrapSeconds: WRAP_SECONDS,
  approvalDays: 7,
  graceMs: 0,
};
