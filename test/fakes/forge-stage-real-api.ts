import { randomBytes } from 'node:crypto';
import { z } from 'zod';

/** People, tokens and plain calls of a real Forgejo, under names of this run only. */

interface Told {
  readonly status: number;
  readonly body: unknown;
}

export interface Call {
  readonly method: string;
  /** After `/api/v1`. */
  readonly path: string;
  readonly body?: object;
}

/** A status that was not expected. */
class UnexpectedAnswer extends Error {
  override readonly name = 'UnexpectedAnswer';
}

const userSchema = z.object({ login: z.string() });
const tokenSchema = z.object({ sha1: z.string() });

export class RealApi {
  /** Ends every name that this run makes. */
  readonly mark = randomBytes(3).toString('hex');
  readonly url: string;
  readonly #admin: string;
  readonly #tokens = new Map<string, string>();
  #boss = '';

  constructor(url: string, adminToken: string) {
    this.url = url.replace(/\/$/, '');
    this.#admin = adminToken;
  }

  async start(): Promise<void> {
    this.#boss = userSchema.parse(await this.admin({ method: 'GET', path: '/user' })).login;
  }

  login(name: string): string {
    return name === 'boss' ? this.#boss : `${name}-${this.mark}`;
  }

  nameOf(login: string): string {
    return login === this.#boss ? 'boss' : login.replace(new RegExp(`-${this.mark}$`), '');
  }

  /** Makes the account and, for its own calls and pushes, a token that may everything it may. */
  async addUser(name: string): Promise<void> {
    const username = this.login(name);
    const password = `Pw-${randomBytes(12).toString('hex')}`;
    const account = { username, password, email: `${username}@example.test`, must_change_password: false };
    await this.admin({ method: 'POST', path: '/admin/users', body: account });
    const basic = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    const make = async (token: string, scopes: readonly string[]) => {
      const call = { method: 'POST', path: `/users/${username}/tokens`, body: { name: token, scopes } };
      this.#tokens.set(`${name} ${token}`, tokenSchema.parse(expected(call, await this.#send(basic, call))).sha1);
    };
    await make('all', ['all']);
    if (name === 'edge-bot') await make('bot', ['write:repository', 'write:issue', 'read:user']);
    if (name === 'owner1') await make('permissions', ['read:repository']);
  }

  /** `which` of the tokens of `addUser`. */
  token(name: string, which = 'all'): string {
    if (name === 'boss') return this.#admin;
    const token = this.#tokens.get(`${name} ${which}`);
    if (token === undefined) throw new Error(`${name} has no token`);
    return token;
  }

  async as(name: string, call: Call): Promise<unknown> {
    return expected(call, await this.told(name, call));
  }

  /** Whatever the status. */
  told(name: string, call: Call): Promise<Told> {
    return this.#send(`token ${this.token(name)}`, call);
  }

  admin(call: Call): Promise<unknown> {
    return this.as('boss', call);
  }

  async #send(authorization: string, { method, path, body }: Call): Promise<Told> {
    const response = await fetch(`${this.url}/api/v1${path}`, {
      method,
      headers: { authorization, 'content-type': 'application/json', connection: 'close' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
    return { status: response.status, body: isJson && text !== '' ? JSON.parse(text) : null };
  }
}

function expected({ method, path }: Call, { status, body }: Told): unknown {
  if (status < 300) return body;
  throw new UnexpectedAnswer(`${method} ${path}: ${status} ${messageOf(body)}`);
}

export function messageOf(body: unknown): string {
  return z.object({ message: z.string() }).safeParse(body).data?.message ?? '';
}
