import type { Oid } from '../domain/ids.ts';
import type { Reason } from '../domain/run.ts';
import { StalledError, TransientError, toError } from '../errors.ts';
import { recordedId } from '../story/catalogue.ts';
import type { StoryContext } from '../story/context.ts';
import { foreignReason } from '../story/foreign-reason.ts';
import type { ForeignResult } from '../story/own-results.ts';
import type { World } from '../story/world.ts';

/**
 * Looks for results that are not ours: beside the cycles, what was touched since the last look, and after a start all of
 * them. Whatever question finds one, it is said in the log as a security event, once for each commit.
 */
export class ForeignResults {
  readonly #context: StoryContext;
  readonly #onFound: () => void;
  /** By path. */
  readonly #found = new Map<string, ForeignResult>();
  #round: Promise<void> | null = null;

  /** `onFound`: there is one more. */
  constructor(context: StoryContext, onFound: () => void) {
    this.#context = context;
    this.#onFound = onFound;
    context.ownResults.onForeign((foreign) => this.#report(foreign));
  }

  /** Begins to look at what is new; answers at once. */
  look({ tips: { tip } }: World, signal: AbortSignal): void {
    if (!this.#context.ownResults.areSigned || this.#round !== null) return;
    this.#round = this.#judge(tip, signal)
      .catch((error: unknown) => {
        if (signal.aborted || error instanceof TransientError || error instanceof StalledError) return;
        this.#context.log.error('could not look for foreign results', { err: toError(error) });
      })
      .finally(() => {
        this.#round = null;
      });
  }

  /** Actions whose result at the tip is foreign, as far as is known, and why they wait. */
  held({ catalogue }: World): ReadonlyMap<string, Reason> {
    const held = new Map<string, Reason>();
    for (const [path, foreign] of this.#found) {
      const id = recordedId(path, this.#context.settings.sidecarsDir);
      const there = catalogue.result(id);
      if (there?.path !== path || catalogue.files(id).length === 0) continue;
      if (there.oid === foreign.blob) held.set(id, foreignReason(foreign));
    }
    return held;
  }

  /** Answers when nothing of it is under way. */
  async idle(): Promise<void> {
    await this.#round;
  }

  async #judge(tip: Oid, signal: AbortSignal): Promise<void> {
    for (const [path, whose] of await this.#context.ownResults.judgeNews(tip, signal)) {
      if (whose.kind === 'own') this.#found.delete(path);
      else this.#found.set(path, whose);
    }
  }

  #report(foreign: ForeignResult): void {
    const { path, commit, author, committedAt } = foreign;
    const { code, message, hint } = foreignReason(foreign);
    this.#found.set(path, foreign);
    this.#context.log.error('security event: a result that no dispatcher signed', {
      code,
      id: recordedId(path, this.#context.settings.sidecarsDir),
      path,
      commit,
      author,
      committed_at: committedAt,
      reason: message,
      hint,
    });
    this.#onFound();
  }
}
