import { z } from 'zod';
import type { SecretText } from '../../../domain/secret-text.ts';
import { EdgeError, TransientError } from '../../../errors.ts';
import type { Clock } from '../../../ports/clock.ts';
import { expectOk, type VaultClient } from './client.ts';
import type { TokenSource } from './token-source.ts';

/*
 * Our own token. What a token can still do is learnt once, and then it is kept alive:
 *
 *   unknown   from a file or the environment, not looked up yet            → looked up at the next use
 *   fresh     less than half of its life has passed                        → used as it is
 *   due       more than half has passed                                    → renewed; a login that renewal no longer
 *                                                                            lengthens is made anew
 *   refused   the store does not know it any more (a plain 403)            → made or read anew, once for each refusal
 *
 * Upkeep happens before a use, and by a timer that keeps nothing alive, so that an idle daemon does not lose a token.
 * A failure of the upkeep is no failure of the use: the token may be good for hours.
 */

interface Terms {
  /** Monotonic milliseconds of when they were told. */
  readonly since: number;
  /** What is left from then on, in seconds; 0: no end. */
  readonly seconds: number;
  readonly renewable: boolean;
}

interface Held {
  readonly token: SecretText;
  /** Null: not looked up yet. */
  readonly terms: Terms | null;
  /** How long it was to live when it was made, in seconds; renewals that fall short of half of it are the last ones. */
  readonly whole: number;
}

const RETRY_MS = 30_000;
const LONGEST_PAUSE_MS = 3600 * 1000;

const lookedUp = z.object({ data: z.object({ ttl: z.number(), renewable: z.boolean().optional() }) });
const renewed = z.object({ auth: z.object({ lease_duration: z.number(), renewable: z.boolean() }) });

export class OwnToken {
  readonly #source: TokenSource;
  readonly #client: VaultClient;
  readonly #clock: Clock;
  #held: Held | null = null;
  #making: Promise<Held> | null = null;
  #upkeep: Promise<void> | null = null;
  #notBefore = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(source: TokenSource, client: VaultClient, clock: Clock) {
    this.#source = source;
    this.#client = client;
    this.#clock = clock;
  }

  /** Whether there can be another token once this one has ended. */
  get canBeMadeAnew(): boolean {
    return this.#source.kind === 'login';
  }

  /** The token to use now. Errors: StalledError when there is none, TransientError when a login finds nobody. */
  async current(): Promise<SecretText> {
    const held = await this.#hold();
    if (!this.#isDue(held)) return held.token;
    this.#upkeep ??= this.#keepUp(held).finally(() => {
      this.#upkeep = null;
    });
    await this.#upkeep;
    return this.#held?.token ?? held.token;
  }

  /** Another token than the one that the store refused just now; null: there is none. Errors as of `current`. */
  async replace(refused: SecretText): Promise<SecretText | null> {
    if (this.#held?.token.reveal() === refused.reveal()) this.#held = null;
    const { token } = await this.#hold();
    return token.reveal() === refused.reveal() ? null : token;
  }

  /** What is held, as long as it is still what the source gives; a login is held until it ends. */
  async #hold(): Promise<Held> {
    const { kind } = this.#source;
    const held = this.#held;
    if (kind === 'login' && held !== null && !this.#isOver(held)) return held;
    this.#making ??= this.#make().finally(() => {
      this.#making = null;
    });
    return await this.#making;
  }

  async #make(): Promise<Held> {
    const { token, seconds = 0, renewable } = await this.#source.obtain();
    const held = this.#held;
    // Read again and found the same: what is known of it stays known.
    if (held !== null && held.token.reveal() === token.reveal()) return held;
    const terms = renewable === undefined ? null : { since: this.#clock.monotonic(), seconds, renewable };
    this.#held = { token, terms, whole: seconds };
    this.#notBefore = Number.NEGATIVE_INFINITY;
    this.#wakeLater();
    return this.#held;
  }

  #isOver({ terms }: Held): boolean {
    return terms !== null && terms.seconds > 0 && this.#clock.monotonic() - terms.since >= terms.seconds * 1000;
  }

  #isDue(held: Held): boolean {
    const now = this.#clock.monotonic();
    if (now < this.#notBefore) return false;
    if (held.terms === null) return true;
    return this.#canKeepUp(held) && now - held.terms.since >= (held.terms.seconds * 1000) / 2;
  }

  #canKeepUp({ terms }: Held): boolean {
    return terms !== null && terms.seconds > 0 && (terms.renewable || this.canBeMadeAnew);
  }

  async #keepUp(held: Held): Promise<void> {
    this.#notBefore = this.#clock.monotonic() + RETRY_MS;
    try {
      const next = held.terms === null ? await this.#lookUp(held) : await this.#lengthen(held, held.terms);
      // Another one may have come in the meantime: it is not overwritten.
      if (this.#held === held || this.#held === null) this.#held = next;
      this.#notBefore = Number.NEGATIVE_INFINITY;
    } catch (error) {
      if (!(error instanceof EdgeError)) throw error;
    }
    this.#wakeLater();
  }

  async #lookUp({ token }: Held): Promise<Held> {
    const doing = 'look up our own token';
    const answer = await this.#client.send({ doing, method: 'GET', path: 'auth/token/lookup-self' }, token);
    const { ttl, renewable = false } = expectOk(answer, doing, lookedUp).data;
    return { token, terms: { since: this.#clock.monotonic(), seconds: ttl, renewable }, whole: ttl };
  }

  async #lengthen(held: Held, terms: Terms): Promise<Held> {
    if (this.canBeMadeAnew && (!terms.renewable || terms.seconds * 2 < held.whole)) return await this.#logInAnew();
    try {
      return await this.#renew(held);
    } catch (error) {
      if (!this.canBeMadeAnew || error instanceof TransientError) throw error;
      return await this.#logInAnew();
    }
  }

  async #renew({ token, whole }: Held): Promise<Held> {
    const doing = 'renew our own token';
    const path = 'auth/token/renew-self';
    const answer = await this.#client.send({ doing, method: 'POST', path, body: {} }, token);
    const { lease_duration: seconds, renewable } = expectOk(answer, doing, renewed).auth;
    return { token, terms: { since: this.#clock.monotonic(), seconds, renewable }, whole };
  }

  async #logInAnew(): Promise<Held> {
    const { token, seconds = 0, renewable = false } = await this.#source.obtain();
    return { token, terms: { since: this.#clock.monotonic(), seconds, renewable }, whole: seconds };
  }

  #wakeLater(): void {
    clearTimeout(this.#timer);
    const held = this.#held;
    if (held?.terms && !this.#canKeepUp(held)) return;
    const now = this.#clock.monotonic();
    const due = held?.terms ? held.terms.since + (held.terms.seconds * 1000) / 2 : now;
    const pause = Math.min(Math.max(due, this.#notBefore) - now, LONGEST_PAUSE_MS);
    const wake = (): void => {
      // Whoever uses the token next is told what is wrong with it.
      this.current().then(
        () => this.#wakeLater(),
        () => undefined,
      );
    };
    this.#timer = setTimeout(wake, Math.max(pause, 1000)).unref();
  }
}
