import { isOid, type Oid, oid } from '../../domain/ids.ts';
import type { Log } from '../../ports/log.ts';
import type { Cache } from './cache.ts';
import { classify, GitFailure } from './failure.ts';

/**
 * Objects of the remote that no branch of the clone leads to, each held by a ref of its own (`<folder>/<id>`), so that
 * tidying up throws away neither them nor what they stand on. All calls within `Cache.whole`, `fetch` and
 * `release` one after the other.
 */
export class HeldObjects {
  readonly #cache: Cache;
  readonly #folder: string;
  readonly #log: Log | undefined;
  readonly #limitMs: number | undefined;
  #held: { readonly generation: number; readonly ids: Promise<Set<Oid>> } | undefined;
  #hasHinted = false;

  /** `folder` is below refs/edge and ours alone. `limitMs`: the longest that a fetch may take; default: git's own time. */
  constructor(cache: Cache, folder: string, log: Log | undefined, limitMs?: number) {
    this.#cache = cache;
    this.#folder = folder;
    this.#log = log;
    this.#limitMs = limitMs;
  }

  /** In the order in which they came; those of an earlier process first. */
  async ids(): Promise<ReadonlySet<Oid>> {
    return this.#ids();
  }

  /** Fetches by id, `together` of them a request, and holds what the server has: answers these. Throws GitFailure. */
  async fetch(ids: readonly Oid[], together: number): Promise<readonly Oid[]> {
    const had: Oid[] = [];
    for (let at = 0; at < ids.length; at += together) had.push(...(await this.#some(ids.slice(at, at + together))));
    return had;
  }

  /** Lets them be thrown away some days later. */
  async release(ids: readonly Oid[]): Promise<void> {
    if (ids.length === 0) return;
    const held = await this.#ids();
    const input = ids.map((id) => `delete ${this.#folder}/${id}\n`).join('');
    await this.#cache.exclusively(() => this.#cache.git.ok(['update-ref', '--stdin'], { input }));
    for (const id of ids) held.delete(id);
  }

  /** A server that lacks one of them refuses them all, and mostly says which: the others are asked for again. */
  async #some(ids: readonly Oid[]): Promise<readonly Oid[]> {
    let wanted = ids;
    while (wanted.length > 0) {
      const refused = await this.#tryFetch(wanted);
      if (refused === null) return wanted;
      if (wanted.length === 1) return [];
      const left = wanted.filter((id) => !refused.includes(id));
      if (left.length === wanted.length) return this.#oneByOne(wanted);
      wanted = left;
    }
    return [];
  }

  async #oneByOne(ids: readonly Oid[]): Promise<readonly Oid[]> {
    const had: Oid[] = [];
    for (const id of ids) had.push(...(await this.#some([id])));
    return had;
  }

  /** null: all are there now; else what the server said that it does not give, as far as it named it. */
  async #tryFetch(ids: readonly Oid[]): Promise<readonly string[] | null> {
    const held = await this.#ids();
    const refspecs = ids.map((id) => `+${id}:${this.#folder}/${id}`);
    const { code, stderr } = await this.#cache.fetchBeside(refspecs, this.#limitMs);
    if (code === 0) {
      for (const id of ids) held.add(id);
      return null;
    }
    const refused = [...stderr.matchAll(REFUSED)];
    if (refused.length === 0) throw new GitFailure(classify(stderr, true), `git fetch (exit ${code})`);
    if (stderr.includes('unadvertised')) this.#hint();
    return refused.flatMap(([, ...named]) => named.find((id) => id !== undefined) ?? []);
  }

  #hint(): void {
    if (this.#hasHinted) return;
    this.#hasHinted = true;
    const hint = 'Allow uploadpack.allowAnySHA1InWant, or version 2 of the protocol, on the server.';
    this.#log?.warn('the git server gives no commits by their id: reviews of what is on no branch do not count', {
      repo: this.#cache.git.shown,
      hint,
    });
  }

  /** Read once for a clone, for all who ask at the same time too: what is added later must not be lost. */
  #ids(): Promise<Set<Oid>> {
    const { generation } = this.#cache;
    if (this.#held?.generation === generation) return this.#held.ids;
    const read = { generation, ids: this.#read() };
    this.#held = read;
    read.ids.catch(() => {
      if (this.#held === read) this.#held = undefined;
    });
    return read.ids;
  }

  async #read(): Promise<Set<Oid>> {
    const out = await this.#cache.git.text(['for-each-ref', '--format=%(refname)', `${this.#folder}/`]);
    const names = out.split('\n').map((ref) => ref.slice(this.#folder.length + 1));
    return new Set(names.filter(isOid).map((name) => oid(name)));
  }
}

/** How servers say that there is no such object: git's own, git before version 2 of the protocol, JGit. */
const REFUSED =
  /not our ref ?([0-9a-f]{40,64})?|unadvertised object ([0-9a-f]{40,64})|want ([0-9a-f]{40,64}) not valid/g;
