import { setMaxListeners } from 'node:events';
import type { Run, RunStatus } from '../../../domain/run.ts';
import { Latest } from '../shared/latest.ts';
import { Follower, type FollowerTools } from './watch-follower.ts';

/**
 * All runs that somebody watches, each followed once however many watch it. Nothing is left of a run whose last watcher
 * has gone: no request, no timer.
 */
export class Watches {
  readonly #followers = new Map<string, Follower>();
  readonly #tools: FollowerTools;

  constructor(tools: FollowerTools) {
    this.#tools = tools;
  }

  /** See `Engine.watch`. Throws StalledError while the engine denies us for long; then it may be asked for again. */
  async *watch(run: Run, signal: AbortSignal): AsyncGenerator<RunStatus> {
    // One shutdown signal is shared by all runs: ten listeners are no leak.
    setMaxListeners(0, signal);
    const reader = new Latest<RunStatus | Error>();
    const follower = this.#followers.get(run.id) ?? this.#follow(run);
    follower.add(reader);
    try {
      for (let next = await reader.take(signal); next !== null; next = await reader.take(signal)) {
        if (next.of instanceof Error) throw next.of;
        yield next.of;
        if (next.of.state === 'ended') return;
      }
    } finally {
      follower.remove(reader);
      if (follower.isAlone) {
        if (this.#followers.get(run.id) === follower) this.#followers.delete(run.id);
        await follower.end();
      }
    }
  }

  /** The run was asked to stop: its end is near. */
  hint(run: Run): void {
    this.#followers.get(run.id)?.hint();
  }

  #follow(run: Run): Follower {
    const follower = new Follower(run, this.#tools);
    this.#followers.set(run.id, follower);
    return follower;
  }
}
