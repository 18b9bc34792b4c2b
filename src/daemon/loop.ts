import { backoffMs } from '../domain/backoff.ts';
import { isFenced } from '../domain/journal.ts';
import type { Reason } from '../domain/run.ts';
import { StalledError, TransientError, toError } from '../errors.ts';
import type { StoryContext } from '../story/context.ts';
import { pauseReason } from '../story/pause.ts';
import { reason, reasonOf } from '../story/reasons.ts';
import type { Ready } from '../story/run-action.ts';
import type { Sidecars, Wanted } from '../story/sidecar/sidecars.ts';
import type { Watcher, World } from '../story/world.ts';
import type { Board } from './board.ts';
import { ForeignResults } from './foreign-results.ts';
import { Judgements } from './judgements.ts';
import { reportOddities } from './oddities.ts';
import { resumeOwn } from './resume.ts';
import { type Pace, Starts } from './starts.ts';
import type { Tasks } from './tasks.ts';

/*
 * The loop: look, judge what is pending, give out slots, wait for the next poll or for something to end.
 *
 * A cycle never waits for a run. Everything that takes long is a task of `tasks.ts`; the loop only decides what becomes
 * one.
 */

export interface LoopDeps {
  readonly watcher: Watcher;
  readonly context: StoryContext;
  readonly board: Board;
  readonly tasks: Tasks;
  readonly setWorld: (world: World) => void;
  /** The other source of work; null: none is configured. */
  readonly sidecars: Sidecars | null;
  /** Why nothing new may be claimed (a check that failed); null: nothing stands against it. */
  readonly hold: () => Reason | null;
  readonly settings: {
    readonly pollSeconds: number;
    readonly inFlight: number;
    readonly dispatchesPerMinute: number;
  };
}

interface Cycle {
  /** Pending actions that wait for something else than a slot, and why. */
  readonly waiting: ReadonlyMap<string, Reason>;
  /** New tasks. */
  readonly started: number;
  /** Why the outside could not be seen; null: it could. */
  readonly outage: Reason | null;
}

export interface Loop {
  /** One cycle. `only`: leave all other actions alone. Never throws for an outage. */
  cycle(signal: AbortSignal, only?: ReadonlySet<string>): Promise<Cycle>;
  /** Cycles until the signal is aborted. */
  run(signal: AbortSignal): Promise<void>;
  /** Asks for a cycle now. */
  wake(): void;
  /** As `wake`, and what waits is judged again once. */
  hint(): void;
  /** The last cycle's outage, for readiness. */
  outage(): Reason | null;
  /** How long the ops repo is left alone at this moment because it was away, in milliseconds; 0: it was not. */
  backoff(): number;
  /** Slots that are taken, by the journal as it was last read and by what this process does. */
  slotsUsed(): number;
  /** How fast runs are started at this moment. */
  pace(): Pace;
}

export function createLoop(deps: LoopDeps): Loop {
  return new DaemonLoop(deps);
}

class DaemonLoop implements Loop {
  readonly #deps: LoopDeps;
  readonly #judgements: Judgements;
  readonly #foreign: ForeignResults;
  readonly #starts: Starts;
  #waker = new AbortController();
  #outage: Reason | null = null;
  #backoffMs = 0;

  constructor(deps: LoopDeps) {
    this.#deps = deps;
    this.#judgements = new Judgements(deps.context);
    this.#foreign = new ForeignResults(deps.context, () => this.wake());
    this.#starts = new Starts(deps);
  }

  async cycle(signal: AbortSignal, only?: ReadonlySet<string>): Promise<Cycle> {
    try {
      const done = await this.#cycle(signal, only);
      this.#outage = null;
      return done;
    } catch (error) {
      if (!(error instanceof TransientError || error instanceof StalledError)) throw error;
      const outage = reasonOf(error);
      if (this.#outage?.code !== outage.code) {
        const { code, message, hint } = outage;
        this.#deps.context.log.warn('cannot look at the ops repo', { code, reason: message, hint });
      }
      this.#outage = outage;
      return { waiting: new Map(), started: 0, outage };
    }
  }

