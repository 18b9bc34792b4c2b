import type { AttemptToken } from '../../src/domain/ids.ts';
import type { AccessFragment, Payload } from '../../src/domain/payload.ts';
import { StalledError } from '../../src/errors.ts';
import type { Access, Consumption, Grant, GrantRequest, SecretState } from '../../src/ports/access.ts';
import type { Clock } from '../../src/ports/clock.ts';
import { EPOCH } from './machine.ts';
import type { Link } from './network.ts';
import type { Timeline } from './timeline.ts';

/** A run's token, and the single-use wrapper that it was delivered in. */
export interface Minted {
  readonly accessor: string;
  readonly wrapper: string;
  readonly request: GrantRequest;
  /** Of the wrapper, and of the token itself: simulated time. */
  readonly wrapEndsAt: number;
  readonly endsAt: number;
  /** Who unwrapped it; null: nobody did. */
  holder: 'run' | 'dispatcher' | null;
  isRevoked: boolean;
  /** The answer to our own unwrapping was lost: nobody can prove anything with this wrapper any more. */
  isAnswerLost: boolean;
  /** Which process of ours unwrapped it; it may die before it has written that down. */
  unwrappedIn: { readonly isDead: boolean } | null;
}

/** The secret store: wrappers that are unwrapped once, tokens that live until they are revoked or over. */
export class SimVault {
  readonly minted: Minted[] = [];
  readonly #timeline: Timeline;
  readonly #secrets: ReadonlySet<string>;

  constructor(timeline: Timeline, secrets: ReadonlySet<string>) {
    this.#timeline = timeline;
    this.#secrets = secrets;
  }

  has(name: string): boolean {
    return this.#secrets.has(name);
  }

  mint(request: GrantRequest): Minted {
    const number = this.minted.length + 1;
    const { now } = this.#timeline;
    const wrapEndsAt = now + request.wrapSeconds * 1000;
    const token: Minted = {
      accessor: `accessor-${number}`,
      wrapper: `wrapper-${number}`,
      request,
      wrapEndsAt,
      endsAt: wrapEndsAt + 120_000,
      holder: null,
      isRevoked: false,
      isAnswerLost: false,
      unwrappedIn: null,
    };
    this.minted.push(token);
    return token;
  }

  /** Null: it was used before, or is over. A token that was revoked comes out all the same, and is worth nothing. */
  unwrap(wrapper: string, holder: 'run' | 'dispatcher'): Minted | null {
    const found = this.minted.find((one) => one.wrapper === wrapper);
    if (found === undefined || found.holder !== null || found.wrapEndsAt <= this.#timeline.now) return null;
    found.holder = holder;
    return found;
  }

  isAlive({ isRevoked, endsAt }: Minted): boolean {
    return !isRevoked && endsAt > this.#timeline.now;
  }

  byAccessor(accessor: string): Minted | undefined {
    return this.minted.find((one) => one.accessor === accessor);
  }

  /** What the runner does before its command: unwrap, look up what it has, compare. Null: it may go on. */
  redeemForRun(
    payload: Payload,
  ): 'ERR_WRAPPER_USED' | 'ERR_WRAPPER_EXPIRED' | 'ERR_SECRET_DENIED' | 'ERR_DIGEST' | null {
    const token = this.unwrap(payload.access.wrapping_token, 'run');
    if (token === null) {
      const isOver = Date.parse(payload.access.wrap_expires_at) <= EPOCH + this.#timeline.now;
      return isOver ? 'ERR_WRAPPER_EXPIRED' : 'ERR_WRAPPER_USED';
    }
    if (!this.isAlive(token)) return 'ERR_SECRET_DENIED';
    const { blobs, token: attempt } = token.request;
    const isSame = blobs.action === payload.blobs.action && blobs.formula === payload.blobs.formula;
    return isSame && attempt === payload.token ? null : 'ERR_DIGEST';
  }
}

/** The store as a dispatcher reaches it. */
export class SimAccess implements Access {
  readonly kind = 'vault';
  readonly #vault: SimVault;
  readonly #link: Link;
  readonly #clock: Clock;

  constructor(vault: SimVault, link: Link, clock: Clock) {
    this.#vault = vault;
    this.#link = link;
    this.#clock = clock;
  }

  async check() {
    return [];
  }

  async states(names: readonly string[]): Promise<ReadonlyMap<string, SecretState>> {
    if (names.length === 0) return new Map();
    return this.#link.call('states of secrets', () => {
      return new Map(names.map((name) => [name, this.#vault.has(name) ? 'present' : 'missing'] as const));
    });
  }

  async grant(request: GrantRequest): Promise<Grant> {
    const minted = await this.#link.call(`mint for ${request.id}/${request.attempt}`, () => this.#vault.mint(request));
    const issued = EPOCH + minted.wrapEndsAt - request.wrapSeconds * 1000;
    const expiresAt = new Date(EPOCH + minted.wrapEndsAt).toISOString();
    const paths = request.secrets.map((name) => [name, { path: `edge/runner/${name}`, field: 'value' }] as const);
    return {
      fragment: {
        kind: this.kind,
        address: 'simulated',
        namespace: '',
        wrapping_token: minted.wrapper,
        creation_path: 'auth/token/create/edge-run',
        wrap_expires_at: expiresAt,
        secrets: Object.fromEntries(paths),
      },
      accessor: minted.accessor,
      policies: ['edge-run', ...request.secrets.map((name) => `runner-${name}`)],
      issuedAt: new Date(issued).toISOString(),
      expiresAt,
    };
  }

  verify(_request: GrantRequest, grant: Grant): Promise<void> {
    return this.#link.call('verify a token', () => {
      const token = this.#vault.byAccessor(grant.accessor);
      if (token === undefined || !this.#vault.isAlive(token)) throw new StalledError('ERR_ACCESS_DENIED', 'it is gone');
    });
  }

  /** As the real one: unwrap, then give back what came out, as well as can be. */
  async consume(fragment: AccessFragment): Promise<Consumption> {
    const minted = await this.#link.call(
      'unwrap it ourselves',
      () => {
        const found = this.#vault.unwrap(fragment.wrapping_token, 'dispatcher');
        if (found !== null) found.unwrappedIn = this.#link.process;
        return found;
      },
      (answer) => {
        if (answer !== null) answer.isAnswerLost = true;
      },
    );
    if (minted === null) {
      return Date.parse(fragment.wrap_expires_at) <= this.#clock.now().getTime() ? 'expired' : 'used';
    }
    const giveBack = () => {
      minted.isRevoked = true;
    };
    await this.#link.call('revoke what came out', giveBack).catch(() => undefined);
    return 'consumed';
  }

  async revoke(accessor: string, token: AttemptToken): Promise<string> {
    await this.#link.call(`revoke ${accessor}`, () => {
      const found = this.#vault.byAccessor(accessor);
      if (found === undefined) return;
      if (found.request.token !== token) throw new StalledError('ERR_ACCESS_DENIED', 'it is of another attempt');
      found.isRevoked = true;
    });
    return this.#clock.now().toISOString();
  }
}
