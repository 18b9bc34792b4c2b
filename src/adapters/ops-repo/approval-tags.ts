import { abortable } from '../../domain/abortable.ts';
import type { Oid } from '../../domain/ids.ts';
import type { Log } from '../../ports/log.ts';
import type { ApprovalTag } from '../../ports/ops-repo.ts';
import type { Cache } from './cache.ts';
import { HeldObjects } from './held-objects.ts';
import type { RemoteRefs } from './refs.ts';
import { type ParsedTag, parseTag, tagSignature } from './tag-object.ts';

const FOLDER = 'refs/tags/approve/';
/** So many new ones are fetched at a look, the others at the next ones: in the order in which they were first seen. */
const MOST_AT_ONCE = 10_000;
const LARGEST_TAG = 1 << 20;
const TOGETHER = 200;

/**
 * The tags that people approve with, as the server has them at the moment: it is asked each time, and only tag objects
 * that are new are fetched (with what they name). One look after the other.
 *
 * Whoever may push can make any number of tags, by any name. So none is left out because of its name or its place: junk
 * can delay a tag that comes after it, never hide it. What carries no SSH signature can't approve and is not held.
 */
export class ApprovalTags {
  readonly #cache: Cache;
  readonly #refs: RemoteRefs;
  readonly #held: HeldObjects;
  readonly #log: Log | undefined;
  readonly #mostAtOnce: number;
  /** By id; null: unsigned, a tag of something else, or too large. */
  readonly #parsed = new Map<Oid, ParsedTag | null>();
  /** Those not fetched yet, whose turn is next first. */
  readonly #waiting = new Set<Oid>();
  #looks: Promise<unknown> = Promise.resolve();
  #hasHinted = false;

  constructor(cache: Cache, refs: RemoteRefs, log: Log | undefined, mostAtOnce = MOST_AT_ONCE) {
    this.#cache = cache;
    this.#refs = refs;
    this.#held = new HeldObjects(cache, 'refs/edge/tags', log);
    this.#log = log;
    this.#mostAtOnce = mostAtOnce;
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
    const there = byName(await listed);
    const ids = new Set(there.map(([, id]) => id));
    await this.#forget(ids);
    await this.#fetch(ids);
    const held = await this.#held.ids();
    for (const id of held) if (!this.#parsed.has(id)) this.#parsed.set(id, await this.#parse(id));
    await this.#held.release([...held].filter((id) => this.#parsed.get(id) === null));
    this.#hint(there.length);
    return there.flatMap(([ref, id]) => {
      const tag = held.has(id) ? this.#parsed.get(id) : undefined;
      return tag ? [{ oid: id, ref, ...tag }] : [];
    });
  }

  /** What the server has no more. */
  async #forget(there: ReadonlySet<Oid>): Promise<void> {
    const isGone = (id: Oid) => !there.has(id);
    for (const id of [...this.#parsed.keys()].filter(isGone)) this.#parsed.delete(id);
    for (const id of [...this.#waiting].filter(isGone)) this.#waiting.delete(id);
    await this.#held.release([...(await this.#held.ids())].filter(isGone));
  }

  /** One that vanished meanwhile is not held, and comes last from then on. */
  async #fetch(there: ReadonlySet<Oid>): Promise<void> {
    const held = await this.#held.ids();
    for (const id of held) this.#waiting.delete(id);
    for (const id of there) if (!held.has(id) && this.#parsed.get(id) !== null) this.#waiting.add(id);
    const turn = [...this.#waiting].slice(0, this.#mostAtOnce);
    await this.#held.fetch(turn, TOGETHER);
    const now = await this.#held.ids();
    for (const id of turn) {
      this.#waiting.delete(id);
      if (!now.has(id)) this.#waiting.add(id);
    }
  }

  async #parse(id: Oid): Promise<ParsedTag | null> {
    const object = await this.#cache.object(id, LARGEST_TAG);
    if (object?.type !== 'tag' || object.content === null || tagSignature(object.content) !== 'ssh') return null;
    const tag = parseTag(object.content);
    return tag !== null && (await this.#cache.object(tag.commit, 0))?.type === 'commit' ? tag : null;
  }

  #hint(tags: number): void {
    if (tags <= this.#mostAtOnce || this.#hasHinted) return;
    this.#hasHinted = true;
    const hint = `Delete tags beneath ${FOLDER} whose actions have ended.`;
    this.#log?.warn('there are so many approval tags that new ones are read late', { tags, hint });
  }
}

function byName(there: ReadonlyMap<string, Oid>): readonly (readonly [string, Oid])[] {
  return [...there].filter(([ref]) => !/[\p{Cc}\s]/u.test(ref)).toSorted(([a], [b]) => (a < b ? -1 : 1));
}
