import type { Account } from '../../../domain/change.ts';
import { StalledError } from '../../../errors.ts';
import type { ForgeClient } from '../shared/client.ts';
import { accountOf } from './accounts.ts';
import { type User, userSchema } from './schemas.ts';

/**
 * Which account our token is of. The token of an installed app may not ask; then it is learnt from what GitHub says of
 * something that we made ourselves.
 */
export class OwnAccount {
  readonly #client: ForgeClient;
  #known: User = null;

  constructor(client: ForgeClient) {
    this.#client = client;
  }

  /** `user`: who made what this token just made. */
  learn(user: User): void {
    this.#known = user ?? this.#known;
  }

  /** null: nobody can tell yet. */
  async id(signal: AbortSignal | undefined): Promise<number | null> {
    // An answer with an ETag: asking again costs nothing, and a token may be exchanged for that of another account.
    return (await this.#user(signal))?.id ?? null;
  }

  /** Errors: StalledError (ERR_FORGE_DENIED) when nobody can tell yet. */
  async account(signal: AbortSignal | undefined): Promise<Account> {
    const user = await this.#user(signal);
    if (user !== null) return accountOf(user);
    const message = 'the forge: GET /user: the token of an app may not ask whose it is';
    throw new StalledError('ERR_FORGE_DENIED', message, { hint: 'Use a token of an account.' });
  }

  async #user(signal: AbortSignal | undefined): Promise<User> {
    return (await this.ask(signal)) ?? this.#known;
  }

  /** null: it is the token of an app. */
  async ask(signal: AbortSignal | undefined): Promise<User> {
    const found = (await this.#client.get({ path: '/user', absent: [403, 404], signal }, userSchema))?.value;
    return found === undefined ? null : { type: undefined, ...found };
  }
}
