import type { Announcement } from '../../domain/announcement.ts';
import type { Change, ChangeCommit } from '../../domain/change.ts';
import type { Oid } from '../../domain/ids.ts';
import type { Plan } from '../../domain/plan.ts';
import { EdgeError, TransientError, toError } from '../../errors.ts';
import type { StoryContext } from '../../story/context.ts';
import type { World } from '../../story/world.ts';
import { type Beside, besideOf } from './beside.ts';
import { type DescribeTools, describeMerged, describeProposal, isOver, planAll } from './describe.ts';
import { type Followed, follow, isOpenAndOurs } from './followed.ts';
import { Merges } from './merges.ts';
import { Rests } from './rests.ts';
import { type Reviews, readReviews } from './reviews.ts';
import { concernsUs, countOf, NOTHING, newIn, type Touched, touchedIn } from './touched.ts';
import { Writer } from './writer.ts';

/*
 * Tells people on the forge what becomes of a change: a comment with the plan of its actions before it is merged, where
 * they are afterwards, and how they ended; and a status beside its commits.
 *
 *   open      looked at when it is new or its head moved; told again when the world or the reviews changed
 *   merged    followed until all its actions have ended; found by the commits of what is pending, also after a restart
 *   closed    told once, then forgotten
 *
 * It only tells: nothing here can hold up, allow or refuse anything, and an outage of the forge ends in a later try.
 */

export interface Announcer {
  /** Something happened that people may want to read of. */
  wake(): void;
  /** Goes on until the signal is aborted. Never throws. */
  run(signal: AbortSignal): Promise<void>;
  /** One round, for `run --once`. Never throws. */
  once(signal: AbortSignal): Promise<void>;
}

export type AnnouncerDeps = Omit<DescribeTools, 'signal'>;

export function createAnnouncer(deps: AnnouncerDeps): Announcer {
  return new ForgeAnnouncer(deps);
}

/** The open changes are asked for so often, and right after the branch moved. */
const ASK_MS = 15_000;
/** What was said is thought over again so often, even if the world has not changed: reviews and secrets come and go. */
const AGAIN_MS = 60_000;
/** What people say on the open changes is read the less often the more of them there are, so much for each. */
const EACH_MS = 5_000;
/** What happens within this time is told together. */
const SETTLE_MS = 1_000;
/** One line in the log in this time. */
const QUIET_MS = 30_000;

class ForgeAnnouncer implements Announcer {
  readonly #deps: AnnouncerDeps;
  readonly #context: StoryContext;
  readonly #writer: Writer;
  readonly #rests: Rests;
  readonly #merges: Merges;
  readonly #followed = new Map<number, Followed>();
  #waker = new AbortController();
  #asked: { readonly at: number; readonly tip: Oid } | null = null;
  /** After so long the forge is asked again for what people said on an open change, in milliseconds. */
  #pauseMs = AGAIN_MS;
  #saidAt = -Infinity;

  constructor(deps: AnnouncerDeps) {
    this.#deps = deps;
    this.#context = deps.context;
    this.#writer = new Writer(deps.forge, deps.context.clock);
    this.#rests = new Rests(deps.context.clock, (error) => this.#complain(error));
    this.#merges = new Merges(deps.forge, deps.context, this.#rests);
  }

