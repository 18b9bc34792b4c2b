import type { z } from 'zod';
import type { Clock } from '../../../ports/clock.ts';
import type { Call, ForgeClient } from '../shared/client.ts';
import { totalOf } from '../shared/paging.ts';
import { Repository } from '../shared/repository.ts';
import { type Page, PageSize, readAll } from './pages.ts';
import { listOf } from './schemas.ts';

interface ListCall<T> extends Call {
  readonly item: z.ZodType<T>;
  readonly keyOf: (item: T) => string | number;
  readonly mostPages?: number;
  /** The server's count of items is not to be believed: read on until a page is empty. */
  readonly untilEmpty?: boolean;
}

/** The API of Forgejo and Gitea around one repository, asked with one token. Errors are those of ForgeClient. */
export class RepoApi {
  readonly client: ForgeClient;
  readonly repository: Repository;
  readonly #pageSize: PageSize;

  /** `repo`: `owner/name`. */
  constructor(client: ForgeClient, repo: string, clock: Clock) {
    this.client = client;
    this.repository = new Repository(client, repo, clock);
    this.#pageSize = new PageSize(client, clock);
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
  async all<T>({ item, keyOf, mostPages, untilEmpty, ...call }: ListCall<T>): Promise<readonly T[] | null> {
    const size = await this.#pageSize.now(call.signal);
    const ofRepo = this.#ofRepo(call);
    const schema = listOf(item);
    const read = async (page: Record<string, string | number>): Promise<Page<T> | null> => {
      const answer = await this.client.get({ ...ofRepo, query: { ...ofRepo.query, ...page } }, schema);
      if (answer === null) return null;
      return { items: answer.value, total: untilEmpty === true ? null : totalOf(answer.headers) };
    };
    const limit = mostPages === undefined ? {} : { mostPages };
    const found = await readAll(size, { name: `GET ${ofRepo.path}`, keyOf, read, ...limit });
    return await this.repository.confirmed(found, call.signal);
  }

  #ofRepo(call: Call): Call {
    return {
      ...call,
      path: `/repos/{owner}/{repo}${call.path}`,
      values: { ...this.repository.values, ...call.values },
    };
  }
}
