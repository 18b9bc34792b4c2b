import type { AccessFragment } from '../domain/payload.ts';
import { redeemTicket } from './redeem-ticket.ts';
import type { Redemption } from './redemption.ts';
import { RunnerError } from './runner-error.ts';

/** One kind of access a file, and its line here. */
const REDEEMERS: ReadonlyMap<string, (access: AccessFragment) => Promise<Redemption>> = new Map([
  ['file', redeemTicket],
]);

/**
 * Redeems the payload's wrapper, also when no secret is asked: this is what makes the attempt single. Of all who try, in
 * all processes, one succeeds; never safe to repeat. Throws RunnerError (ERR_WRAPPER_USED, ERR_WRAPPER_EXPIRED,
 * ERR_VAULT_UNAVAILABLE, ERR_PAYLOAD).
 */
export async function redeem(access: AccessFragment): Promise<Redemption> {
  const redeemer = REDEEMERS.get(access.kind);
  if (redeemer !== undefined) return await redeemer(access);
  throw new RunnerError('ERR_PAYLOAD', 'the payload asks for a kind of access that this runner does not know');
}
