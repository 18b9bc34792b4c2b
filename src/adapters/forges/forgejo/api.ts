import type { z } from 'zod';
import type { Clock } from '../../../ports/clock.ts';
import type { Answer, Call, ForgeClient } from '../shared/client.ts';
import { Repository } from '../shared/repository.ts';
import { MOST_ITEMS, type Page, PageSize, type Place, readAll, readPage, toPage } from './pages.ts';
import { listOf } from './schemas.ts';

interface ListCall<T> extends Call {
  readonly item: z.ZodType<T>;
  readonly keyOf: (item: T) => string | number;
  readonly mostPages?: number;
  /** The server's count of items is not to be believed: read on until a page is empty. */
  readonly untilEmpty?: boolean;
  /** The server knows no smaller pages of it. */
  readonly inOne?: boolean;
}

const NO_TOTAL = { get: (): null => null };

/** The API of Forgejo and Gitea around one repository, asked with one token. Errors are those of ForgeClient. */
export class RepoApi {
  readonly client: ForgeClient;
  readonly repository: Repository;
  readonly pageSize: PageSize;

  /** `repo`: `owner/name`. */
  constructor(client: ForgeClient, repo: string, clock: Clock) {
    this.client = client;
    this.repository = new Repository(client, repo, clock);
    this.pageSize = new PageSize(client, clock);
  }

  /** `path` follows `/repos/{owner}/{repo}`. null: definitely no such thing. */
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

  /** Every item on every page, each once. null as of `get`. */
  async all<T>({ item, keyOf, mostPages, untilEmpty, inOne, ...call }: ListCall<T>): Promise<readonly T[] | null> {
    const size = await this.pageSize.now(call.signal);
    const ofRepo = this.#ofRepo(call);
    const schema = listOf(item);
    const ask = async (asked: Call): Promise<Answer<readonly T[]> | null> => {
      const answer = await this.client.get(asked, schema);
      return answer !== null && untilEmpty === true ? { ...answer, headers: NO_TOTAL } : answer;
    };
    const read = async (place: Place): Promise<Page<T> | null> => {
      if (inOne !== true) return await readPage(ofRepo, place, ask);
      return toPage(await ask({ ...ofRepo, query: { ...ofRepo.query, page: place.page, limit: place.size } }));
    };
    const limit = mostPages === undefined ? {} : { mostPages };
    const found = await readAll(size, { name: `GET ${ofRepo.path}`, keyOf, read, ...limit });
    return await this.repository.confirmed(found, call.signal);
  }

  /** As `all`, by one request where one page of the usual size holds everything. */
  async allInFew<T>(list: ListCall<T>): Promise<readonly T[] | null> {
    const { item, keyOf: _, ...call } = list;
    const place = { page: 1, size: MOST_ITEMS };
    const first = await readPage(this.#ofRepo(call), place, (asked) => this.client.get(asked, listOf(item)));
    if (first === null) return await this.repository.confirmed(null, call.signal);
    const isAll = first.total !== null && first.items.length >= first.total;
    return isAll ? await this.repository.confirmed(first.items, call.signal) : await this.all(list);
  }

  #ofRepo(call: Call): Call {
    return {
      ...call,
      path: `/repos/{owner}/{repo}${call.path}`,
      values: { ...this.repository.values, ...call.values },
    };
  }
}
