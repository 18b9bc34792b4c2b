import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { SecretText } from '../../../domain/secret-text.ts';
import { StalledError } from '../../../errors.ts';
import { type Answer, expectOk, type VaultClient } from './client.ts';
import type { VaultOptions } from './options.ts';

interface Obtained {
  readonly token: SecretText;
  /** What the store said of it when it was made; absent: nobody asked yet. In seconds; 0: no end. */
  readonly seconds?: number;
  readonly renewable?: boolean;
}

/** Where our own token comes from. */
export interface TokenSource {
  /** `fixed`: never another one. `file`: cheap, read at every use. `login`: each time a new token. */
  readonly kind: 'fixed' | 'file' | 'login';
  /** Errors: StalledError when there is none, TransientError when the store is away. */
  obtain(): Promise<Obtained>;
}

const HEADER_TEXT = /^[\x21-\x7e]+$/;

/** A token of the environment (as `deploy` gets its administrator's), else a login, if one is configured, else `token_file`. */
export function tokenSource(options: VaultOptions, given: SecretText | null, client: VaultClient): TokenSource {
  if (given !== null) {
    return { kind: 'fixed', obtain: async () => ({ token: checked(given.reveal(), 'the environment') }) };
  }
  if (options.login.method === 'jwt') return { kind: 'login', obtain: () => logIn(options.login, client) };
  const { token_file: file } = options;
  return {
    kind: 'file',
    obtain: async () => ({ token: checked(await read(file, 'token_file'), 'token_file') }),
  };
}

const loggedIn = z.object({
  auth: z.object({ client_token: z.string().min(1), lease_duration: z.number(), renewable: z.boolean() }),
});

async function logIn({ mount, role, jwt_file }: VaultOptions['login'], client: VaultClient): Promise<Obtained> {
  const doing = `log in at auth/${mount} as ${role}`;
  const jwt = checked(await read(jwt_file, 'login.jwt_file'), 'login.jwt_file');
  const body = { role, jwt: jwt.reveal() };
  const answer = await client.send({ doing, method: 'POST', path: `auth/${mount}/login`, body }, null);
  const { client_token, lease_duration, renewable } = expectOk(asLogin(answer), doing, loggedIn).auth;
  return { token: checked(client_token, 'the login'), seconds: lease_duration, renewable };
}

/** Without a token in the request, a plain 403 speaks of the login and not of a token. */
function asLogin(answer: Answer): Answer {
  return answer.kind === 'bad-token' || answer.kind === 'no-right' ? { ...answer, kind: 'refused' } : answer;
}

async function read(file: string, key: string): Promise<string> {
  if (file === '') throw noToken(`${key} is not set`);
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'no file';
    throw noToken(`${key} can not be read (${code})`);
  }
}

/** What a header can't carry is refused here: elsewhere the error would quote it. */
function checked(text: string, where: string): SecretText {
  if (!HEADER_TEXT.test(text)) throw noToken(`${where} holds none`);
  return new SecretText(text);
}

const noToken = (why: string): StalledError =>
  new StalledError('ERR_ACCESS_DENIED', `no token for the secret store: ${why}`, {
    hint: 'Set token_file or login of [access.vault], or VAULT_TOKEN in the environment.',
  });
