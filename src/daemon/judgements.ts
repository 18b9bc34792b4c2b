import type { Reason } from '../domain/run.ts';
import { CODES, toError } from '../errors.ts';
import type { StoryContext } from '../story/context.ts';
import type { Ended } from '../story/no-or-not-yet.ts';
import { reason } from '../story/reasons.ts';
import { judgeAction, type Ready } from '../story/run-action.ts';
import type { Waiting } from '../story/waiting.ts';
import type { Candidate, World } from '../story/world.ts';

export interface Judged {
  readonly ready: Ready[];
  readonly ended: readonly Ended[];
  readonly waiting: Map<string, Reason>;
}

interface Kept {
  readonly world: World;
  readonly at: number;
  readonly verdict: Ready | Waiting;
}

/** Time alone can end a wait (not_before, approval_days): asked again after this long even if nothing has changed. */
const KEPT_MS = 10_000;
const AT_ONCE = 8;

/**
 * Judges what is pending. While the world is the same, what was said of an action holds for a while, so that a thousand
 * waiting actions cost nothing; a wish to cancel and an outage are looked at every time. The claim takes every verdict
 * again anyway.
 */
export class Judgements {
  readonly #context: StoryContext;
  readonly #kept = new Map<string, Kept>();
  /** Since when this process knows the bytes of an action; monotonic. */
  readonly #seen = new Map<string, { readonly commit: string; readonly at: number }>();

  constructor(context: StoryContext) {
    this.#context = context;
  }

  async all(candidates: readonly Candidate[], world: World, signal: AbortSignal): Promise<Judged> {
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
    return { ready, ended, waiting };
  }

  /** Some at a time, in their order: one whose evidence is slow to come does not hold up the others. */
  async #each(candidates: readonly Candidate[], world: World, signal: AbortSignal) {
    const verdicts: { candidate: Candidate; verdict: Ready | Waiting | Ended }[] = [];
    let next = 0;
    const work = async () => {
      for (let at = next++; at < candidates.length; at = next++) {
        const candidate = candidates[at];
        if (candidate !== undefined) verdicts[at] = { candidate, verdict: await this.#one(candidate, world, signal) };
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

  async #one(candidate: Candidate, world: World, signal: AbortSignal): Promise<Ready | Waiting | Ended> {
    const { clock, control, log } = this.#context;
    const kept = this.#kept.get(candidate.id);
    const isFresh = kept?.world === world && clock.monotonic() - kept.at < KEPT_MS;
    try {
      if (isFresh && (await control.stopRequest(candidate.id)) === null) return kept.verdict;
      const verdict = await judgeAction(candidate, this.#context, { signal, isNew: this.#isNew(candidate) });
      if (verdict.kind === 'ended' || isOutage(verdict)) this.#kept.delete(candidate.id);
      else this.#kept.set(candidate.id, { world, at: clock.monotonic(), verdict });
      return verdict;
    } catch (error) {
      // A bug of ours with one action must not stop the others.
      log.error('could not judge the action', { id: candidate.id, err: toError(error) });
      return { kind: 'waiting', reason: reason('ERR_INTERNAL', 'the dispatcher made a mistake; its log says more') };
    }
  }
}

function isOutage(verdict: Ready | Waiting): boolean {
  return verdict.kind === 'waiting' && ['transient', 'stalled'].includes(CODES[verdict.reason.code].class);
}
