import { readFile } from 'node:fs/promises';
import { SecretText } from '../../../domain/secret-text.ts';
import { StalledError } from '../../../errors.ts';
import type { NomadOptions } from './options.ts';

/** The token of the next request; null: none is sent. Throws StalledError (ERR_ENGINE_DENIED). */
export type Credentials = () => Promise<SecretText | null>;

/** A header takes nothing else, and no token of Nomad holds anything else. */
const TOKEN = /^[\x21-\x7e]{1,16384}$/;

/**
 * The token of the environment, else that of `token_file`, which is read at every use: a workload identity is renewed
 * beneath us.
 */
export function credentialsOf(options: Pick<NomadOptions, 'token_file'>, token: SecretText | null): Credentials {
  const file = options.token_file;
  if (token !== null) return () => Promise.resolve(checked(token.reveal().trim(), 'NOMAD_TOKEN'));
  if (file === '') return () => Promise.resolve(null);
  return async () => checked((await readToken(file)).trim(), `token_file ${file}`);
}

async function readToken(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const why = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    throw new StalledError('ERR_ENGINE_DENIED', `token_file ${file} can not be read: ${why}`);
  }
}

function checked(token: string, where: string): SecretText {
  if (TOKEN.test(token)) return new SecretText(token);
  throw new StalledError('ERR_ENGINE_DENIED', `${where} holds no token`);
}
