import type { Result } from '../domain/result.ts';
import type { Reason } from '../domain/run.ts';
import { StalledError, TransientError } from '../errors.ts';
import type { Step, StoryContext } from '../story/context.ts';
import { reason, reasonOf } from '../story/reasons.ts';
import type { SidecarSettings } from '../story/sidecar/sidecars.ts';
import type { Watcher, World } from '../story/world.ts';
import { type Announcer, createAnnouncer } from './announce/announcer.ts';
import type { AnnounceSettings } from './announce/describe.ts';
import { type Board, createBoard } from './board.ts';
import type { Breakers, ServiceState } from './breakers.ts';
import { createLoop, type Loop, type LoopDeps } from './loop.ts';
import { createPeers, ownHolder, type Peers } from './peers.ts';
import { reclaimLost } from './resume.ts';
import { createSidecarWork, type SidecarWork } from './sidecars/sidecar-work.ts';
import type { Pace } from './starts.ts';
import { createTasks, type Tasks } from './tasks.ts';

export interface DaemonDeps {
  /** All of the story's context but what the daemon itself provides. */
  readonly parts: Omit<StoryContext, 'world' | 'tell'>;
  readonly watcher: Watcher;
  readonly settings: LoopDeps['settings'];
  /** What `parts` and `watcher` are guarded by, to be told of. Absent: nothing. */
  readonly breakers?: Pick<Breakers, 'states'>;
  /** Why nothing new may be claimed, beside what git says; empty: nothing stands against it. */
  readonly hold?: () => readonly Reason[];
  /** What people are told on the forge, where one is configured. Absent: nothing. */
  readonly announce?: AnnounceSettings;
  /** Issues that are worked on by themselves. Absent: none. */
  readonly sidecars?: SidecarSettings;
  /** Each result as it is recorded. */
  readonly onResult?: (result: Result) => void;
  /** Each change of where an action is. */
  readonly onStep?: (id: string, state: string, why: Reason | null) => void;
}

export interface Daemon {
  readonly board: Board;
  /** Takes up what an earlier process left, then works until the signal is aborted and every task has let go. */
  run(signal: AbortSignal): Promise<void>;
  /** Everything that is pending now to its end or to a stated reason. `only`: just these ids. */
  once(signal: AbortSignal, only?: ReadonlySet<string>): Promise<OnceReport>;
  /** Somebody says that something happened outside (a webhook): looked at now. Never more than a hint. */
  hint(): void;
  /** Why the daemon is not ready; empty: it is. */
  unready(): readonly Reason[];
  /** What only the daemon knows of itself, for metrics. */
  figures(): Figures;
}

export interface Figures {
  readonly slots: { readonly used: number; readonly limit: number };
  /** The last look at the ops repo that succeeded; null: none did yet. */
  readonly lastLook: Date | null;
  /** How long the ops repo is left alone at this moment because it was away, in milliseconds; 0: it was not. */
  readonly gitBackoffMs: number;
  readonly pace: Pace;
  readonly services: readonly ServiceState[];
}

export interface OnceReport {
  readonly results: readonly { readonly id: string; readonly outcome: string; readonly exit_code: number }[];
  readonly waiting: readonly { readonly id: string; readonly reason: Reason }[];
  /** What could not be reached; non-empty: not everything could be judged. */
  readonly unreachable: readonly Reason[];
}

export function createDaemon(deps: DaemonDeps): Daemon {
  return new StoryDaemon(deps);
}

class StoryDaemon implements Daemon {
  readonly board: Board;
  readonly #deps: DaemonDeps;
  readonly #context: StoryContext;
  readonly #tasks: Tasks;
  readonly #loop: Loop;
  readonly #announcer: Announcer | null;
  readonly #sidecars: SidecarWork | null;
  /** null: no peers are configured. */
  readonly #peers: Peers | null;
  readonly #results: Result[] = [];
  /** Aborted when the tasks have to let go of what can be taken up later. */
  readonly #stopping = new AbortController();
  #world: World | null = null;
  #lastLook: Date | null = null;
  #adopted = false;
  #trouble: Reason | null = null;

