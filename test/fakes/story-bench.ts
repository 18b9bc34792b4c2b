import { createChangeFinder } from '../../src/approvals/shared/change-finder.ts';
import { type Breakers, createBreakers } from '../../src/daemon/breakers.ts';
import { createDaemon, type Daemon, type DaemonDeps } from '../../src/daemon/daemon.ts';
import { isSidecarId } from '../../src/domain/ids.ts';
import type { Result } from '../../src/domain/result.ts';
import { resultSchema } from '../../src/domain/result.ts';
import type { Requirement } from '../../src/domain/verdict.ts';
import type { ApprovalRule } from '../../src/ports/approval.ts';
import type { Forge } from '../../src/ports/forge.ts';
import type { LogFields } from '../../src/ports/log.ts';
import type { AllowedSigner } from '../../src/ports/ops-repo.ts';
import type { Step, StoryContext, StorySettings } from '../../src/story/context.ts';
import { createInForce } from '../../src/story/in-force.ts';
import { createOwnResults } from '../../src/story/own-results.ts';
import { createWatcher, type Watcher, type World } from '../../src/story/world.ts';
import { TERMS } from './approval-rules.ts';
import { DummyEngine } from './dummy-engine.ts';
import { Gate, gated } from './faults.ts';
import { ManualClock } from './manual-clock.ts';
import { MemoryAccess } from './memory-access.ts';
import { MemoryControl } from './memory-control.ts';
import { MemoryJournal, MemoryJournalRef } from './memory-journal.ts';
import { SimpleOpsRepo } from './memory-ops-repo-simple.ts';
import { MemoryRecords } from './memory-records.ts';
import { MemoryStore } from './memory-store.ts';

export const NOBODY: Requirement = { all: [], any: [], atLeast: 0, selfApprove: false };

interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: LogFields;
}

export interface ProcessOptions {
  readonly dispatcher?: string;
  /** Whose state_dir it has; default: that of its name. */
  readonly host?: string;
  readonly settings?: Partial<StorySettings>;
  readonly loop?: Partial<DaemonDeps['settings']>;
  readonly onResult?: (result: Result) => void;
  /** Whose signature makes a result ours; default: every result counts. */
  readonly resultKeys?: readonly AllowedSigner[];
  /** What works on issues; default: nothing. */
  readonly sidecars?: DaemonDeps['sidecars'];
}

/** One start of one dispatcher: what it sees of the outside goes through its gate. */
export interface Process {
  readonly gate: Gate;
  readonly parts: DaemonDeps['parts'];
  readonly watcher: Watcher;
  readonly daemon: Daemon;
  readonly log: readonly LogLine[];
  /** A context for the story alone, at the world as it is now. */
  context(): Promise<StoryContext>;
  /** What the story told in that context. */
  readonly told: { readonly id: string; readonly step: Step }[];
}

/** Everything outside, in memory, and as many dispatchers on it as a test wants. */
export class StoryBench {
  readonly clock = new ManualClock();
  readonly repo = new SimpleOpsRepo(this.clock);
  readonly journal = new MemoryJournalRef();
  readonly access = new MemoryAccess(this.clock);
  readonly engine = new DummyEngine(this.clock, this.access);
  readonly store = new MemoryStore();
  readonly records = new MemoryRecords();
  readonly control = new MemoryControl(() => this.clock.now());
  readonly rules = new Map<string, ApprovalRule>();
  /** What every later start sees of a forge; null: none is configured. */
  forge: Forge | null = null;
  /** Every dispatcher has a state_dir of its own; `records` is that of edge-1. */
  readonly #hosts = new Map([['edge-1', this.records]]);
  #starts = 0;

  constructor() {
    this.repo.commitFiles({ 'vault/policy.toml': POLICY, 'vault/formulas/tidy.toml': formula('tidy') });
  }

  /** Commits actions of the formula `tidy` (or what `fields` says). */
  addAction(id: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.repo.commitFiles({ [`vault/actions/${id}.toml`]: action(id, fields) });
  }

  addFormula(name: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.repo.commitFiles({ [`vault/formulas/${name}.toml`]: formula(name, fields) });
  }

  /** The result in the repo; null if there is none. */
  result(id: string): Result | null {
    const folder = isSidecarId(id) ? `vault/${id.replace('sidecar/', 'sidecars/')}` : `vault/actions/${id}`;
    const text = this.repo.textAt(`${folder}.result.json`);
    return text === null ? null : resultSchema.parse(JSON.parse(text));
  }

  /** How often a commit brought a result of this id. */
  recorded(id: string): number {
    return this.repo.subjects.filter((subject) => subject.startsWith(`${id}: `)).length;
  }

