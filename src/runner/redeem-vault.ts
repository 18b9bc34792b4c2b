import { BASE_POLICY, secretPolicy, TOKEN_META } from '../domain/grant-policies.ts';
import type { AccessFragment } from '../domain/payload.ts';
import type { RedeemTools, Redemption } from './redemption.ts';
import { RunnerError, toRunnerError } from './runner-error.ts';
import { fieldOf, textsOf, VaultClient } from './vault-http.ts';
import { isDeadToken, PATIENCE, type VaultPatience, VaultSession } from './vault-session.ts';
import { unwrap } from './vault-unwrap.ts';

/**
 * `vault` access: the wrapper is redeemed by unwrapping it, which succeeds for one of all who try. `close` revokes the
 * token that came out.
 */
export async function redeemVault(
  access: AccessFragment,
  { caFile, stop }: RedeemTools,
  patience: VaultPatience = PATIENCE,
): Promise<Redemption> {
  const session = new VaultSession(await VaultClient.create(access.address, access.namespace, caFile), patience, stop);
  let token: string;
  try {
    token = await unwrap(session, access);
  } catch (error) {
    session.close();
    throw error;
  }
  const close = closing(session, token);
  try {
    const granted = await lookUpSelf(session, token, Object.keys(access.secrets));
    return { ...granted, close, read: (name) => readSecret(name, access, session, token) };
  } catch (error) {
    await close().catch(toRunnerError);
    throw error;
  }
}

/** Names granted that the payload does not name are policies as they are: they compare as what is too much. */
async function lookUpSelf(
  session: VaultSession,
  token: string,
  names: readonly string[],
): Promise<Pick<Redemption, 'attempt' | 'blobs' | 'names'>> {
  const what = "the run's token can't be looked up";
  const answer = await session.ask(what, { method: 'GET', path: 'auth/token/lookup-self', token });
  if (answer.status === 403) {
    const why = isDeadToken(answer) ? 'it has ended or was revoked' : `its policy ${BASE_POLICY} is missing or wrong`;
    throw new RunnerError('ERR_SECRET_DENIED', `${what}: ${why}; nothing was started`);
  }
  if (answer.status !== 200) throw session.unavailable(what, answer);
  const data = fieldOf(answer.body, 'data');
  const policies = [...textsOf(fieldOf(data, 'policies')), ...textsOf(fieldOf(data, 'identity_policies'))];
  // The server writes policies in lower case.
  const nameOf = new Map(names.map((name) => [secretPolicy(name).toLowerCase(), name]));
  const granted = policies.filter((policy) => policy !== BASE_POLICY).map((policy) => nameOf.get(policy) ?? policy);
  return {
    attempt: textOf(data, TOKEN_META.attempt),
    blobs: { action: textOf(data, TOKEN_META.action), formula: textOf(data, TOKEN_META.formula) },
    names: granted,
  };
}

/** Of the token's metadata; empty, hence no attempt's and no blob's, where it is not there. */
function textOf(data: unknown, key: string): string {
  const text = fieldOf(data, 'meta', key);
  return typeof text === 'string' ? text : '';
}

async function readSecret(
  name: string,
  access: AccessFragment,
  session: VaultSession,
  token: string,
): Promise<Uint8Array> {
  const place = Object.hasOwn(access.secrets, name) ? access.secrets[name] : undefined;
  if (place === undefined) throw new RunnerError('ERR_SECRET_DENIED', `${name} is not granted`);
  const what = `${name} can't be read from the store`;
  const answer = await session.ask(what, { method: 'GET', path: place.path, token });
  const { status, body } = answer;
  if (status === 403) {
    const why = isDeadToken(answer) ? "the run's token has ended or was revoked" : 'the store denies it to this run';
    throw new RunnerError('ERR_SECRET_DENIED', `${what}: ${why}`);
  }
  if (status === 404) {
    const isDeleted = fieldOf(body, 'data', 'metadata') !== undefined;
    const message = isDeleted ? `${name} was deleted from the store` : `${name} is not in the store`;
    throw new RunnerError('ERR_SECRET_MISSING', message);
  }
  if (status !== 200) throw session.unavailable(what, answer);
  const value = fieldOf(body, 'data', 'data', place.field);
  if (typeof value === 'string') return Buffer.from(value);
  const message = value === undefined ? 'has no such field' : 'is no text there';
  throw new RunnerError('ERR_SECRET_MISSING', `${name} is in the store, but ${message} (${place.field})`);
}

/** Revokes the token. Safe to repeat: when it has succeeded once, nothing more is done. */
function closing(session: VaultSession, token: string): () => Promise<void> {
  let isClosed = false;
  return async () => {
    if (isClosed) return;
    const what = "the run's token can't be revoked";
    const call = { method: 'POST', path: 'auth/token/revoke-self', token } as const;
    try {
      for (;;) {
        const reply = await session.once(call);
        if (reply.status === 204 || (reply.status === 403 && isDeadToken(reply))) break;
        if (reply.status === 403 || !(await session.pause())) throw session.unavailable(what, reply);
      }
      isClosed = true;
    } finally {
      session.close();
    }
  };
}
