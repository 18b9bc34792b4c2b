import { askAgainMs } from '../domain/ask-again.ts';
import type { Reason } from '../domain/run.ts';
import { CODES, type Code, toError } from '../errors.ts';
import type { StoryContext } from '../story/context.ts';
import type { Ended } from '../story/no-or-not-yet.ts';
import { reason } from '../story/reasons.ts';
import { judgeAction, type Ready } from '../story/run-action.ts';
import type { Waiting } from '../story/waiting.ts';
import type { Candidate, World } from '../story/world.ts';
import { type ActionFacts, FactBook } from './action-facts.ts';

export interface Judged {
  readonly ready: Ready[];
  readonly ended: readonly Ended[];
  readonly waiting: Map<string, Reason>;
}

interface Now {
  readonly world: World;
  /** The operator's wishes to cancel; null: not known. */
  readonly wishes: ReadonlyMap<string, unknown> | null;
  readonly signal: AbortSignal;
}

interface Kept {
  readonly facts: string;
  /** Since when these are the facts. All times but `changesAt` are monotonic. */
  readonly since: number;
  readonly at: number;
  readonly until: number;
  readonly changesAt: number;
  readonly verdict: Ready | Waiting;
}

/**
 * Where a person mends something first or says whether a wish to cancel counts, or where this host's own note says when
 * it goes on.
 */
const KEPT_MS = 10_000;
/** A hint is worth that much time between two. */
const HINT_MS = 10_000;
/** Of so many waiting actions a hint makes the forge be asked anew; of more, it is asked at its own pace. */
const ASKED_ANEW = 20;
const AT_ONCE = 8;

/**
 * Judges what is pending. While all that is known of an action here is the same, what was said of it holds for a while
 * (`askAgainMs`), so that thousands of waiting actions cost nothing; an outage and a wish to cancel are looked at every
 * time, and what time alone changes at that time. The claim takes every verdict again anyway.
 */
export class Judgements {
  readonly #context: StoryContext;
  readonly #facts: FactBook;
  readonly #kept = new Map<string, Kept>();
  /** Since when this process knows the bytes of an action; monotonic. */
  readonly #seen = new Map<string, { readonly commit: string; readonly at: number }>();
  #hintedAt = -Infinity;
  #isHinted = false;

  constructor(context: StoryContext) {
    this.#context = context;
    this.#facts = new FactBook(context.opsRepo, context.settings.approvalDays);
  }

  /** Somebody says that something happened: what waits is judged again once. More of them than one in 10 s are one. */
  hint(): void {
    this.#isHinted = true;
  }

  /** One that came too soon after the last counts when its time has come, and is not lost. */
  #takeHint(): void {
    const now = this.#context.clock.monotonic();
    if (!this.#isHinted || now - this.#hintedAt < HINT_MS) return;
    this.#isHinted = false;
    this.#hintedAt = now;
  }

  async all(candidates: readonly Candidate[], world: World, signal: AbortSignal): Promise<Judged> {
    this.#takeHint();
    const ready: Ready[] = [];
    const ended: Ended[] = [];
    const waiting = new Map<string, Reason>();
    const verdicts = await this.#each(candidates, world, signal);
    for (const { candidate, verdict } of verdicts) {
      if (verdict.kind === 'ready') ready.push(verdict);
      else if (verdict.kind === 'ended') ended.push(verdict);
      else waiting.set(candidate.id, verdict.reason);
    }
    const ids = new Set<string>(candidates.map(({ id }) => id));
    for (const map of [this.#kept, this.#seen]) for (const id of map.keys()) if (!ids.has(id)) map.delete(id);
    this.#facts.retain(new Set(candidates.map(({ file }) => file.entry.oid)));
    return { ready, ended, waiting };
  }

  /** Some at a time, in their order: one whose evidence is slow to come does not hold up the others. */
  async #each(candidates: readonly Candidate[], world: World, signal: AbortSignal) {
    const verdicts: { candidate: Candidate; verdict: Ready | Waiting | Ended }[] = [];
    // Where they can't be read, each action is judged anew, which says so.
    const wishes = this.#kept.size === 0 ? null : await this.#context.control.stopRequests().catch(() => null);
    const now = { world, wishes, signal };
    let next = 0;
    const work = async () => {
      for (let at = next++; at < candidates.length; at = next++) {
        const candidate = candidates[at];
        if (candidate !== undefined) verdicts[at] = { candidate, verdict: await this.#one(candidate, now) };
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    return verdicts;
  }

  #isNew({ id, commit }: Candidate): boolean {
    const { clock, settings } = this.#context;
    const now = clock.monotonic();
    const known = this.#seen.get(id);
    const seen = known?.commit === commit ? known : { commit, at: now };
    this.#seen.set(id, seen);
    return now - seen.at < settings.graceMs;
  }

  async #one(candidate: Candidate, { world, wishes, signal }: Now): Promise<Ready | Waiting | Ended> {
    const { clock, log } = this.#context;
    const kept = this.#kept.get(candidate.id);
    try {
      const facts = await this.#facts.of(candidate, world, clock.now());
      const holds = kept !== undefined && this.#holds(kept, facts);
      if (holds && wishes?.has(candidate.id) === false) return kept.verdict;
      const fresh = kept !== undefined && kept.at < this.#hintedAt && this.#kept.size <= ASKED_ANEW;
      const asked = { signal, isNew: this.#isNew(candidate), fresh };
      const verdict = await judgeAction(candidate, this.#context, asked);
      if (verdict.kind === 'ended' || facts === null || classOf(verdict) === 'transient') {
        this.#kept.delete(candidate.id);
      } else this.#keep(candidate.id, verdict, facts);
      return verdict;
    } catch (error) {
      // A bug of ours with one action must not stop the others.
      log.error('could not judge the action', { id: candidate.id, err: toError(error) });
      return { kind: 'waiting', reason: reason('ERR_INTERNAL', 'the dispatcher made a mistake; its log says more') };
    }
  }

  #holds({ facts, at, until, changesAt }: Kept, now: ActionFacts | null): boolean {
    const { clock } = this.#context;
    return (
      now?.text === facts && clock.monotonic() < until && at >= this.#hintedAt && clock.now().getTime() < changesAt
    );
  }

  #keep(id: string, verdict: Ready | Waiting, { text, changesAt, isWished }: ActionFacts): void {
    const { clock, forge } = this.#context;
    const at = clock.monotonic();
    const before = this.#kept.get(id);
    const since = before?.facts === text ? before.since : at;
    const waited = { age: at - since, waiting: this.#kept.size, asksForge: forge !== null, random: clock.random() };
    const isSoon = isWished || classOf(verdict) === 'stalled' || codeOf(verdict) === 'ERR_RETRY_DUE';
    const ms = isSoon ? KEPT_MS : askAgainMs(waited);
    this.#kept.set(id, { facts: text, since, at, until: at + ms, changesAt, verdict });
  }
}

/** null: it may run. */
const codeOf = (verdict: Ready | Waiting): Code | null => (verdict.kind === 'waiting' ? verdict.reason.code : null);

function classOf(verdict: Ready | Waiting): string | null {
  const code = codeOf(verdict);
  return code === null ? null : CODES[code].class;
}
