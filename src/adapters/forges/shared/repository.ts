import { z } from 'zod';
import { StalledError } from '../../../errors.ts';
import type { Clock } from '../../../ports/clock.ts';
import { failure } from './answers.ts';
import type { ForgeClient } from './client.ts';

const TRUSTED_MS = 10_000;
const PATH = '/repos/{owner}/{repo}';

/** The ops repo as one token sees it. A forge says 404 for "no access" too, so a 404 alone is never a "no". */
export class Repository {
  /** Fill `/repos/{owner}/{repo}` of every path. */
  readonly values: { readonly owner: string; readonly repo: string };
  readonly #client: ForgeClient;
  readonly #clock: Clock;
  #seenAt = Number.NEGATIVE_INFINITY;

  /** `name`: `owner/name`. */
  constructor(client: ForgeClient, name: string, clock: Clock) {
    const [owner = '', repo = ''] = name.split('/');
    this.values = { owner, repo };
    this.#client = client;
    this.#clock = clock;
  }

  /**
   * The answer itself; null only when the repository answered with the same token, now or up to ten seconds ago. Errors:
   * StalledError (ERR_FORGE_DENIED) when it does not, TransientError.
   */
  async confirmed<T>(answer: T | null, signal: AbortSignal | undefined): Promise<T | null> {
    if (answer !== null) this.#seenAt = this.#clock.monotonic();
    else if (this.#clock.monotonic() - this.#seenAt > TRUSTED_MS) await this.look(z.looseObject({}), signal);
    return answer;
  }

  /** The repository itself. Errors: StalledError when the token may not see it, TransientError. */
  async look<T>(schema: z.ZodType<T>, signal: AbortSignal | undefined): Promise<T> {
    const answer = await this.#client.get({ path: PATH, values: this.values, signal }, schema);
    if (answer === null) throw failure('not-there', `GET ${PATH}`, { mark: 404 });
    this.#seenAt = this.#clock.monotonic();
    return answer.value;
  }

  /** The answer itself; where there is none though there has to be: StalledError or TransientError. */
  async required<T>(answer: T | null, name: string, signal: AbortSignal | undefined): Promise<T> {
    const found = await this.confirmed(answer, signal);
    if (found !== null) return found;
    throw new StalledError('ERR_FORGE_DENIED', `the forge: ${name}: there is no such thing`);
  }
}
