import type { AccessFragment, Payload } from '../../src/domain/payload.ts';
import { redeemVault } from '../../src/runner/redeem-vault.ts';
import type { Redemption } from '../../src/runner/redemption.ts';
import { RunnerError } from '../../src/runner/runner-error.ts';
import type { VaultPatience } from '../../src/runner/vault-session.ts';
import type { Installation } from './vault/install.ts';
import { FakeVault } from './vault/server.ts';

/** Whose wrapper it is. */
export type Bearer = Pick<Payload, 'token' | 'blobs'>;

export interface MintPlan {
  /** Names that the payload has paths for. */
  readonly names: readonly string[];
  /** Default: of the names, and edge-run. */
  readonly policies?: readonly string[];
  /** The token role; default: the installation's. */
  readonly role?: string;
  readonly ttlSeconds?: number;
}

/** A wrapped token of an attempt, as the dispatcher mints it, in the form in which the payload carries it. */
export async function mint(
  vault: FakeVault,
  installed: Installation,
  { token, blobs }: Bearer,
  { names, policies = ['edge-run', ...names.map((name) => `runner-${name}`)], role, ttlSeconds = 300 }: MintPlan,
): Promise<AccessFragment> {
  const creationPath = `auth/token/create/${role ?? installed.role}`;
  const response = await fetch(`${vault.address}/v1/${creationPath}`, {
    method: 'POST',
    headers: { 'X-Vault-Token': vault.rootToken, 'X-Vault-Wrap-TTL': `${ttlSeconds}s`, connection: 'close' },
    body: JSON.stringify({
      policies,
      ttl: `${ttlSeconds + 120}s`,
      explicit_max_ttl: `${ttlSeconds + 120}s`,
      meta: { attempt_token: token, action_blob: blobs.action, formula_blob: blobs.formula },
    }),
  });
  const { wrap_info: wrapper } = (await response.json()) as { wrap_info: { token: string; creation_time: string } };
  const { kvMount, secretPath, field } = installed;
  const placeOf = (name: string) => ({ path: `${kvMount}/data/${secretPath.replace('{name}', name)}`, field });
  return {
    kind: 'vault',
    address: vault.address,
    namespace: '',
    wrapping_token: wrapper.token,
    creation_path: creationPath,
    wrap_expires_at: new Date(Date.parse(wrapper.creation_time) + ttlSeconds * 1000).toISOString(),
    secrets: Object.fromEntries(names.map((name) => [name, placeOf(name)])),
  };
}

export const BEARER: Bearer = {
  token: '0123456789abcdef'.repeat(2),
  blobs: { action: 'a'.repeat(40), formula: 'b'.repeat(40) },
};
/** The server is sooner back than that. */
export const PATIENT: VaultPatience = { totalMs: 60_000, callMs: 10_000, pauseMs: 5 };
/** Where the server stays away. */
export const HASTY: VaultPatience = { totalMs: 60, callMs: 10_000, pauseMs: 5 };

/** A fake Vault, and redemptions in this very process. */
export class RedeemBench {
  readonly vault: FakeVault;
  readonly installed: Installation;
  readonly stop = new AbortController();
  readonly #open: Redemption[] = [];

  private constructor(vault: FakeVault, installed: Installation) {
    this.vault = vault;
    this.installed = installed;
  }

  static async start(secrets: Readonly<Record<string, string>>): Promise<RedeemBench> {
    const vault = await FakeVault.start();
    return new RedeemBench(vault, vault.install({ secrets }));
  }

  wrapper(plan: MintPlan): Promise<AccessFragment> {
    return mint(this.vault, this.installed, BEARER, plan);
  }

  async redeem(access: AccessFragment, patience = PATIENT): Promise<Redemption> {
    const redemption = await redeemVault(access, { caFile: null, stop: this.stop.signal }, patience);
    this.#open.push(redemption);
    return redemption;
  }

  /** Mints and redeems. */
  async granted(plan: MintPlan, patience = PATIENT): Promise<Redemption> {
    return await this.redeem(await this.wrapper(plan), patience);
  }

  async close(): Promise<void> {
    this.stop.abort();
    for (const redemption of this.#open) await redemption.close().catch(() => undefined);
    await this.vault.close();
  }
}

/** `<code>: <message>` of what is thrown. */
export async function refusalOf(failing: Promise<unknown>): Promise<string> {
  const thrown = await failing.then(
    () => new Error('it did not fail'),
    (error: unknown) => error,
  );
  if (!(thrown instanceof RunnerError)) throw thrown;
  return `${thrown.reason}: ${thrown.message}`;
}
