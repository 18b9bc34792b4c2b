import type { Formula } from '../domain/formula.ts';
import { whyUnmaskable } from '../domain/maskable.ts';
import type { Secret } from '../domain/redact.ts';
import type { Approved } from './approved.ts';
import type { Redemption } from './redemption.ts';
import { RunnerError } from './runner-error.ts';

/**
 * The values of exactly the secrets that the action names, as the command is to find them. Throws RunnerError
 * (ERR_SECRET_MISSING, ERR_SECRET_EMPTY, ERR_SECRET_DENIED, ERR_SECRET_UNMASKABLE, ERR_VAULT_UNAVAILABLE).
 */
export async function readSecrets({ action, formula }: Approved, redemption: Redemption): Promise<Secret[]> {
  const secrets: Secret[] = [];
  for (const name of action.secrets) {
    secrets.push(secretOf({ name, bytes: await redemption.read(name), place: 'the store' }, formula));
  }
  return secrets;
}

/** A secret as it was read. */
interface Found {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Where, for messages. */
  readonly place: string;
}

/**
 * The secret as a variable can hold it and output can be scrubbed of it. Throws RunnerError (ERR_SECRET_EMPTY,
 * ERR_SECRET_UNMASKABLE).
 */
export function secretOf({ name, bytes, place }: Found, { unmasked }: Pick<Formula, 'unmasked'>): Secret {
  // Editors and `echo` end a file with a newline that is no part of the secret.
  const value = decode(name, bytes).replace(/\n$/, '');
  if (value === '') throw new RunnerError('ERR_SECRET_EMPTY', `${name} is empty in ${place}`);
  if (value.includes('\0')) throw new RunnerError('ERR_SECRET_UNMASKABLE', `${name} holds a NUL, no variable can`);
  const why = unmasked ? null : whyUnmaskable(value);
  if (why !== null) throw new RunnerError('ERR_SECRET_UNMASKABLE', `${name} ${why}`);
  return { name, value };
}

function decode(name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new RunnerError('ERR_SECRET_UNMASKABLE', `${name} is not UTF-8 text`);
  }
}
