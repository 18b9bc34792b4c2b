import type { Check } from '../../src/domain/check.ts';
import type { AttemptToken } from '../../src/domain/ids.ts';
import type { AccessFragment } from '../../src/domain/payload.ts';
import { StalledError } from '../../src/errors.ts';
import type { Access, Consumption, Grant, GrantRequest, SecretState } from '../../src/ports/access.ts';
import type { Clock } from '../../src/ports/clock.ts';

interface Wrapper {
  readonly accessor: string;
  readonly request: GrantRequest;
  readonly expiresAt: number;
  used: boolean;
  revoked: boolean;
}

/** Secrets in memory. A wrapper is redeemed once, whoever comes first; a revoked one never. */
export class MemoryAccess implements Access {
  readonly kind = 'memory';
  readonly secrets = new Map<string, SecretState>();
  /** All that was ever minted, by wrapping token. */
  readonly wrappers = new Map<string, Wrapper>();
  /** The next grants are more than what was asked. */
  mintsTooMuch = false;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async check(): Promise<readonly Check[]> {
    return [];
  }

  async states(names: readonly string[]): Promise<ReadonlyMap<string, SecretState>> {
    return new Map(names.map((name) => [name, this.secrets.get(name) ?? 'missing']));
  }

  async grant(request: GrantRequest): Promise<Grant> {
    const wrapping = this.#clock.key();
    const accessor = `accessor-${this.wrappers.size + 1}`;
    const now = this.#clock.now();
    const expiresAt = new Date(now.getTime() + request.wrapSeconds * 1000);
    this.wrappers.set(wrapping, { accessor, request, expiresAt: expiresAt.getTime(), used: false, revoked: false });
    const paths = request.secrets.map((name) => [name, { path: `edge/runner/${name}`, field: 'value' }] as const);
    return {
      fragment: {
        kind: this.kind,
        address: 'memory',
        namespace: '',
        wrapping_token: wrapping,
        creation_path: 'memory/create',
        wrap_expires_at: expiresAt.toISOString(),
        secrets: Object.fromEntries(paths),
      },
      accessor,
      policies: ['edge-run', ...request.secrets.map((name) => `runner-${name}`)],
      issuedAt: now.toISOString(),
      expiresAt: expiresAt.toISOString(),
    };
  }

  async verify(): Promise<void> {
    if (this.mintsTooMuch) throw new StalledError('ERR_ACCESS_DENIED', 'the grant: it is more than what was asked');
  }

  async consume(fragment: AccessFragment): Promise<Consumption> {
    return this.redeem(fragment.wrapping_token);
  }

  async revoke(accessor: string, token: AttemptToken): Promise<string> {
    for (const wrapper of this.wrappers.values()) {
      if (wrapper.accessor !== accessor) continue;
      if (wrapper.request.token !== token) throw new StalledError('ERR_ACCESS_DENIED', 'it is of another attempt');
      wrapper.revoked = true;
    }
    return this.#clock.now().toISOString();
  }

  /** What a runner does with its payload, too. */
  redeem(wrapping: string): Consumption {
    const wrapper = this.wrappers.get(wrapping);
    if (wrapper === undefined || wrapper.used || wrapper.revoked) return 'used';
    wrapper.used = true;
    return wrapper.expiresAt <= this.#clock.now().getTime() ? 'expired' : 'consumed';
  }

  /** Tokens that are neither redeemed nor revoked nor over. */
  get loose(): number {
    const now = this.#clock.now().getTime();
    return [...this.wrappers.values()].filter((each) => !each.used && !each.revoked && each.expiresAt > now).length;
  }
}
