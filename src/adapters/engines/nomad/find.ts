import { type AttemptToken, isAttemptToken } from '../../../domain/ids.ts';
import type { Run } from '../../../domain/run.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { AttemptRef } from '../../../ports/engine.ts';
import { jobPath, type NomadClient } from './client.ts';
import { firstOwn } from './find-own.ts';
import { type Job, job, jobStubs } from './types.ts';

/** Finds that come within so many milliseconds share a list. */
const GATHER_MS = 20;
/** Tokens of one list: its filter is part of a URL. */
const CHUNK = 250;

interface Wish {
  readonly token: AttemptToken;
  readonly resolve: (children: readonly Job[]) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * Runs by their idempotency token, over the whole namespace. After a restart every live attempt is looked for at once,
 * and each list makes Nomad walk all its jobs: so one list serves many.
 */
export class Finder {
  readonly #client: NomadClient;
  readonly #clock: Clock;
  #gathered: Wish[] = [];

  constructor(client: NomadClient, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  /**
   * null: Nomad holds no child of this token, which proves nothing (it may have been collected). Safe to repeat. Throws
   * StalledError (ERR_FOREIGN_RUN) when there is one that is not ours, and what the client throws.
   */
  async find(attempt: AttemptRef, signal?: AbortSignal): Promise<Run | null> {
    signal?.throwIfAborted();
    const children = await new Promise<readonly Job[]>((resolve, reject) => {
      this.#gathered.push({ token: attempt.token, resolve, reject });
      if (this.#gathered.length === 1) void this.#serve();
    });
    signal?.throwIfAborted();
    return firstOwn(children, attempt);
  }

  async #serve(): Promise<void> {
    await this.#clock.sleep(GATHER_MS);
    const wishes = this.#gathered;
    this.#gathered = [];
    const tokens = [...new Set(wishes.map(({ token }) => token))];
    for (let start = 0; start < tokens.length; start += CHUNK) {
      const chunk = new Set(tokens.slice(start, start + CHUNK));
      const served = wishes.filter(({ token }) => chunk.has(token));
      try {
        const children = await this.#children([...chunk]);
        for (const { token, resolve } of served) {
          resolve(children.filter((child) => child.DispatchIdempotencyToken === token));
        }
      } catch (error) {
        for (const { reject } of served) reject(error);
      }
    }
  }

  /** A row of the list holds neither token nor payload, so each child is read. */
  async #children(tokens: readonly string[]): Promise<readonly Job[]> {
    const list = await this.#client.get('/v1/jobs', jobStubs, { query: { filter: tokenFilter(tokens) } });
    const children = await Promise.all((list?.value ?? []).map(({ ID }) => this.#client.get(jobPath(ID), job)));
    return children.flatMap((child) => (child === null ? [] : [child.value]));
  }
}

/** In Nomad's filter language. Throws a plain Error for what is no token: nothing else may get into the expression. */
export function tokenFilter(tokens: readonly string[]): string {
  if (!tokens.every(isAttemptToken)) throw new Error('not an attempt token');
  const [only] = tokens;
  if (tokens.length === 1) return `DispatchIdempotencyToken == "${only}"`;
  return `DispatchIdempotencyToken matches "^(${tokens.join('|')})$"`;
}
