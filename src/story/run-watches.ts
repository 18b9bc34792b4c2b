import type { AttemptRecord } from '../domain/attempt-record.ts';
import { journalDeadline } from '../domain/journal.ts';
import type { Reason, Run, StopRequest } from '../domain/run.ts';
import { toError } from '../errors.ts';
import type { JournalView } from '../ports/journal.ts';
import type { StoryContext } from './context.ts';
import { HandedOver, requireOursIfKnown, standingIn } from './holding.ts';
import { persist, ShuttingDown } from './persist.ts';
import { type CommittedWish, claimedAction, watchCommittedWish } from './stop-wish.ts';
import type { World } from './world.ts';

/** What is looked at beside a run that goes on, while the engine is asked for its end. */
export interface RunWatch {
  /** Aborted as the outer one, at the end, and when the run is in other hands: then its reason is HandedOver. */
  readonly signal: AbortSignal;
  /** Why it was asked to stop, and when that was wished in milliseconds since 1970; null: it was not. */
  asked(): { readonly wish: StopRequest; readonly at: number } | null;
  /** Resolves when nothing of it is under way any more. */
  end(): Promise<void>;
}

/**
 * Until its end: looks for a wish to stop the run and for its deadline, and asks the engine until it has taken the wish;
 * and whether the run is still ours to follow, by the journal as it was last read.
 */
export function watchRun(run: Run, record: AttemptRecord, context: StoryContext, outer: AbortSignal): RunWatch {
  const watches = watchesOf.get(context) ?? new RunWatches(context);
  watchesOf.set(context, watches);
  return watches.add(run, record, outer);
}

const watchesOf = new WeakMap<StoryContext, RunWatches>();

/** The operator's wish is a small local file: this is how late it is seen at most. */
const STOP_POLL_MS = 250;

/** One look for all runs: with thousands of them none may cost anything while nothing happens. */
class RunWatches {
  readonly #context: StoryContext;
  readonly #watches = new Set<Watch>();
  readonly #outers = new Map<AbortSignal, () => void>();
  #rest = new AbortController();
  #work: Promise<void> | null = null;

  constructor(context: StoryContext) {
    this.#context = context;
  }

  add(run: Run, record: AttemptRecord, outer: AbortSignal): RunWatch {
    const watch = new Watch({ run, record, context: this.#context, outer, leave: () => this.#remove(watch) });
    this.#watches.add(watch);
    this.#hearOf(outer);
    if (outer.aborted) watch.abort();
    this.#work ??= this.#keepLooking();
    return watch;
  }

  async #remove(watch: Watch): Promise<void> {
    this.#watches.delete(watch);
    if (this.#watches.size > 0) return;
    for (const [outer, abort] of this.#outers) outer.removeEventListener('abort', abort);
    this.#outers.clear();
    this.#rest.abort();
    await this.#work;
  }

  /** All runs share the signal of our shutdown: one listener is enough. */
  #hearOf(outer: AbortSignal): void {
    if (this.#outers.has(outer)) return;
    const abort = (): void => {
      for (const watch of this.#watches) if (watch.outer === outer) watch.abort();
    };
    this.#outers.set(outer, abort);
    outer.addEventListener('abort', abort, { once: true });
  }

  async #keepLooking(): Promise<void> {
    const { clock, journal, world } = this.#context;
    while (this.#watches.size > 0) {
      const wishes = await this.#wishes();
      const seen = { wishes, world: world(), view: journal.view(), now: clock.now().getTime() };
      for (const watch of this.#watches) watch.look(seen);
      this.#rest = new AbortController();
      if (this.#watches.size > 0) await clock.sleep(STOP_POLL_MS, this.#rest.signal);
    }
    this.#work = null;
  }

  /** Wishes that can't be read now are read at the next look; deadlines count all the same. */
  async #wishes(): Promise<ReadonlyMap<string, StopRequest>> {
    try {
      return await this.#context.control.stopRequests();
    } catch (error) {
      this.#context.log.debug('cannot see whether a cancel was asked for', { err: toError(error) });
      return NO_WISHES;
    }
  }
}

const NO_WISHES: ReadonlyMap<string, StopRequest> = new Map();

/** What is known at one moment. */
interface Seen {
  readonly wishes: ReadonlyMap<string, StopRequest>;
  readonly world: World;
  readonly view: JournalView;
  /** Milliseconds since 1970. */
  readonly now: number;
}

interface WatchTools {
  readonly run: Run;
  readonly record: AttemptRecord;
  readonly context: StoryContext;
  readonly outer: AbortSignal;
  readonly leave: () => Promise<void>;
}

class Watch implements RunWatch {
  readonly #tools: WatchTools;
  readonly #over = new AbortController();
  readonly #deadline: number;
  readonly #committed: CommittedWish;
  #view: JournalView | null = null;
  #asked: { readonly wish: StopRequest; readonly at: number } | null = null;
  #work: Promise<void> | null = null;

  constructor(tools: WatchTools) {
    const { record, context } = tools;
    this.#tools = tools;
    this.#deadline = journalDeadline(record.entry, context.settings.placementSeconds).getTime();
    this.#committed = watchCommittedWish(claimedAction(record), context, this.signal);
  }

  get signal(): AbortSignal {
    return this.#over.signal;
  }

  get outer(): AbortSignal {
    return this.#tools.outer;
  }

  abort(): void {
    this.#over.abort();
  }

  asked() {
    return this.#asked;
  }

  async end(): Promise<void> {
    this.#over.abort();
    await Promise.all([this.#work, this.#tools.leave()]);
  }

  look(seen: Seen): void {
    if (this.signal.aborted || !this.#isOurs(seen) || this.#asked !== null) return;
    const { id } = this.#tools.record.entry;
    const wish = seen.wishes.get(id) ?? this.#committed(seen.world) ?? this.#pastDeadline(seen.now);
    if (wish === null) return;
    this.#asked = { wish, at: wish.at === undefined ? seen.now : Date.parse(wish.at) };
    this.#work = this.#ask(wish);
  }

  #isOurs({ view, world }: Seen): boolean {
    if (view === this.#view) return true;
    const { record, context } = this.#tools;
    const standing = standingIn(view, record.entry, context.settings);
    // A tombstone is a claim: without a result on the branch nobody has ended anything.
    if (standing.kind === 'ended' && !world.everRecorded(record.entry.id)) return true;
    this.#view = view;
    if (standing.kind !== 'ours') this.#over.abort(new HandedOver(standing));
    return standing.kind === 'ours';
  }

  async #ask(wish: StopRequest): Promise<void> {
    const { run, record, context } = this.#tools;
    const { id } = record.entry;
    const cancel = async () => {
      // A wish of a person or the deadline does not wait for git.
      await requireOursIfKnown(record, context);
      await context.engine.cancel(run, wish, this.signal);
    };
    const tellWait = (why: Reason | null) => context.tell(id, { state: 'running', reason: why });
    try {
      await persist(cancel, tellWait, context, this.signal);
    } catch (error) {
      if (error instanceof HandedOver) this.#over.abort(error);
      else if (!(error instanceof ShuttingDown))
        context.log.error('could not ask the run to stop', { id, err: toError(error) });
    }
  }

  #pastDeadline(now: number): StopRequest | null {
    if (now < this.#deadline) return null;
    const at = new Date(this.#deadline).toISOString();
    const { dispatcher } = this.#tools.context.settings;
    return { kind: 'deadline', by: dispatcher, message: `still there at ${at}`, at };
  }
}
