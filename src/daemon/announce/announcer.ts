import type { Announcement } from '../../domain/announcement.ts';
import type { Change } from '../../domain/change.ts';
import type { Oid } from '../../domain/ids.ts';
import type { Plan } from '../../domain/plan.ts';
import { EdgeError, StalledError, TransientError, toError } from '../../errors.ts';
import type { StoryContext } from '../../story/context.ts';
import type { World } from '../../story/world.ts';
import { type Beside, besideOf } from './beside.ts';
import { type DescribeTools, describeMerged, describeProposal, isOver, planAll } from './describe.ts';
import { Merges } from './merges.ts';
import { readReviews } from './reviews.ts';
import { newIn, type Touched, touchedIn } from './touched.ts';
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
/** What happens within this time is told together. */
const SETTLE_MS = 1_000;
/** A change of which something may not be read or written rests so long, so that it does not hold up the others. */
const REST_MS = 300_000;
/** One line in the log in this time. */
const QUIET_MS = 30_000;

interface Followed {
  change: Change;
  /** What of it concerns us, at which commit; null: not looked at yet. */
  looked: { readonly commit: Oid; readonly touched: Touched } | null;
  /** Of a merged one, kept for a while: who waits is not planned anew at each step of another. */
  plans: { readonly at: number; readonly inForce: World['inForce']; readonly plans: readonly Plan[] } | null;
  /** Beside which commits a status stands, for this head and state. */
  beside: (Pick<Change, 'head' | 'state'> & { readonly commits: Beside }) | null;
  /** Heads of which something was told. */
  readonly heads: Set<Oid>;
  /** When it was described last, in which world. */
  told: { readonly at: number; readonly world: World } | null;
  restUntil: number;
}

class ForgeAnnouncer implements Announcer {
  readonly #deps: AnnouncerDeps;
  readonly #context: StoryContext;
  readonly #writer: Writer;
  readonly #merges: Merges;
  readonly #followed = new Map<number, Followed>();
  #waker = new AbortController();
  #asked: { readonly at: number; readonly tip: Oid } | null = null;
  #saidAt = -Infinity;

  constructor(deps: AnnouncerDeps) {
    this.#deps = deps;
    this.#context = deps.context;
    this.#writer = new Writer(deps.forge, deps.context.clock);
    this.#merges = new Merges(deps.forge, deps.context);
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
      await this.#merges.note();
      await this.#findOpen(signal);
      for (const change of await this.#merges.find(signal)) this.#follow(change);
      for (const followed of this.#followed.values()) await this.#tell(followed, signal);
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
    for (const [number, followed] of this.#followed) {
      if (followed.change.state !== 'open' || numbers.has(number)) continue;
      // Merged, closed, or pushed out of a list that is full.
      const change = await forge.change(number, signal);
      if (change === null || change.base !== settings.branch) this.#followed.delete(number);
      else this.#follow(change);
    }
  }

  #follow(change: Change): void {
    const known = this.#followed.get(change.number);
    if (known === undefined) {
      const fresh = { change, looked: null, plans: null, beside: null, heads: new Set<Oid>() };
      this.#followed.set(change.number, { ...fresh, told: null, restUntil: -Infinity });
      return;
    }
    if (known.change.head !== change.head || known.change.state !== change.state) known.told = null;
    known.change = change;
  }

  async #tell(followed: Followed, signal: AbortSignal): Promise<void> {
    const { clock } = this.#context;
    const world = this.#context.world();
    const now = clock.monotonic();
    if (now < followed.restUntil) return;
    try {
      const touched = await this.#look(followed, signal);
      const concerns = touched !== null && countOf(touched) > 0;
      // An open one that is none of our business stays, so that it is not looked at anew.
      if (touched === null) return;
      const isOpen = followed.change.state === 'open';
      if (!concerns && !(isOpen && followed.heads.size > 0)) return this.#letGo(followed, !isOpen);
      if (!this.#isDue(followed, world, now)) return;
      await this.#describe(followed, touched, signal);
    } catch (error) {
      if (!(error instanceof StalledError)) throw error;
      followed.restUntil = now + REST_MS;
      this.#complain(error);
    }
  }

  #isDue({ told, change }: Followed, world: World, now: number): boolean {
    if (told === null || told.world !== world || change.state === 'merged') return true;
    return now - told.at >= AGAIN_MS;
  }

  /** By git, once for each commit. null: the commit can't be had (yet). */
  async #look(followed: Followed, signal: AbortSignal): Promise<Touched | null> {
    const { change } = followed;
    const { opsRepo } = this.#context;
    const commit = change.merge?.commit ?? change.head;
    if (followed.looked?.commit === commit) return followed.looked.touched;
    const files = await this.#deps.forge.files(change.number, signal);
    if (!(await opsRepo.obtain([commit], signal)).has(commit)) {
      // Gone, or of a fork that hides it: not asked for at each round.
      followed.restUntil = this.#context.clock.monotonic() + AGAIN_MS;
      return null;
    }
    const touched = await touchedIn(commit, files, this.#deps.settings.policyFile, this.#context);
    followed.looked = { commit, touched };
    followed.plans = null;
    followed.beside = null;
    return touched;
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
    this.#letGo(followed, change.state === 'closed' || (change.state === 'merged' && isOver(announcement)));
  }

  /** null: all of it lies on the branch already, by another change or because the forge has not heard of the merge yet. */
  async #proposal({ change }: Followed, all: Touched, signal: AbortSignal): Promise<Announcement | null> {
    const { forge, settings } = this.#deps;
    const { opsRepo, world } = this.#context;
    const touched = await newIn(all, world().tips.tip, this.#context);
    if (countOf(touched) === 0 && countOf(all) > 0 && change.state === 'open') return null;
    const isAsked = touched.actions.length > 0 && change.state === 'open';
    const tools = { opsRepo, forgeAdmins: settings.forgeAdmins };
    const reviews = isAsked ? await readReviews(change, forge, tools, signal) : null;
    return describeProposal(change, touched, reviews, this.#tools(signal));
  }

  async #besideOf(followed: Followed, touched: Touched, signal: AbortSignal): Promise<Beside> {
    const { heads, beside, change } = followed;
    const { head, state } = change;
    if (beside?.head === head && beside.state === state) return beside.commits;
    const changes = [...this.#followed.values()].filter((other) => other !== followed).map((other) => other.change);
    const others = new Set(changes.flatMap((other) => (other.merge === null ? [other.head] : [other.merge.commit])));
    const tools = { forge: this.#deps.forge, opsRepo: this.#context.opsRepo, heads, others };
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

  #letGo({ change: { number } }: Followed, isOverNow: boolean): void {
    if (!isOverNow) return;
    this.#followed.delete(number);
    this.#merges.forget(number);
    this.#writer.forget(number);
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

function countOf({ actions, gated }: Touched): number {
  return actions.length + gated.length;
}