  constructor(deps: DaemonDeps) {
    this.#deps = deps;
    const { clock, log } = deps.parts;
    this.board = createBoard({ clock, log, onResult: (result) => this.#recorded(result) });
    this.#context = { ...deps.parts, world: () => this.#seen(), tell: (id, step) => this.#tell(id, step) };
    this.#tasks = createTasks({
      context: this.#context,
      board: this.board,
      signal: this.#stopping.signal,
      onChange: () => this.#loop.wake(),
    });
    this.#sidecars =
      deps.sidecars === undefined
        ? null
        : createSidecarWork({
            context: this.#context,
            settings: deps.sidecars,
            pollSeconds: deps.settings.pollSeconds,
            onNews: () => this.#loop.wake(),
          });
    this.#loop = createLoop({
      watcher: deps.watcher,
      context: this.#context,
      board: this.board,
      tasks: this.#tasks,
      settings: deps.settings,
      setWorld: (seen) => this.#see(seen),
      sidecars: this.#sidecars?.sidecars ?? null,
      hold: () => this.#held()[0] ?? null,
    });
    const onTaken = (): void => this.#loop.wake();
    this.#peers = deps.parts.settings.peers.length === 0 ? null : createPeers({ context: this.#context, onTaken });
    const { forge } = deps.parts;
    const { announce: settings } = deps;
    this.#announcer =
      forge === null || settings === undefined
        ? null
        : createAnnouncer({ context: this.#context, board: this.board, forge, settings });
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, control } = this.#deps.parts;
    while (!signal.aborted && !(await this.#adopt())) {
      await clock.sleep(this.#deps.settings.pollSeconds * 1000, signal);
    }
    control.onChange(() => this.#loop.wake(), signal);
    const announced = signal.aborted ? undefined : this.#announcer?.run(signal);
    const polled = signal.aborted ? undefined : this.#sidecars?.run(signal);
    const peers = this.#peers?.run(signal);
    if (!signal.aborted) await this.#loop.run(signal);
    await this.#letGo();
    await Promise.all([announced, polled, peers]);
  }

  async once(signal: AbortSignal, only?: ReadonlySet<string>): Promise<OnceReport> {
    const over = new AbortController();
    const signs = this.#peers?.giveSigns(AbortSignal.any([signal, over.signal]));
    try {
      return await this.#once(signal, only);
    } finally {
      over.abort();
      await signs;
    }
  }

  async #once(signal: AbortSignal, only: ReadonlySet<string> | undefined): Promise<OnceReport> {
    if (!(await this.#adopt())) return report([], new Map(), this.#trouble === null ? [] : [this.#trouble]);
    const first = this.#seen();
    await this.#sidecars?.look(signal);
    const wanted = only ?? new Set([...pendingIn(first), ...(await this.#wantedSidecars())]);
    while (!signal.aborted) {
      const cycle = await this.#loop.cycle(signal, wanted);
      if (cycle.started === 0 && this.#tasks.quiet()) {
        await this.#announcer?.once(signal);
        await this.#sidecars?.tell(signal);
        return report(this.#results, cycle.waiting, cycle.outage === null ? this.#unreachable() : [cycle.outage]);
      }
      await this.#changedOrPoll(signal);
    }
    await this.#letGo();
    return report(this.#results, new Map(), []);
  }

  /** What is pushed while runs go on may concern them: a cancel file stops its run. */
  async #changedOrPoll(signal: AbortSignal): Promise<void> {
    const { parts, settings } = this.#deps;
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    const changed = this.#tasks.changed(either);
    await Promise.race([changed, parts.clock.sleep(settings.pollSeconds * 1000, either)]);
    over.abort();
    // Before the next look begins, so that what ends during that look counts as not seen yet.
    await changed;
  }

  hint(): void {
    this.#loop.hint();
  }

  unready(): readonly Reason[] {
    const outage = this.#adopted ? this.#loop.outage() : (this.#trouble ?? NOT_YET);
    return outage === null ? this.#held() : [outage, ...this.#held()];
  }

  figures(): Figures {
    return {
      slots: { used: this.#loop.slotsUsed(), limit: this.#deps.settings.inFlight },
      lastLook: this.#lastLook,
      gitBackoffMs: this.#loop.backoff(),
      pace: this.#loop.pace(),
      services: this.#deps.breakers?.states() ?? [],
    };
  }

  /**
   * Until this is done nothing is claimed: an older process of our name is fenced, its attempts are ours. False: the
   * outside is away; safe to try again.
   */
  async #adopt(): Promise<boolean> {
    const { parts, watcher } = this.#deps;
    try {
      await parts.journal.refresh();
      await parts.journal.adopt(ownHolder(parts));
      this.#see(await watcher.look());
      await reclaimLost(this.#seen(), this.#context);
      this.#adopted = true;
      this.#trouble = null;
    } catch (error) {
      if (!(error instanceof TransientError || error instanceof StalledError)) throw error;
      const { code, message, hint } = error;
      if (this.#trouble?.code !== code) parts.log.warn('cannot start yet', { code, reason: message, hint });
      this.#trouble = reasonOf(error);
    }
    return this.#adopted;
  }

  async #letGo(): Promise<void> {
    this.#stopping.abort();
    await this.#tasks.idle();
  }

  /** Runs on issues that would begin now. */
  async #wantedSidecars(): Promise<readonly string[]> {
    const sidecars = this.#sidecars?.sidecars;
    const nothing = { isBusy: () => false, resting: () => null, ids: [] };
    try {
      const wanted = await sidecars?.judge(nothing);
      if (wanted === undefined) return [];
      return [...wanted.ready.map(({ read }) => read.candidate.id), ...wanted.waiting.keys()];
    } catch (error) {
      if (!(error instanceof TransientError || error instanceof StalledError)) throw error;
      this.#trouble = reasonOf(error);
      return [];
    }
  }

  #unreachable(): readonly Reason[] {
    const outages = this.#sidecars?.sidecars.outages() ?? [];
    const trouble = this.#trouble === null ? [] : [this.#trouble];
    return [...this.#held(), ...trouble, ...outages.map(({ reason: why }) => why)];
  }

  #held(): readonly Reason[] {
    return this.#deps.hold?.() ?? [];
  }

  #see(seen: World): void {
    if (seen !== this.#world) this.#announcer?.wake();
    this.#world = seen;
    this.#lastLook = this.#deps.parts.clock.now();
  }

  #seen(): World {
    if (this.#world === null) throw new Error('no look was taken yet');
    return this.#world;
  }

  #tell(id: string, step: Step): void {
    this.board.tell(id, step.state, step.reason);
    this.#deps.onStep?.(id, step.state, step.reason);
    this.#tasks.note(id, step);
    this.#announcer?.wake();
  }

  #recorded(result: Result): void {
    this.#results.push(result);
    this.#sidecars?.recorded(result);
    this.#deps.onResult?.(result);
  }
}

const pendingIn = ({ candidates, journal }: World): readonly string[] => [
  ...candidates.keys(),
  ...journal.entries.keys(),
];

const NOT_YET = reason('ERR_GIT_UNAVAILABLE', 'the first look at the ops repo is under way');

function report(
  results: readonly Result[],
  waiting: ReadonlyMap<string, Reason>,
  outages: readonly Reason[],
): OnceReport {
  const away = [...waiting.values()].filter(({ code }) => code.endsWith('_UNAVAILABLE'));
  return {
    results: results.map(({ id, outcome, exit_code }) => ({ id, outcome, exit_code })),
    waiting: [...waiting].map(([id, why]) => ({ id, reason: why })),
    unreachable: [...outages, ...away],
  };
}
