import type { AccessFragment } from '../domain/payload.ts';
import type { RedeemTools, Redemption } from './redemption.ts';
import { RunnerError } from './runner-error.ts';

type Redeemer = (access: AccessFragment, tools: RedeemTools) => Promise<Redemption>;

/** One kind of access a file, and its line here. Loaded when it is needed: each run needs one of them. */
const REDEEMERS: ReadonlyMap<string, () => Promise<Redeemer>> = new Map([
  ['file', async (): Promise<Redeemer> => (await import('./redeem-ticket.ts')).redeemTicket],
  ['vault', async (): Promise<Redeemer> => (await import('./redeem-vault.ts')).redeemVault],
]);

/**
 * Redeems the payload's wrapper, also when no secret is asked: this is what makes the attempt single. Of all who try, in
 * all processes, one succeeds; never safe to repeat. Whoever has the redemption closes it. Throws RunnerError
 * (ERR_WRAPPER_USED, ERR_WRAPPER_EXPIRED, ERR_SECRET_DENIED, ERR_VAULT_UNAVAILABLE, ERR_PAYLOAD).
 */
export async function redeem(access: AccessFragment, tools: RedeemTools): Promise<Redemption> {
  const load = REDEEMERS.get(access.kind);
  if (load !== undefined) return await (await load())(access, tools);
  throw new RunnerError('ERR_PAYLOAD', 'the payload asks for a kind of access that this runner does not know');
}
