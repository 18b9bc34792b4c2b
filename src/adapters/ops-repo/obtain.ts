import { abortable } from '../../domain/abortable.ts';
import type { Oid } from '../../domain/ids.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import type { Cache } from './cache.ts';
import { GroupCommit } from './group-commit.ts';
import { HeldObjects } from './held-objects.ts';

/** The longest line of requests is one for each of them; a server that names what it lacks is asked a few times. */
const TOGETHER = 20;
/** The ones that were asked for first go first. */
const MOST_HELD = 5_000;
/** Anybody who may propose a change may propose a very large one. */
const LIMIT_MS = 15_000;

/**
 * Makes commits readable that are on no branch: by id, those that the clone lacks. What is asked for at the same time
 * goes together. That the server lacks one is not remembered, it may be pushed later.
 */
export class Obtainer {
  readonly #cache: Cache;
  readonly #held: HeldObjects;
  readonly #wanted: GroupCommit<Oid, boolean>;
  /** Known to be on the branch. */
  #ofBranch: { readonly generation: number; readonly ids: Set<Oid> } = { generation: -1, ids: new Set() };

  constructor(cache: Cache, clock: Clock, log: Log | undefined, limitMs = LIMIT_MS) {
    this.#cache = cache;
    this.#held = new HeldObjects(cache, 'refs/edge/kept', log, limitMs);
    this.#wanted = new GroupCommit({
      flush: async (group) => ({ answers: await this.#flush(group), pushed: false }),
      spacingMs: 0,
      clock,
      signal: cache.git.closing,
    });
  }

  async obtain(commits: readonly Oid[], signal?: AbortSignal): Promise<ReadonlySet<Oid>> {
    signal?.throwIfAborted();
    // An id of the other hash is nobody's object, and git would take it for the name of a branch.
    const length = this.#cache.tip?.length;
    const all = [...new Set(commits)].filter((commit) => length === undefined || commit.length === length);
    const there = new Set(await this.#cache.whole(() => this.#present(all)));
    const missing = all.filter((commit) => !there.has(commit));
    const came = await abortable(Promise.all(missing.map((commit) => this.#wanted.submit(commit))), signal);
    for (const [index, commit] of missing.entries()) if (came[index]) there.add(commit);
    return there;
  }

  /** Resolves when nothing is under way. */
  idle(): Promise<void> {
    return this.#wanted.idle();
  }

  async #flush(group: readonly Oid[]): Promise<boolean[]> {
    const wanted = [...new Set(group)];
    const there = await this.#cache.whole(async () => {
      const present = await this.#present(wanted);
      const came = await this.#held.fetch(
        wanted.filter((commit) => !present.includes(commit)),
        TOGETHER,
      );
      const commits = await this.#present(came);
      await this.#held.release(came.filter((id) => !commits.includes(id)));
      await this.#makeRoom();
      return new Set([...present, ...commits]);
    });
    return group.map((commit) => there.has(commit));
  }

  /** Those that are whole in the clone: of a fetch that was stopped halfway the commit alone may have come. */
  async #present(ids: readonly Oid[]): Promise<readonly Oid[]> {
    const held = await this.#held.ids();
    const present: Oid[] = [];
    for (const id of ids) {
      if ((await this.#cache.object(id, 0))?.type !== 'commit') continue;
      if (held.has(id) || (await this.#isOfBranch(id))) present.push(id);
    }
    return present;
  }

  async #isOfBranch(commit: Oid): Promise<boolean> {
    const { tip, generation, git } = this.#cache;
    if (this.#ofBranch.generation !== generation) this.#ofBranch = { generation, ids: new Set() };
    const { ids } = this.#ofBranch;
    if (tip === null || ids.has(commit)) return ids.has(commit);
    // Where its own parents did not come git fails, which is no damage: it is fetched again.
    const { code } = await git.run(['merge-base', '--is-ancestor', commit, tip]);
    if (code === 0) ids.add(commit);
    return code === 0;
  }

  async #makeRoom(): Promise<void> {
    const held = [...(await this.#held.ids())];
    await this.#held.release(held.slice(0, Math.max(0, held.length - MOST_HELD)));
  }
}
