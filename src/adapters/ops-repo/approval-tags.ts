import type { Oid } from '../../domain/ids.ts';
import type { Log } from '../../ports/log.ts';
import type { ApprovalTag } from '../../ports/ops-repo.ts';
import { abortable, type Cache } from './cache.ts';
import { HeldObjects } from './held-objects.ts';
import type { RemoteRefs } from './refs.ts';
import { type ParsedTag, parseTag } from './tag-object.ts';

const FOLDER = 'refs/tags/approve/';
const MOST_TAGS = 10_000;
const LARGEST_TAG = 1 << 20;
const TOGETHER = 200;

/**
 * The tags that people approve with, as the server has them at the moment: it is asked each time, and only tag objects
 * that are new are fetched (with what they name). One look after the other.
 */
export class ApprovalTags {
  readonly #cache: Cache;
  readonly #refs: RemoteRefs;
  readonly #held: HeldObjects;
  readonly #log: Log | undefined;
  /** By id; null: a tag of something else, or too large. */
  #parsed = new Map<Oid, ParsedTag | null>();
  #looks: Promise<unknown> = Promise.resolve();
  #hasHinted = false;

  constructor(cache: Cache, refs: RemoteRefs, log: Log | undefined) {
    this.#cache = cache;
    this.#refs = refs;
    this.#held = new HeldObjects(cache, 'refs/edge/tags', log);
    this.#log = log;
  }

  /** By ref. Errors of the port. */
  read(signal?: AbortSignal): Promise<readonly ApprovalTag[]> {
    const look = this.#looks.then(() => this.#cache.whole(() => this.#look()));
    this.#looks = look.catch(() => undefined);
    return abortable(look, signal);
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    await this.#looks;
  }

  async #look(): Promise<readonly ApprovalTag[]> {
    const listed = abortable(this.#refs.annotatedTags(FOLDER), this.#cache.git.closing);
    const there = this.#bounded(await listed);
    const ids = new Set(there.map(([, id]) => id));
    await this.#hold(ids);
    const held = await this.#held.ids();
    const parsed = new Map<Oid, ParsedTag | null>();
    for (const id of ids) {
      const known = this.#parsed.get(id);
      if (held.has(id)) parsed.set(id, known === undefined ? await this.#parse(id) : known);
    }
    this.#parsed = parsed;
    return there.flatMap(([ref, id]) => {
      const tag = parsed.get(id);
      return tag ? [{ oid: id, ref, ...tag }] : [];
    });
  }

  /** One that vanished meanwhile is not held. */
  async #hold(ids: ReadonlySet<Oid>): Promise<void> {
    const held = await this.#held.ids();
    const gone = [...held].filter((id) => !ids.has(id));
    await this.#held.fetch(
      [...ids].filter((id) => !held.has(id)),
      TOGETHER,
    );
    await this.#held.release(gone);
  }

  async #parse(id: Oid): Promise<ParsedTag | null> {
    const object = await this.#cache.object(id, LARGEST_TAG);
    const tag = object?.type === 'tag' && object.content !== null ? parseTag(object.content) : null;
    return tag !== null && (await this.#cache.object(tag.commit, 0))?.type === 'commit' ? tag : null;
  }

  #bounded(there: ReadonlyMap<string, Oid>): readonly (readonly [string, Oid])[] {
    const named = [...there].filter(([ref]) => !/[\p{Cc}\s]/u.test(ref)).toSorted(([a], [b]) => (a < b ? -1 : 1));
    if (named.length > MOST_TAGS && !this.#hasHinted) {
      this.#hasHinted = true;
      const hint = `Delete tags beneath ${FOLDER} whose actions have ended.`;
      this.#log?.warn('there are too many approval tags, the last ones are not read', { tags: named.length, hint });
    }
    return named.slice(0, MOST_TAGS);
  }
}
