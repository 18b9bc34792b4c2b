import { isActionPath } from '../../domain/action.ts';
import type { Change } from '../../domain/change.ts';
import { isOid, type Oid } from '../../domain/ids.ts';
import type { Forge } from '../../ports/forge.ts';
import type { StoryContext } from '../../story/context.ts';
import { recentResults } from '../../story/recent-results.ts';
import { readResult } from '../../story/record-result.ts';
import type { Rests } from './rests.ts';

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

/** Of one path so many earlier versions are looked for. */
const VERSIONS = 5;

/** Where the action or gated file lies, and who set it last. */
interface Place {
  readonly path: string;
  readonly commit: Oid;
}

/**
 * The merged changes that brought what is pending or ended lately, or an earlier version of it, found by the commits of it.
 */
export class Merges {
  readonly #forge: Forge;
  readonly #context: StoryContext;
  readonly #rests: Rests;
  readonly #asked = new Map<Oid, Asked>();
  /** The tip up to which the branch was looked through; null: nothing was yet. */
  #seen: Oid | null = null;

  constructor(forge: Forge, context: StoryContext, rests: Rests) {
    this.#forge = forge;
    this.#context = context;
    this.#rests = rests;
  }

  /** Notes what there is, without the forge: what ends while that is away is told later. Errors: those of the ops repo. */
  async note(): Promise<void> {
    const { tip } = this.#context.world().tips;
    const places = this.#pending();
    const pending = new Set(places.map(({ commit }) => commit));
    const brought = this.#seen === tip ? [] : await this.#broughtUntil(tip, places);
    this.#seen = tip;
    for (const commit of [...pending, ...brought]) {
      if (!this.#asked.has(commit)) this.#asked.set(commit, { change: null, times: 0, next: -Infinity });
    }
    for (const [commit, { times }] of this.#asked) {
      if (times > AGAIN_MS.length && !pending.has(commit)) this.#asked.delete(commit);
    }
  }

  /** Those that were not answered before. Errors: those of `Rests`; what was not answered is asked again. */
  async find(signal: AbortSignal): Promise<readonly Change[]> {
    const now = this.#context.clock.monotonic();
    const due = [...this.#asked].filter(([commit, { change, times, next }]) => {
      const isOpen = change === null && times <= AGAIN_MS.length && now >= next;
      return isOpen && !this.#rests.isResting(subjectOf(commit));
    });
    const found = new Map<number, Change>();
    for (const [commit, { times }] of due.slice(0, AT_ONCE)) {
      const ask = async () => {
        const change = await this.#forge.changeOf(commit, signal);
        const isOurs = change?.state === 'merged' && change.base === this.#context.settings.branch;
        const next = now + (AGAIN_MS[times] ?? 0);
        this.#asked.set(commit, { change: isOurs ? change.number : null, times: times + 1, next });
        if (isOurs) found.set(change.number, change);
        return true;
      };
      await this.#rests.attempt(subjectOf(commit), ask, signal);
    }
    return [...found.values()];
  }

  /** It has been followed to its end: only what is pending still is kept in mind. */
  forget(change: number): void {
    const pending = new Set(this.#pending().map(({ commit }) => commit));
    for (const [commit, asked] of this.#asked) {
      if (asked.change === change && !pending.has(commit)) this.#asked.delete(commit);
    }
  }

  #pending(): readonly Place[] {
    const { candidates, inForce } = this.#context.world();
    const actions = [...candidates.values()].map(({ file, commit }) => ({ path: file.path, commit }));
    return [...actions, ...inForce.pending];
  }

  /**
   * What was replaced on the branch is nobody's pending action any more, and its change has to be told all the same. After
   * the start only what is new is looked through.
   */
  async #broughtUntil(tip: Oid, pending: readonly Place[]): Promise<readonly Oid[]> {
    const { opsRepo, settings } = this.#context;
    if (this.#seen !== null) {
      const news = await opsRepo.firstParentChanges(this.#seen, tip, [settings.actionsDir]);
      return news.filter(({ changes }) => changes.some(({ path }) => isActionPath(path))).map(({ commit }) => commit);
    }
    const lately = await this.#endedLately();
    const paths = new Set([...pending, ...lately].map(({ path }) => path));
    const versions = paths.size === 0 ? [] : await opsRepo.firstParentChanges(null, tip, [...paths]);
    const earlier = [...paths].flatMap((path) => {
      const own = versions.filter(({ changes }) => changes.some((change) => change.path === path));
      return own.slice(-VERSIONS).map(({ commit }) => commit);
    });
    return [...lately.map(({ commit }) => commit), ...earlier];
  }

  /** Only what we recorded ourselves: anybody who may push can write a file, and what it says leads to no path of git's. */
  async #endedLately(): Promise<readonly Place[]> {
    const { opsRepo, clock, ownResults, world } = this.#context;
    const since = clock.now().getTime() - DAY_MS;
    const recent = await recentResults(this.#context, RECENT);
    const entries = recent.filter(({ recordedAt }) => Date.parse(recordedAt) >= since).map(({ entry }) => entry);
    const whose = await ownResults.judge(world().tips.tip, entries);
    const places: Place[] = [];
    for (const { path, oid } of entries) {
      if (whose.get(path)?.kind !== 'own') continue;
      const commit = (await readResult(oid, opsRepo))?.action.commit ?? '';
      if (isOid(commit)) places.push({ path: `${path.slice(0, -RESULT.length)}.toml`, commit });
    }
    return places;
  }
}

const RESULT = '.result.json';
const subjectOf = (commit: Oid) => `commit ${commit}`;
