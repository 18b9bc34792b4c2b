import type { z } from 'zod';
import type { Clock } from '../../../ports/clock.ts';
import { failure } from '../shared/answers.ts';
import type { Answer, Call, ForgeClient } from '../shared/client.ts';
import { nextPageOf } from '../shared/paging.ts';
import { Repository } from '../shared/repository.ts';

/** The most that a page has. */
const PAGE = 100;
const MOST_PAGES = 300;
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

  /** Page after page; none where there is no such list. */
  pages<T>(call: Call, schema: z.ZodType<T>): AsyncGenerator<T, void, undefined> {
    return pagesOf(this.client, this.#ofRepo(call), schema);
  }

  #ofRepo(call: Call): Call {
    return {
      ...call,
      path: `/repos/{owner}/{repo}${call.path}`,
      values: { ...this.repository.values, ...call.values },
    };
  }
}

/** Page after page as the header Link leads, `path` in full; none where there is no such list. */
export async function* pagesOf<T>(
  client: ForgeClient,
  call: Call,
  schema: z.ZodType<T>,
): AsyncGenerator<T, void, undefined> {
  let query: Call['query'] | null = { ...call.query, per_page: PAGE };
  for (let page = 1; query !== null; page += 1) {
    if (page > MOST_PAGES) throw failure('changing', `GET ${call.path}`);
    const answer: Answer<T> | null = await client.get({ ...call, query }, schema);
    // A list that disappears on the way is not one that has ended.
    if (answer === null && page > 1) throw failure('changing', `GET ${call.path}`);
    if (answer === null) return;
    yield answer.value;
    query = nextPageOf(answer.headers);
  }
}

/** null: there is no such list. */
async function read<T>(client: ForgeClient, call: Call, schema: z.ZodType<T>): Promise<T[] | null> {
  const pages: T[] = [];
  for await (const page of pagesOf(client, call, schema)) pages.push(page);
  return pages.length === 0 ? null : pages;
}