  process(options: ProcessOptions = {}): Process {
    this.#starts += 1;
    const settings = { ...SETTINGS, dispatcher: options.dispatcher ?? 'edge-1', instance: `start-${this.#starts}` };
    const gate = new Gate();
    const host = options.host ?? settings.dispatcher;
    const records = this.#hosts.get(host) ?? new MemoryRecords();
    this.#hosts.set(host, records);
    const lines: LogLine[] = [];
    const say =
      (level: LogLine['level']) =>
      (message: string, fields: LogFields = {}) =>
        void lines.push({ level, message, fields });
    const log = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };
    const breakers = createBreakers({ clock: this.clock, log });
    const parts: DaemonDeps['parts'] = {
      opsRepo: breakers.guard('opsRepo', gated('opsRepo', this.repo, gate)),
      journal: breakers.guard(
        'journal',
        gated('journal', new MemoryJournal(this.journal, settings, this.clock), gate, ['view', 'age']),
      ),
      engine: breakers.guard('engine', gated('engine', this.engine, gate)),
      access: breakers.guard('access', gated('access', this.access, gate)),
      store: breakers.guard('store', gated('store', this.store, gate)),
      records: gated('records', records, gate),
      control: gated('control', this.control, gate, ['onChange']),
      clock: this.clock,
      log: breakers.quieten(log),
      rules: this.rules,
      ownResults: createOwnResults({
        opsRepo: this.repo,
        keys: options.resultKeys ?? [],
        trustedCommit: null,
        folders: [settings.actionsDir, settings.sidecarsDir],
      }),
      ...this.#forgeParts(gate, breakers),
      settings: { ...settings, ...options.settings },
    };
    const watcher = this.#watcher(parts);
    const loop = { pollSeconds: 5, inFlight: 4, dispatchesPerMinute: 600, ...options.loop };
    const { onResult, sidecars } = options;
    const daemon = createDaemon({
      parts,
      watcher,
      breakers,
      settings: loop,
      ...(onResult && { onResult }),
      ...(sidecars && { sidecars }),
    });
    const told: { id: string; step: Step }[] = [];
    const context = async (): Promise<StoryContext> => {
      const world: World = await watcher.look();
      return { ...parts, world: () => world, tell: (id, step) => void told.push({ id, step }) };
    };
    return { gate, parts, watcher, daemon, log: lines, context, told };
  }

  /** Lets time pass, from one sleeper to the next, until the promise settles. */
  async drive<T>(promise: Promise<T>): Promise<T> {
    let isOpen = true;
    const close = (): void => {
      isOpen = false;
    };
    promise.then(close, close);
    for (let steps = 0; ; steps += 1) {
      await quiet();
      if (!isOpen) return promise;
      if (!this.clock.step()) throw new Error('everything waits for something that never comes');
      if (steps > MOST_STEPS) throw new Error(`it did not come to its end in ${MOST_STEPS} steps`);
    }
  }

  /** Lets so much time pass. */
  async pass(ms: number): Promise<void> {
    const over = this.clock.sleep(ms);
    await this.drive(over);
  }

  /** Everything that is pending to its end, by a new start. */
  async once(options: ProcessOptions = {}) {
    const process = this.process(options);
    const report = await this.drive(process.daemon.once(new AbortController().signal));
    return { ...process, report };
  }

  #forgeParts(gate: Gate, breakers: Breakers): Pick<DaemonDeps['parts'], 'forge' | 'changes'> {
    if (this.forge === null) return { forge: null, changes: null };
    const forge = breakers.guard('forge', gated('forge', this.forge, gate));
    const opsRepo = breakers.guard('opsRepo', gated('opsRepo', this.repo, gate));
    return { forge, changes: createChangeFinder({ opsRepo, forge, clock: this.clock }, TERMS) };
  }

  #watcher(parts: DaemonDeps['parts']): Watcher {
    const { opsRepo, journal, rules, settings } = parts;
    const { actionsDir, formulasDir, sidecarsDir } = settings;
    const paths = { actionsDir, formulasDir, sidecarsDir };
    const inForce = createInForce({
      opsRepo,
      rules,
      requirement: NOBODY,
      trustedCommit: null,
      paths: { ...paths, policyFile: 'vault/policy.toml', projectFiles: settings.projectFiles },
    });
    return createWatcher({ opsRepo, journal, inForce, paths: { ...paths, pauseFile: 'vault/PAUSE' } });
  }
}

/** Until nothing is left that only waits for promises. */
export function quiet(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

const MOST_STEPS = 20_000;

const SETTINGS: StorySettings = {
  dispatcher: 'edge-1',
  instance: 'start-0',
  peers: [],
  requirements: { low: NOBODY, medium: NOBODY, high: NOBODY },
  branch: 'main',
  actionsDir: 'vault/actions',
  formulasDir: 'vault/formulas',
  sidecarsDir: 'vault/sidecars',
  projectFiles: ['projects/code.toml'],
  agent: ['agent', '-p'],
  logBytes: 1_000_000,
  artifactBytes: 1_000_000,
  placement: 'wait',
  placementSeconds: 600,
  wrapSeconds: 720,
  approvalDays: 7,
  graceMs: 0,
};

const POLICY = '[tiers]\ntidy = "low"\n';

/** Texts, numbers and lists are written as in JSON. */
export function toml(fields: Readonly<Record<string, unknown>>): string {
  return Object.entries(fields)
    .map(([key, value]) => `${key} = ${tomlValue(value)}\n`)
    .join('');
}

function tomlValue(value: unknown): string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return JSON.stringify(value);
  const inner = Object.entries(value).map(([key, each]) => `${key} = ${tomlValue(each)}`);
  return `{ ${inner.join(', ')} }`;
}

export function action(id: string, fields: Readonly<Record<string, unknown>> = {}): string {
  return toml({ id, formula: 'tidy', context: 'it is time', secrets: [], ...fields });
}

function formula(name: string, fields: Readonly<Record<string, unknown>> = {}): string {
  return toml({ name, description: 'Tidies up', command: ['true'], tier: 'low', ...fields });
}
