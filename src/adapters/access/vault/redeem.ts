import { z } from 'zod';
import type { AccessFragment } from '../../../domain/payload.ts';
import { SecretText } from '../../../domain/secret-text.ts';
import type { Consumption } from '../../../ports/access.ts';
import type { Clock } from '../../../ports/clock.ts';
import { failure, says } from './answers.ts';
import { expectOk, type VaultClient } from './client.ts';

const unwrapped = z.object({ auth: z.object({ client_token: z.string().min(1) }) });

/**
 * Unwraps with the wrapper itself and revokes what comes out. Only 200 proves something. No answer, or one of a fault of
 * the server (of several unwraps at once, a loser may see 500), is never taken for a no: TransientError. A 400 in the
 * next try may then be the loss of our own answer; it is `used`, which proves nothing either.
 */
export async function redeem(
  client: VaultClient,
  clock: Clock,
  fragment: AccessFragment,
  signal: AbortSignal | undefined,
): Promise<Consumption> {
  const doing = 'unwrap the token of a run';
  const path = 'sys/wrapping/unwrap';
  const wrapper = new SecretText(fragment.wrapping_token);
  const answer = await client.send({ doing, method: 'POST', path, body: {}, signal }, wrapper);
  if (answer.kind === 'ok') {
    // A 200 of anybody else (a proxy, another server) has consumed nothing, and is no proof.
    await revokeItself(client, expectOk(answer, doing, unwrapped).auth.client_token);
    return 'consumed';
  }
  if (answer.kind === 'refused' && says(answer.body, 'wrapping token is not valid')) {
    return Date.parse(fragment.wrap_expires_at) <= (answer.serverTime ?? clock.now()).getTime() ? 'expired' : 'used';
  }
  throw failure(answer.kind, doing, { mark: answer.status, retryAfterMs: answer.retryAfterMs });
}

/**
 * As well as can be: it was never used and goes no further; its accessor is revoked at the end of the attempt besides.
 * The signal of the caller does not count any more.
 */
async function revokeItself(client: VaultClient, runToken: string): Promise<void> {
  const token = new SecretText(runToken);
  const request = { doing: 'revoke the token of a run', method: 'POST', path: 'auth/token/revoke-self' } as const;
  await client.send({ ...request, body: {} }, token).catch(() => undefined);
}
