import { readFile } from 'node:fs/promises';
import { SecretText } from '../../../domain/secret-text.ts';
import { StalledError } from '../../../errors.ts';
import type { SecretSource } from '../../factory.ts';
import { networkCode } from './answers.ts';

/** A header takes nothing else; elsewhere the error would quote it. */
const HEADER_TEXT = /^[\x21-\x7e]{1,16384}$/;

/** The token to use now. `key`: its key in the configuration. Throws StalledError (ERR_FORGE_DENIED) when there is none. */
export async function readToken(source: SecretSource, key: string): Promise<SecretText> {
  const text = (source instanceof SecretText ? source.reveal() : await read(source.file, key)).trim();
  if (!HEADER_TEXT.test(text)) throw noToken(key, 'it holds none');
  return new SecretText(text);
}

async function read(file: string, key: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw noToken(key, `it can not be read (${networkCode(error)})`);
  }
}

const noToken = (key: string, why: string): StalledError =>
  new StalledError('ERR_FORGE_DENIED', `no token for the forge in ${key} of [forge]: ${why}`, {
    hint: `Put the token into ${key} of [forge].`,
  });
