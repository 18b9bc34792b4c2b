import type { Clock } from '../../../ports/clock.ts';
import { failure } from '../shared/answers.ts';
import type { Call, ForgeClient } from '../shared/client.ts';
import { settingsSchema } from './schemas.ts';

/** The most that a server allows where nothing else is configured. */
const MOST_ITEMS = 50;
const MOST_PAGES = 400;
const ATTEMPTS = 5;

interface Seen {
  readonly page: number;
  /** Positions on one page. */
  readonly size: number;
  /** Positions on all pages; null: the server does not say. */
  readonly total: number | null;
  /** Items on this page. */
  readonly items: number;
  /** Different items of all pages so far. */
  readonly collected: number;
}

/**
 * Whether there is nothing after this page. A short page proves nothing: what we may not see (drafts of others) takes a
 * place on it all the same, so positions are counted, not items.
 */
export function isLastPage({ page, size, total, items, collected }: Seen): boolean {
  if (total === null) return items === 0;
  return page * size >= total || collected >= total;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** How many positions all pages have together; null: the server does not say. */
  readonly total: number | null;
}

interface List<T> {
  readonly name: string;
  /** What tells two items apart. */
  readonly keyOf: (item: T) => string | number;
  /** One page; null: there is no such list. */
  readonly read: (query: Record<string, string | number>) => Promise<Page<T> | null>;
  /** Stops when so many pages were read, as if there were no more. */
  readonly mostPages?: number;
}

/**
 * All items of a list, each once, in the order of the server; null: there is no such list. When the number of items
 * changes on the way, positions have moved and it begins anew. Errors: TransientError when that goes on and on.
 */
export async function readAll<T>(size: number, list: List<T>): Promise<readonly T[] | null> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const found = await readOnce(size, list);
    if (found !== 'changed') return found;
  }
  throw failure('changing', list.name);
}

async function readOnce<T>(
  size: number,
  { name, keyOf, read, mostPages }: List<T>,
): Promise<readonly T[] | null | 'changed'> {
  const found = new Map<string | number, T>();
  let first: number | null = null;
  for (let page = 1; page <= (mostPages ?? MOST_PAGES); page += 1) {
    const answer = await read({ page, limit: size });
    if (answer === null) return null;
    const { total, items } = answer;
    if (page === 1) first = total;
    else if (total !== first) return 'changed';
    for (const item of items) found.set(keyOf(item), item);
    if (isLastPage({ page, size, total, items: items.length, collected: found.size })) return [...found.values()];
  }
  if (mostPages === undefined) throw failure('changing', name);
  return [...found.values()];
}

const KNOWN_FOR_MS = 60_000;

/** How many positions a page has: the server may allow fewer than we ask for, and says so in its settings only. */
export class PageSize {
  readonly #client: ForgeClient;
  readonly #clock: Clock;
  #known: { readonly size: number; readonly at: number } | null = null;

  constructor(client: ForgeClient, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  async now(signal: Call['signal']): Promise<number> {
    const at = this.#clock.monotonic();
    if (this.#known === null || at - this.#known.at > KNOWN_FOR_MS) {
      const answer = await this.#client.get({ path: '/settings/api', signal }, settingsSchema);
      this.#known = { size: Math.min(MOST_ITEMS, answer?.value.max_response_items ?? MOST_ITEMS), at };
    }
    return this.#known.size;
  }
}
