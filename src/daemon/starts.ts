import { type DispatchLimits, startsPerMinute } from '../domain/dispatch-rate.ts';
import { sidecarNameOf } from '../domain/ids.ts';
import type { Reason } from '../domain/run.ts';
import type { JournalView } from '../ports/journal.ts';
import type { StoryContext } from '../story/context.ts';
import { reason } from '../story/reasons.ts';
import type { Ready } from '../story/run-action.ts';
import type { World } from '../story/world.ts';
import { type Authored, Authors } from './authors.ts';
import { chooseStarts, type Holder, holdersOf } from './slots.ts';
import type { Tasks } from './tasks.ts';
import type { Wanting } from './turns.ts';

/** How fast runs are started at this moment. */
export interface Pace {
  /** Runs of ours that wait in the engine for a place. */
  readonly queued: number;
  /** Starts a minute that this leaves. */
  readonly perMinute: number;
}

interface StartsDeps {
  readonly context: StoryContext;
  readonly tasks: Pick<Tasks, 'holders' | 'start' | 'queued'>;
  readonly settings: DispatchLimits;
}

const MINUTE_MS = 60_000;

/** Gives out the slots. */
export class Starts {
  readonly #deps: StartsDeps;
  readonly #authors: Authors;
  /** Monotonic times of the starts of the last minute. */
  readonly #times: number[] = [];
  /** Whose turn was when; begun anew at a restart, for it decides nothing but who is next. */
  readonly #last = new Map<string, number>();
  #turns = 0;

  constructor(deps: StartsDeps) {
    this.#deps = deps;
    this.#authors = new Authors(deps.context.opsRepo);
  }

  /** Starts what has its turn, and says of the others in `waiting` why they have not. Answers how many it started. */
  async give(world: World, ready: readonly Ready[], waiting: Map<string, Reason>): Promise<number> {
    if (ready.length === 0) return 0;
    const { context, tasks, settings } = this.#deps;
    const authors = await authorsOf(this.#authors, { ready, holders: this.#holders(world.journal), world });
    const now = context.clock.monotonic();
    while (this.#times[0] !== undefined && this.#times[0] < now - MINUTE_MS) this.#times.shift();
    const pace = this.pace();
    const limits = {
      inFlight: settings.inFlight,
      startsLeft: pace.perMinute - this.#times.length,
      ...(pace.queued === 0 ? {} : { whyNoMore: slowedDown(pace) }),
    };
    const wanting = ready.map((one) => wantingOf(one, authors));
    const facts = { authorOf: authors, last: this.#last };
    const { start, held } = chooseStarts(wanting, this.#holders(world.journal), limits, facts);
    const byId = new Map<string, Ready>(ready.map((one) => [one.read.candidate.id, one]));
    for (const id of start) {
      const one = byId.get(id);
      if (one === undefined) continue;
      this.#times.push(now);
      this.#turns += 1;
      this.#last.set(authors.get(id) ?? '', this.#turns);
      tasks.start(one);
    }
    for (const [id, why] of held) waiting.set(id, reason(why.code, why.message));
    return start.length;
  }

  pace(): Pace {
    const { tasks, settings } = this.#deps;
    const queued = tasks.queued();
    return { queued, perMinute: startsPerMinute(queued, settings) };
  }

  /** Slots that are taken, by the journal as it was last read and by what this process does. */
  slotsUsed(): number {
    return this.#holders(this.#deps.context.journal.view()).filter(({ live }) => live).length;
  }

  #holders(journal: JournalView): readonly Holder[] {
    const { context, tasks } = this.#deps;
    const own = { dispatcher: context.settings.dispatcher, now: context.clock.now() };
    return holdersOf(journal, tasks.holders(), own);
  }
}

function slowedDown({ queued, perMinute }: Pace): string {
  const runs = queued === 1 ? 'run waits' : 'runs wait';
  return `${queued} ${runs} for a place in the engine, so ${perMinute} ${perMinute === 1 ? 'start' : 'starts'} a minute`;
}

/** By id: who has each slot, and who wants one. Of a holder whose file is gone nobody knows. */
export function authorsOf(
  authors: Authors,
  { ready, holders, world }: { ready: readonly Ready[]; holders: readonly Holder[]; world: World },
): Promise<ReadonlyMap<string, string>> {
  const holding = holders.flatMap(({ id }): readonly Authored[] => {
    const candidate = world.candidates.get(id);
    if (candidate !== undefined) return [candidate];
    return sidecarNameOf(id) === null ? [] : [{ id, commit: null }];
  });
  return authors.of([...holding, ...ready.map(({ read }) => read.candidate)]);
}

/** What decides the turn of an action that may run. */
export function wantingOf({ read }: Ready, authors: ReadonlyMap<string, string>): Wanting {
  const { action, group, candidate, sidecar } = read;
  return {
    id: candidate.id,
    group: group.name,
    groupLimit: group.limit,
    priority: action.priority,
    committedAt: sidecar?.since ?? candidate.committedAt,
    author: authors.get(candidate.id) ?? '',
  };
}
