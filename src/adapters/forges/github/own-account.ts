import type { ForgeClient } from '../shared/client.ts';
import { type User, userSchema } from './schemas.ts';

/**
 * Which account our token is of. The token of an installed app may not ask; then it is learnt from what GitHub says of
 * something that we made ourselves.
 */
export class OwnAccount {
  readonly #client: ForgeClient;
  #known: number | null = null;

  constructor(client: ForgeClient) {
    this.#client = client;
  }

  /** `user`: who made what this token just made. */
  learn(user: User): void {
    this.#known = user?.id ?? this.#known;
  }

  /** null: nobody can tell yet. */
  async id(signal: AbortSignal | undefined): Promise<number | null> {
    // An answer with an ETag: asking again costs nothing, and a token may be exchanged for that of another account.
    return (await this.ask(signal))?.id ?? this.#known;
  }

  /** null: it is the token of an app. */
  async ask(signal: AbortSignal | undefined): Promise<{ readonly id: number; readonly login: string } | null> {
    return (await this.#client.get({ path: '/user', absent: [403, 404], signal }, userSchema))?.value ?? null;
  }
}
