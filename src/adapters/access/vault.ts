import type { Check } from '../../domain/check.ts';
import type { AttemptToken } from '../../domain/ids.ts';
import type { AccessFragment } from '../../domain/payload.ts';
import { StalledError } from '../../errors.ts';
import type { Access, Consumption, Grant, GrantRequest, SecretState } from '../../ports/access.ts';
import type { Tools } from '../factory.ts';
import { checkStore } from './vault/checks.ts';
import { deployment } from './vault/deployment.ts';
import { mint, revoke } from './vault/grants.ts';
import { placeOfSecret } from './vault/names.ts';
import { type VaultOptions, vaultOptions } from './vault/options.ts';
import { redeem } from './vault/redeem.ts';
import { Secrets } from './vault/secrets.ts';
import { openSession, type Session } from './vault/session.ts';
import { verifyGrant } from './vault/verify.ts';

/**
 * HashiCorp Vault and OpenBao: one response-wrapped token for each attempt, from a token role. The dispatcher's own
 * token reads no value of a secret.
 */
export const vault = {
  options: vaultOptions,
  create: (options: VaultOptions, tools: Tools): Access => new VaultAccess(options, tools),
  deployment,
};

class VaultAccess implements Access {
  readonly kind = 'vault';
  readonly #options: VaultOptions;
  readonly #tools: Tools;
  readonly #session: Session;
  readonly #secrets: Secrets;

  constructor(options: VaultOptions, tools: Tools) {
    this.#options = options;
    this.#tools = tools;
    this.#session = openSession(options, tools);
    this.#secrets = new Secrets(this.#session, options, tools.clock);
  }

  check(signal?: AbortSignal): Promise<readonly Check[]> {
    return checkStore(
      { session: this.#session, options: this.#options, secrets: this.#secrets, tools: this.#tools },
      signal,
    );
  }

  async states(names: readonly string[], signal?: AbortSignal): Promise<ReadonlyMap<string, SecretState>> {
    const entries = names.map(async (name) => [name, await this.#secrets.state(name, signal)] as const);
    return new Map(await Promise.all(entries));
  }

  placeOf(name: string): string {
    return placeOfSecret(this.#options, name);
  }

  grant(request: GrantRequest, signal?: AbortSignal): Promise<Grant> {
    return mint(this.#session, this.#options, request, signal);
  }

  async verify(request: GrantRequest, grant: Grant, signal?: AbortSignal): Promise<void> {
    const catalogue = await this.#secrets.catalogue(signal);
    await verifyGrant(this.#session, this.#options, { request, grant, catalogue }, signal);
  }

  async consume(fragment: AccessFragment, signal?: AbortSignal): Promise<Consumption> {
    if (fragment.kind !== this.kind) {
      throw new StalledError('ERR_ACCESS_DENIED', `the payload's access is ${fragment.kind}, not vault`);
    }
    return await redeem(this.#session.client, this.#tools.clock, fragment, signal);
  }

  async revoke(accessor: string, token: AttemptToken, signal?: AbortSignal): Promise<string> {
    await revoke(this.#session, this.#options, { accessor, token }, signal);
    return this.#tools.clock.now().toISOString();
  }
}
