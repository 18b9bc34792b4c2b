import { type AttemptToken, isAttemptToken } from '../../../domain/ids.ts';
import type { Run } from '../../../domain/run.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { AttemptRef } from '../../../ports/engine.ts';
import { jobPath, type NomadCalls } from './client.ts';
import { firstOwn, isOwn } from './find-own.ts';
import { type ChildJob, childJob, jobStubs } from './types.ts';

/** Finds that come within so many milliseconds share a list. */
const GATHER_MS = 20;
/** An answer that takes longer is not waited for by the next list. */
const SLOW_MS = 500;
/** Tokens of one list: its filter is part of a URL. */
const CHUNK = 250;

/** What stands under a token. */
interface Found {
  readonly children: readonly ChildJob[];
  /** Why not each of the children of the list could be read; null: each was. */
  readonly failure: { readonly of: unknown } | null;
}

interface Wish {
  readonly token: AttemptToken;
  readonly resolve: (found: Found) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * Runs by their idempotency token, over the whole namespace. After a restart every live attempt is looked for at once,
 * and each list makes Nomad walk all its jobs: so one list serves many.
 */
export class Finder {
  readonly #client: NomadCalls;
  readonly #clock: Clock;
  #gathered: Wish[] = [];
  #isServing = false;

  constructor(client: NomadCalls, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  /**
   * null: Nomad holds no child of this token, which proves nothing (it may have been collected). Safe to repeat. Throws
   * StalledError (ERR_FOREIGN_RUN) when there is one that is not ours, and what the client throws.
   */
  async find(attempt: AttemptRef, signal?: AbortSignal): Promise<Run | null> {
    signal?.throwIfAborted();
    const { children, failure } = await new Promise<Found>((resolve, reject) => {
      this.#gathered.push({ token: attempt.token, resolve, reject });
      if (!this.#isServing) void this.#serve();
    });
    signal?.throwIfAborted();
    // What could not be read may be ours, so without it nothing is called foreign, and nothing absent.
    if (failure !== null && !children.some((child) => isOwn(child, attempt))) throw failure.of;
    return firstOwn(children, attempt);
  }

  /** What is asked for while a list is under way shares the next; but a question that hangs holds up nobody else's. */
  async #serve(): Promise<void> {
    this.#isServing = true;
    while (this.#gathered.length > 0) {
      await this.#clock.sleep(GATHER_MS);
      const over = new AbortController();
      const answered = this.#answer(this.#gathered.splice(0)).finally(() => over.abort());
      await Promise.race([answered, this.#clock.sleep(SLOW_MS, over.signal)]);
    }
    this.#isServing = false;
  }

  async #answer(wishes: readonly Wish[]): Promise<void> {
    const tokens = [...new Set(wishes.map(({ token }) => token))];
    for (let start = 0; start < tokens.length; start += CHUNK) {
      const chunk = new Set(tokens.slice(start, start + CHUNK));
      const served = wishes.filter(({ token }) => chunk.has(token));
      try {
        const { children, failure } = await this.#read([...chunk]);
        for (const { token, resolve } of served) {
          resolve({ children: children.filter((child) => child.DispatchIdempotencyToken === token), failure });
        }
      } catch (error) {
        for (const { reject } of served) reject(error);
      }
    }
  }

  /** A row of the list holds neither token nor payload, so each child is read. */
  async #read(tokens: readonly string[]): Promise<Found> {
    const list = await this.#client.get('/v1/jobs', jobStubs, { query: { filter: tokenFilter(tokens) } });
    const rows = list?.value ?? [];
    const reads = await Promise.allSettled(rows.map(({ ID }) => this.#client.get(jobPath(ID), childJob)));
    const failed = reads.find((read) => read.status === 'rejected');
    return {
      children: reads.flatMap((read) => (read.status === 'rejected' || read.value === null ? [] : [read.value.value])),
      failure: failed === undefined ? null : { of: failed.reason },
    };
  }
}

/** In Nomad's filter language. Throws a plain Error for what is no token: nothing else may get into the expression. */
export function tokenFilter(tokens: readonly string[]): string {
  if (!tokens.every(isAttemptToken)) throw new Error('not an attempt token');
  const [only] = tokens;
  if (tokens.length === 1) return `DispatchIdempotencyToken == "${only}"`;
  return `DispatchIdempotencyToken matches "^(${tokens.join('|')})$"`;
}
