import type { AccessFragment } from '../domain/payload.ts';
import { RunnerError } from './runner-error.ts';
import { fieldOf, type VaultReply } from './vault-http.ts';
import { errorsOf, type VaultSession } from './vault-session.ts';

/** What an earlier unwrap of ours may have done. */
type Doubt = 'none' | 'failed' | 'lost';

/**
 * The run's token, for the one of all who try that is first. Never safe to repeat. Throws RunnerError:
 * ERR_WRAPPER_USED (somebody else was first, or it is not the wrapper that was minted), ERR_WRAPPER_EXPIRED,
 * ERR_VAULT_UNAVAILABLE.
 */
export async function unwrap(session: VaultSession, access: AccessFragment): Promise<string> {
  const token = access.wrapping_token;
  let doubt: Doubt = 'none';
  for (;;) {
    await lookUp(session, access, doubt);
    const reply = await session.once({ method: 'POST', path: 'sys/wrapping/unwrap', token });
    const runToken = reply.status === 200 ? fieldOf(reply.body, 'auth', 'client_token') : undefined;
    if (typeof runToken === 'string' && runToken !== '') return runToken;
    const goneAt = goneAsOf(reply);
    if (goneAt !== null) throw goneError(access, goneAt, doubt);
    doubt = worse(doubt, doubtOf(reply));
    if (!(await session.pause(expiryOf(access)))) throw session.unavailable('the wrapper was not unwrapped', reply);
  }
}

/** Consumes nothing. A wrapper that was put in the place of ours was made by another call. */
async function lookUp(session: VaultSession, access: AccessFragment, doubt: Doubt): Promise<void> {
  const body = { token: access.wrapping_token };
  const call = { method: 'POST', path: 'sys/wrapping/lookup', token: null, body } as const;
  const answer = await session.ask("the wrapper can't be looked up", call, expiryOf(access));
  const goneAt = goneAsOf(answer);
  if (goneAt !== null) throw goneError(access, goneAt, doubt);
  if (answer.status !== 200) throw session.unavailable("the wrapper can't be looked up", answer);
  const path = fieldOf(answer.body, 'data', 'creation_path');
  if (path !== access.creation_path || !MINTED.test(access.creation_path)) {
    throw new RunnerError('ERR_WRAPPER_USED', 'the wrapper is not the one that was minted; nothing was started');
  }
}
const MINTED = /^auth\/token\/create\/[^/]+$/;

/** By the server's own text, because a 400 may also be a proxy's: when it said so. null: it did not. */
function goneAsOf(reply: VaultReply): number | null {
  if (reply.status !== 400) return null;
  return errorsOf(reply).some((text) => text.includes('wrapping token is not valid')) ? reply.at : null;
}

function goneError(access: AccessFragment, at: number, doubt: Doubt): RunnerError {
  if (doubt === 'lost') {
    const message = 'the wrapper is consumed, but the answer to the unwrap was lost; nothing was started';
    return new RunnerError('ERR_VAULT_UNAVAILABLE', message);
  }
  // The server's clock is cut to the second.
  if (at + 1_000 > expiryOf(access)) {
    const message = `the wrapper was good until ${access.wrap_expires_at}; nothing was started`;
    return new RunnerError('ERR_WRAPPER_EXPIRED', message);
  }
  const failed = 'the unwrap failed in the server, and then the wrapper was gone: most likely somebody else was first';
  const message = doubt === 'failed' ? failed : 'the wrapper was unwrapped before, or taken away';
  return new RunnerError('ERR_WRAPPER_USED', `${message}; nothing was started`);
}

/** Two unwraps at the same time: one of them has the token, the other may get a 500. */
function doubtOf(reply: VaultReply): Doubt {
  if (reply.status === null) return reply.mayHaveArrived ? 'lost' : 'none';
  if (reply.status === 429 || errorsOf(reply).some((text) => UNTOUCHED.test(text))) return 'none';
  return reply.status === 500 ? 'failed' : 'lost';
}
const UNTOUCHED = /sealed|standby|not active/i;

function worse(one: Doubt, other: Doubt): Doubt {
  const order: readonly Doubt[] = ['none', 'failed', 'lost'];
  return order.indexOf(one) > order.indexOf(other) ? one : other;
}

function expiryOf(access: AccessFragment): number {
  return Date.parse(access.wrap_expires_at);
}
