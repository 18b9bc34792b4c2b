import { StalledError } from '../../../errors.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { ForgeClient } from '../shared/client.ts';
import { type User, userSchema } from './schemas.ts';

const KNOWN_FOR_MS = 600_000;

/**
 * Which account our token is of. Asking needs the scope read:user, which a token may lack; then it is learnt from what
 * the forge says of something that we made ourselves.
 */
export class OwnAccount {
  readonly #client: ForgeClient;
  readonly #clock: Clock;
  #known: { readonly user: NonNullable<User>; readonly at: number } | null = null;

  constructor(client: ForgeClient, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  /** `user`: who the forge says has made what this token just made. */
  learn(user: User): void {
    if (user !== null) this.#known = { user, at: this.#clock.monotonic() };
  }

  /** Errors: StalledError (ERR_FORGE_DENIED) when the token may not ask and nothing was made yet, TransientError. */
  async user(signal: AbortSignal | undefined): Promise<NonNullable<User>> {
    const known = this.#known;
    if (known !== null && this.#clock.monotonic() - known.at < KNOWN_FOR_MS) return known.user;
    const found = (await this.ask(signal)) ?? known?.user;
    if (found === undefined) {
      const message = 'the forge: GET /user: our token may not ask whose it is, so that our comments can not be told';
      throw new StalledError('ERR_FORGE_DENIED', message, { hint: 'Give the token the scope read:user.' });
    }
    this.#known = { user: found, at: this.#clock.monotonic() };
    return found;
  }

  /** null: the token may not ask. */
  async ask(signal: AbortSignal | undefined): Promise<User> {
    return (await this.#client.get({ path: '/user', absent: [403, 404], signal }, userSchema))?.value ?? null;
  }
}
