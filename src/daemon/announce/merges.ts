import type { Change } from '../../domain/change.ts';
import { isOid, type Oid } from '../../domain/ids.ts';
import type { Forge } from '../../ports/forge.ts';
import type { StoryContext } from '../../story/context.ts';
import { recentResults } from '../../story/recent-results.ts';
import { readResult } from '../../story/record-result.ts';

interface Asked {
  /** Of the merged change that brought it; null: none, or not yet. */
  readonly change: number | null;
  readonly times: number;
  /** Monotonic; not before this moment again. */
  readonly next: number;
}

/** The forge learns of a merge after git does: asked again after so long, each time later, then no more. */
const AGAIN_MS = [5_000, 20_000, 60_000, 300_000];
/** Commits asked about in one round. */
const AT_ONCE = 20;
/** After a start: what was recorded in the last day may not have been told. */
const DAY_MS = 86_400_000;
const RECENT = 20;

/** The merged changes that brought what is pending or ended lately, found by the commits of it. */
export class Merges {
  readonly #forge: Forge;
  readonly #context: StoryContext;
  readonly #asked = new Map<Oid, Asked>();
  #isStarted = false;

  constructor(forge: Forge, context: StoryContext) {
    this.#forge = forge;
    this.#context = context;
  }

  /** Notes what there is, without the forge: what ends while that is away is told later. Errors: those of the ops repo. */
  async note(): Promise<void> {
    const { candidates, inForce } = this.#context.world();
    const lately = this.#isStarted ? [] : await this.#endedLately();
    this.#isStarted = true;
    const pending = new Set([...candidates.values(), ...inForce.pending].map(({ commit }) => commit));
    for (const commit of [...pending, ...lately]) {
      if (!this.#asked.has(commit)) this.#asked.set(commit, { change: null, times: 0, next: -Infinity });
    }
    for (const [commit, { times }] of this.#asked) {
      if (times > AGAIN_MS.length && !pending.has(commit)) this.#asked.delete(commit);
    }
  }

  /** Those that were not answered before. Errors: those of the forge; what was not answered is asked again. */
  async find(signal: AbortSignal): Promise<readonly Change[]> {
    const now = this.#context.clock.monotonic();
    const due = [...this.#asked].filter(([, { change, times, next }]) => {
      return change === null && times <= AGAIN_MS.length && now >= next;
    });
    const found = new Map<number, Change>();
    for (const [commit, { times }] of due.slice(0, AT_ONCE)) {
      const change = await this.#forge.changeOf(commit, signal);
      const isOurs = change?.state === 'merged' && change.base === this.#context.settings.branch;
      this.#asked.set(commit, {
        change: isOurs ? change.number : null,
        times: times + 1,
        next: now + (AGAIN_MS[times] ?? 0),
      });
      if (isOurs) found.set(change.number, change);
    }
    return [...found.values()];
  }

  /** It has been followed to its end: only what is pending still is kept in mind. */
  forget(change: number): void {
    const { candidates, inForce } = this.#context.world();
    const pending = new Set([...candidates.values(), ...inForce.pending].map(({ commit }) => commit));
    for (const [commit, asked] of this.#asked) {
      if (asked.change === change && !pending.has(commit)) this.#asked.delete(commit);
    }
  }

  async #endedLately(): Promise<readonly Oid[]> {
    const { opsRepo, clock } = this.#context;
    const commits = new Set<Oid>();
    const since = clock.now().getTime() - DAY_MS;
    for (const { entry, recordedAt } of await recentResults(this.#context, RECENT)) {
      if (Date.parse(recordedAt) < since) continue;
      const result = await readResult(entry.oid, opsRepo);
      const commit = result?.action.commit ?? '';
      if (isOid(commit)) commits.add(commit);
    }
    return [...commits];
  }
}
