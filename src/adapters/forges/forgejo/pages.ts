import type { Clock } from '../../../ports/clock.ts';
import { failure } from '../shared/answers.ts';
import { TooLongError } from '../shared/body.ts';
import type { Answer, Call, ForgeClient } from '../shared/client.ts';
import { totalOf } from '../shared/paging.ts';
import { settingsSchema } from './schemas.ts';

/** The most that a server allows where nothing else is configured. */
export const MOST_ITEMS = 50;
const MOST_PAGES = 400;
const ATTEMPTS = 5;
/** In how many a page is cut that is too long: 50, 10, 2, 1. */
const PIECES = 5;

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

/** Where a page lies in its list: counted from 1 in pages of this size. */
export interface Place {
  readonly page: number;
  readonly size: number;
}

type Asking<T> = (call: Call) => Promise<Answer<readonly T[]> | null>;

/**
 * The items of a page; null: there is no such list. Where the answer is too long, its positions are asked for in smaller
 * pages, at last one by one: then what comes before the long text of an item has to do, and what it lacks is for the
 * schema of `ask` to judge. Errors: those of `ask`, TransientError when positions moved in the meantime.
 */
export async function readPage<T>(call: Call, place: Place, ask: Asking<T>): Promise<Page<T> | null> {
  const { page, size } = place;
  const whole = { ...call, query: { ...call.query, page, limit: size } };
  try {
    return toPage(await ask(size === 1 ? { ...whole, beginningIsEnough: true } : whole));
  } catch (error) {
    if (!(error instanceof TooLongError) || size === 1) throw error;
  }
  return await inPieces(call, place, ask);
}

async function inPieces<T>(call: Call, { page, size }: Place, ask: Asking<T>): Promise<Page<T> | null> {
  const pieces = size % PIECES === 0 ? PIECES : size;
  const items: T[] = [];
  let total: number | null | undefined;
  for (let piece = (page - 1) * pieces + 1; piece <= page * pieces; piece += 1) {
    const found = await readPage(call, { page: piece, size: size / pieces }, ask);
    if (found === null) return null;
    if (total !== undefined && found.total !== total) throw failure('changing', `GET ${call.path}`);
    total = found.total;
    items.push(...found.items);
    if (total !== null && (piece * size) / pieces >= total) break;
  }
  return { items, total: total ?? null };
}

export function toPage<T>(answer: Answer<readonly T[]> | null): Page<T> | null {
  return answer === null ? null : { items: answer.value, total: totalOf(answer.headers) };
}

interface List<T> {
  readonly name: string;
  /** What tells two items apart. */
  readonly keyOf: (item: T) => string | number;
  /** One page; null: there is no such list. */
  readonly read: (place: Place) => Promise<Page<T> | null>;
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
    const answer = await read({ page, size });
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
