import type { z } from 'zod';
import type { Clock } from '../../../ports/clock.ts';
import { failure } from '../shared/answers.ts';
import type { Call, ForgeClient } from '../shared/client.ts';
import { Repository } from '../shared/repository.ts';
import { pagesOf, readInPieces } from './pages.ts';

const READINGS = 5;

interface ListCall<T> extends Call {
  /** One page. */
  readonly page: z.ZodType<readonly T[]>;
  /** What tells two items apart. */
  readonly keyOf: (item: T) => string | number;
}

/** GitHub's API around one repository, asked with one token. `path` follows `/repos/{owner}/{repo}`. */
export class RepoApi {
  readonly client: ForgeClient;
  readonly repository: Repository;

  /** `repo`: `owner/name`. */
  constructor(client: ForgeClient, repo: string, clock: Clock) {
    this.client = client;
    this.repository = new Repository(client, repo, clock);
  }

  /** null: definitely no such thing. */
  async get<T>(call: Call, schema: z.ZodType<T>): Promise<T | null> {
    const answer = await this.client.get(this.#ofRepo(call), schema);
    return (await this.repository.confirmed(answer, call.signal))?.value ?? null;
  }

  /** null as of `get`. */
  async send<T>(
    [method, call]: readonly ['POST' | 'PATCH', Call],
    body: unknown,
    schema: z.ZodType<T>,
  ): Promise<T | null> {
    const answer = await this.client.send([method, this.#ofRepo(call)], body, schema);
    return (await this.repository.confirmed(answer, call.signal))?.value ?? null;
  }

  /**
   * All items of a list in its order, each once; null as of `get`. Pages are counted in items, so whatever disappears
   * between two of them hides another one: a list of several pages is read until two readings agree. Unchanged pages
   * are answered by their ETag, which costs nothing of what may be asked in an hour.
   */
  async all<T>({ page, keyOf, ...call }: ListCall<T>): Promise<readonly T[] | null> {
    const list = this.#ofRepo(call);
    let before: string | null = null;
    for (let reading = 1; reading <= READINGS; reading += 1) {
      const pages = await read(this.client, list, page);
      const items = await this.repository.confirmed(pages?.flat() ?? null, call.signal);
      if (items === null || pages === null || pages.length === 1) return items;
      const keys = JSON.stringify(items.map(keyOf));
      if (keys === before) return [...new Map(items.map((item) => [keyOf(item), item])).values()];
      before = keys;
    }
    throw failure('changing', `GET ${list.path}`);
  }

  /** Page after page; none where there is definitely no such list. */
  async *pages<T>(call: Call, schema: z.ZodType<T>): AsyncGenerator<T, void, undefined> {
    let isThere = false;
    for await (const page of pagesOf(this.client, this.#ofRepo(call), schema, readInPieces)) {
      isThere = true;
      yield page;
    }
    if (!isThere) await this.repository.confirmed(null, call.signal);
  }

  #ofRepo(call: Call): Call {
    return {
      ...call,
      path: `/repos/{owner}/{repo}${call.path}`,
      values: { ...this.repository.values, ...call.values },
    };
  }
}

/** null: there is no such list. */
async function read<T>(client: ForgeClient, call: Call, schema: z.ZodType<T>): Promise<T[] | null> {
  const pages: T[] = [];
  for await (const page of pagesOf(client, call, schema, readInPieces)) pages.push(page);
  return pages.length === 0 ? null : pages;
}