  async run(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; ) {
      try {
        failures = (await this.cycle(signal)).outage === null ? 0 : failures + 1;
      } catch (error) {
        this.#deps.context.log.error('a cycle failed', { err: toError(error) });
        failures += 1;
      }
      await this.#rest(failures, signal);
    }
    await this.#foreign.idle();
  }

  wake(): void {
    this.#waker.abort();
  }

  hint(): void {
    this.#judgements.hint();
    this.wake();
  }

  outage(): Reason | null {
    return this.#outage;
  }

  backoff(): number {
    return this.#backoffMs;
  }

  slotsUsed(): number {
    return this.#starts.slotsUsed();
  }

  pace(): Pace {
    return this.#starts.pace();
  }

  async #cycle(signal: AbortSignal, only: ReadonlySet<string> | undefined): Promise<Cycle> {
    const { context, board, tasks, hold } = this.#deps;
    // What ends while we look is seen half; it wakes another cycle.
    const busy = new Set(tasks.holders().keys());
    const world = await this.#deps.watcher.look(signal);
    this.#deps.setWorld(world);
    // Of all results there are: too much for a single cycle of `run --once`.
    if (only === undefined) this.#foreign.look(world, signal);
    const held = this.#foreign.held(world);
    reportOddities(world, context);
    await resumeOwn(world, tasks, context);
    const pending = [...world.candidates.values()].filter(
      ({ id }) => !busy.has(id) && !tasks.has(id) && (only === undefined || only.has(id)),
    );
    const resting = new Map(pending.map(({ id }) => [id, tasks.resting(id)]));
    const due = pending.filter(({ id }) => resting.get(id) === null);
    const { ready, ended, waiting } = await this.#judgements.all(due, world, signal);
    for (const [id, why] of resting) if (why !== null) waiting.set(id, why);
    for (const no of ended) tasks.record(no);
    const wanted = await this.#wantedSidecars(busy, only);
    for (const [id, why] of wanted.waiting) waiting.set(id, why);
    ready.push(...wanted.ready);
    tidyBoard(board, new Set([...world.candidates.keys(), ...held.keys(), ...wanted.waiting.keys()]));
    const started = (await holdBack({ world, ready, waiting, hold }, context))
      ? 0
      : await this.#starts.give(world, ready, waiting);
    for (const [id, why] of [...waiting, ...held]) if (!tasks.has(id)) board.tell(id, 'pending', why);
    return { waiting, started: started + ended.length, outage: null };
  }

  /** `only`: of a single cycle of `run --once` that began with no look at the issues. */
  async #wantedSidecars(busy: ReadonlySet<string>, only: ReadonlySet<string> | undefined): Promise<Wanted> {
    const { sidecars, tasks } = this.#deps;
    if (sidecars === null) return NO_SIDECARS;
    const under = {
      isBusy: (id: string) => busy.has(id) || tasks.has(id),
      resting: (id: string) => tasks.resting(id),
      ids: tasks.holders().keys(),
    };
    const wanted = await sidecars.judge(under).catch((error: unknown) => this.#noSidecars(error));
    if (only === undefined) return wanted;
    return {
      ready: wanted.ready.filter(({ read }) => only.has(read.candidate.id)),
      waiting: new Map([...wanted.waiting].filter(([id]) => only.has(id))),
    };
  }

  /** A mistake of ours with the issues is no reason to hold up what was committed. */
  #noSidecars(error: unknown): Wanted {
    if (error instanceof TransientError || error instanceof StalledError) throw error;
    this.#deps.context.log.error('could not judge the issues', { err: toError(error) });
    return NO_SIDECARS;
  }

  async #rest(failures: number, signal: AbortSignal): Promise<void> {
    const { context, settings } = this.#deps;
    const poll = settings.pollSeconds * 1000 * (0.9 + 0.2 * context.clock.random());
    const ms = failures === 0 ? poll : Math.max(poll, backoffMs(failures, context.clock.random()));
    this.#backoffMs = failures === 0 ? 0 : ms;
    await context.clock.sleep(ms, AbortSignal.any([signal, this.#waker.signal]));
    this.#waker = new AbortController();
  }
}

/** Paused, fenced or held by a check: nothing new is claimed, runs go on. */
async function holdBack(
  { world, ready, waiting, hold }: Pick<LoopDeps, 'hold'> & Held,
  context: StoryContext,
): Promise<boolean> {
  const why = (await reasonToHold(world, context)) ?? hold();
  if (why === null) return false;
  for (const { read } of ready) waiting.set(read.candidate.id, why);
  return true;
}

interface Held {
  readonly world: World;
  readonly ready: readonly Ready[];
  readonly waiting: Map<string, Reason>;
}

const NO_SIDECARS: Wanted = { ready: [], waiting: new Map() };

function tidyBoard(board: Board, pending: ReadonlySet<string>): void {
  for (const line of board.lines()) if (line.state === 'pending' && !pending.has(line.id)) board.gone(line.id);
}

async function reasonToHold(world: World, context: StoryContext): Promise<Reason | null> {
  const paused = await pauseReason(world, context);
  if (paused !== null) return paused;
  const { settings } = context;
  for (const entry of world.journal.entries.values()) {
    if (isFenced(entry, settings)) {
      return reason('ERR_FENCED', `another process runs under the name ${settings.dispatcher}`);
    }
  }
  return null;
}
