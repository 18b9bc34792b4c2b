import type { z } from 'zod';
import type { Tools } from '../../factory.ts';
import { type Answer, expectOk, VaultClient, type VaultRequest } from './client.ts';
import type { VaultOptions } from './options.ts';
import { OwnToken } from './token.ts';
import { tokenSource } from './token-source.ts';

/** Requests with our own token. */
export class Session {
  readonly client: VaultClient;
  readonly token: OwnToken;

  constructor(client: VaultClient, token: OwnToken) {
    this.client = client;
    this.token = token;
  }

  /**
   * One request, with another token once more if the store does not know ours; it did nothing the first time, so this is
   * safe for every request. Answers of every kind. Errors as of the client and of the token.
   */
  async send(request: VaultRequest): Promise<Answer> {
    const token = await this.token.current();
    const answer = await this.client.send(request, token);
    if (answer.kind !== 'bad-token') return answer;
    const another = await this.token.replace(token);
    return another === null ? answer : await this.client.send(request, another);
  }

  /** The good answer in the expected shape. Errors: TransientError, StalledError by the kind of any other. */
  async ask<T>(request: VaultRequest, schema: z.ZodType<T>): Promise<T> {
    return expectOk(await this.send(request), request.doing, schema);
  }
}

/** Opens nothing yet. */
export function openSession(options: VaultOptions, { token, clock }: Pick<Tools, 'token' | 'clock'>): Session {
  const client = new VaultClient(options);
  return new Session(client, new OwnToken(tokenSource(options, token, client), client, clock));
}