  wake(): void {
    this.#waker.abort();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#context;
    while (!signal.aborted) {
      this.#waker = new AbortController();
      const pause = await this.#round(signal);
      await clock.sleep(SETTLE_MS, signal);
      const wakeable = pause === 0 ? AbortSignal.any([signal, this.#waker.signal]) : signal;
      await clock.sleep(Math.max(pause, ASK_MS - SETTLE_MS), wakeable);
    }
  }

  async once(signal: AbortSignal): Promise<void> {
    await this.#round(signal);
  }

  /** Answers for how long the forge wants to be left alone, in milliseconds. */
  async #round(signal: AbortSignal): Promise<number> {
    try {
      this.#rests.begin();
      this.#pauseMs = Math.max(AGAIN_MS, [...this.#followed.values()].filter(isOpenAndOurs).length * EACH_MS);
      await this.#merges.note();
      await this.#findOpen(signal);
      for (const change of await this.#merges.find(signal)) this.#follow(change);
      // What fails comes last: however much of it there is, the others have had their turn.
      const failures = ({ change }: Followed) => this.#rests.failures(subjectOf(change.number));
      const inTurn = [...this.#followed.values()].toSorted((one, other) => failures(one) - failures(other));
      for (const followed of inTurn) {
        await this.#rests.attempt(subjectOf(followed.change.number), () => this.#tell(followed, signal), signal);
      }
    } catch (error) {
      if (signal.aborted) return 0;
      this.#complain(error);
      return error instanceof TransientError ? Math.max(error.retryAfterMs ?? 0, ASK_MS) : 0;
    }
    return 0;
  }

  async #findOpen(signal: AbortSignal): Promise<void> {
    const { forge } = this.#deps;
    const { clock, settings } = this.#context;
    const { tip } = this.#context.world().tips;
    const now = clock.monotonic();
    if (this.#asked !== null && this.#asked.tip === tip && now - this.#asked.at < ASK_MS) return;
    const open = await forge.openChanges(settings.branch, signal);
    this.#asked = { at: now, tip };
    for (const change of open) this.#follow(change);
    const numbers = new Set(open.map(({ number }) => number));
    for (const followed of this.#followed.values()) {
      const { number, state } = followed.change;
      if (state !== 'open' || numbers.has(number) || now - followed.missedAt < this.#pauseMs) continue;
      await this.#rests.attempt(subjectOf(number), () => this.#askFor(followed, signal), signal);
    }
  }

  /** Merged, closed, or pushed out of a list that is full. */
  async #askFor(followed: Followed, signal: AbortSignal): Promise<boolean> {
    const { number } = followed.change;
    followed.missedAt = this.#context.clock.monotonic();
    const change = await this.#deps.forge.change(number, signal);
    if (change === null || change.base !== this.#context.settings.branch) this.#letGo(number);
    else this.#follow(change);
    return true;
  }

  #follow(change: Change): void {
    const known = this.#followed.get(change.number);
    if (known === undefined) {
      this.#followed.set(change.number, follow(change));
      return;
    }
    if (known.change.head !== change.head || known.change.state !== change.state) {
      known.told = null;
      this.#rests.forget(subjectOf(change.number));
    }
    known.change = change;
  }

  /** False: there was nothing to ask. */
  async #tell(followed: Followed, signal: AbortSignal): Promise<boolean> {
    const world = this.#context.world();
    const touched = await this.#look(followed, signal);
    if (touched === null) return false;
    const isOpen = followed.change.state === 'open';
    if (countOf(touched) === 0 && !(isOpen && followed.heads.size > 0)) {
      // An open one that is none of our business stays, so that it is not looked at anew.
      if (!isOpen) this.#letGo(followed.change.number);
      return false;
    }
    if (!this.#isDue(followed, world, this.#context.clock.monotonic())) return false;
    await this.#describe(followed, touched, signal);
    return true;
  }

  #isDue({ told, change }: Followed, world: World, now: number): boolean {
    if (told === null || told.world !== world || change.state === 'merged') return true;
    return now - told.at >= AGAIN_MS;
  }

  /** By git, once for each commit, and only if there is anything of ours. null: the commit can't be had (yet). */
  async #look(followed: Followed, signal: AbortSignal): Promise<Touched | null> {
    const { change } = followed;
    const commit = change.merge?.commit ?? change.head;
    if (followed.looked?.commit === commit) return followed.looked.touched;
    const { policyFile } = this.#deps.settings;
    const files = await this.#deps.forge.files(change.number, signal);
    const isOurs = concernsUs(files, policyFile, this.#context.settings);
    if (isOurs && !(await this.#obtain(commit, change.number, signal))) return null;
    const touched = isOurs ? await touchedIn(commit, files, policyFile, this.#context) : NOTHING;
    followed.looked = { commit, touched };
    followed.plans = null;
    followed.beside = null;
    return touched;
  }

  /** Gone, of a fork that hides it, or too large: each try can cost a fetch, so none follows soon. */
  async #obtain(commit: Oid, change: number, signal: AbortSignal): Promise<boolean> {
    try {
      if ((await this.#context.opsRepo.obtain([commit], signal)).has(commit)) return true;
    } catch (error) {
      if (signal.aborted) throw error;
      this.#complain(error);
    }
    this.#rests.rest(subjectOf(change));
    return false;
  }

  async #describe(followed: Followed, touched: Touched, signal: AbortSignal): Promise<void> {
    const { change } = followed;
    const world = this.#context.world();
    const at = this.#context.clock.monotonic();
    const announcement =
      change.state === 'merged'
        ? await describeMerged(change, touched, await this.#plansOf(followed, touched, signal), this.#tools(signal))
        : await this.#proposal(followed, touched, signal);
    if (announcement === null) return;
    const commits = await this.#besideOf(followed, touched, signal);
    if (!(await this.#writer.write(change, announcement, commits, signal))) return;
    followed.told = { at, world };
    if (change.state === 'closed' || (change.state === 'merged' && isOver(announcement))) this.#letGo(change.number);
  }

  /** null: all of it lies on the branch already, by another change or because the forge has not heard of the merge yet. */
  async #proposal(followed: Followed, all: Touched, signal: AbortSignal): Promise<Announcement | null> {
    const { change } = followed;
    const touched = await newIn(all, this.#context.world().tips.tip, this.#context);
    if (countOf(touched) === 0 && countOf(all) > 0 && change.state === 'open') return null;
    const isAsked = touched.actions.length > 0 && change.state === 'open';
    const reviews = isAsked ? await this.#reviewsOf(followed, signal) : null;
    return describeProposal(change, touched, reviews, this.#tools(signal));
  }

  /** Of this head; what was read is described again in each new world, and not asked for again. */
  async #reviewsOf(followed: Followed, signal: AbortSignal): Promise<Reviews> {
    const { forge, settings } = this.#deps;
    const { opsRepo, clock } = this.#context;
    const { change, reviews } = followed;
    const at = clock.monotonic();
    if (reviews?.head === change.head && at - reviews.at < this.#pauseMs) return { ...reviews.reviews, change };
    const commits = await this.#commitsOf(followed, signal);
    const tools = { opsRepo, forgeAdmins: settings.forgeAdmins, commits };
    const read = await readReviews(change, forge, tools, signal);
    followed.reviews = { at, head: change.head, reviews: read };
    return read;
  }

  /** A list without the head is kept for nobody: the forge may not have come to it yet. */
  async #commitsOf(followed: Followed, signal: AbortSignal): Promise<readonly ChangeCommit[]> {
    const { head, number } = followed.change;
    if (followed.commits?.head === head) return followed.commits.commits;
    const commits = await this.#deps.forge.commits(number, signal);
    if (commits.some(({ oid }) => oid === head)) followed.commits = { head, commits };
    return commits;
  }

  async #besideOf(followed: Followed, touched: Touched, signal: AbortSignal): Promise<Beside> {
    const { heads, beside, change } = followed;
    const { head, state } = change;
    if (beside?.head === head && beside.state === state) return beside.commits;
    const changes = [...this.#followed.values()].filter((other) => other !== followed).map((other) => other.change);
    const others = new Set(changes.flatMap((other) => (other.merge === null ? [other.head] : [other.merge.commit])));
    const own = await this.#commitsOf(followed, signal);
    const tools = { own, opsRepo: this.#context.opsRepo, heads, others };
    const commits = await besideOf(change, touched, tools, signal);
    followed.beside = { head, state, commits };
    heads.add(head);
    return commits;
  }

  #tools(signal: AbortSignal): DescribeTools {
    return { ...this.#deps, signal };
  }

  async #plansOf(followed: Followed, touched: Touched, signal: AbortSignal): Promise<readonly Plan[]> {
    const { inForce } = this.#context.world();
    const at = this.#context.clock.monotonic();
    const { plans } = followed;
    if (plans !== null && plans.inForce === inForce && at - plans.at < AGAIN_MS) return plans.plans;
    const made = await planAll(followed.change, touched, this.#tools(signal));
    followed.plans = { at, inForce, plans: made };
    return made;
  }

  #letGo(number: number): void {
    this.#followed.delete(number);
    this.#merges.forget(number);
    this.#writer.forget(number);
    this.#rests.forget(subjectOf(number));
  }

  #complain(error: unknown): void {
    const { log, clock } = this.#context;
    const now = clock.monotonic();
    if (now - this.#saidAt < QUIET_MS) return;
    this.#saidAt = now;
    if (error instanceof EdgeError) {
      const { code, message, hint } = error;
      log.warn('cannot tell people on the forge', { code, reason: message, hint });
    } else log.error('telling people on the forge broke off', { err: toError(error) });
  }
}

const subjectOf = (change: number) => `change ${change}`;
