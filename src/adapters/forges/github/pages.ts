import type { z } from 'zod';
import { failure } from '../shared/answers.ts';
import { TooLongError } from '../shared/body.ts';
import type { Call, ForgeClient } from '../shared/client.ts';
import { nextPageOf } from '../shared/paging.ts';

/** The most that a page has. */
const PAGE = 100;
const MOST_PAGES = 300;
/** In how many a page is cut that is too long: 100, 20, 4, 1. */
const PIECES = 5;

/** Bytes of a text, where nothing that we read of an answer is longer: nobody makes it too long by what is left out. */
export const UNREAD_TEXT = 16_384;

type Query = NonNullable<Call['query']>;

interface Page<T> {
  /** The answers that hold it; of several the items follow each other. */
  readonly parts: readonly T[];
  /** null: it was the last one. */
  readonly next: Query | null;
}

type ReadPage = <T>(
  client: ForgeClient,
  call: Call & { readonly query: Query },
  schema: z.ZodType<T>,
) => Promise<Page<T> | null>;

/**
 * Answer after answer as the header Link leads, `path` in full; none where there is no such list. Errors: those of
 * ForgeClient, TransientError when it ends nowhere, or disappears on the way.
 */
export async function* pagesOf<T>(
  client: ForgeClient,
  call: Call,
  schema: z.ZodType<T>,
  read: ReadPage = readWhole,
): AsyncGenerator<T, void, undefined> {
  let query: Query | null = { ...call.query, per_page: PAGE };
  for (let page = 1; query !== null; page += 1) {
    if (page > MOST_PAGES) throw failure('changing', `GET ${call.path}`);
    const found: Page<T> | null = await read(client, { ...call, query }, schema);
    // A list that disappears on the way is not one that has ended.
    if (found === null && page > 1) throw failure('changing', `GET ${call.path}`);
    if (found === null) return;
    yield* found.parts;
    query = found.next;
  }
}

const readWhole: ReadPage = async (client, call, schema) => {
  const answer = await client.get(call, schema);
  return answer && { parts: [answer.value], next: nextPageOf(answer.headers, `GET ${call.path}`) };
};

/**
 * For lists whose pages have numbers. Where the answer is too long, its items are asked for in smaller pages, at last one
 * by one: then what comes before the long text of an item has to do, and what it lacks is for the schema to judge.
 */
export const readInPieces: ReadPage = async (client, call, schema) => {
  const size = Number(call.query['per_page']);
  try {
    return await readWhole(client, size === 1 ? { ...call, beginningIsEnough: true } : call, schema);
  } catch (error) {
    if (!(error instanceof TooLongError) || size === 1) throw error;
  }
  return await pieces(client, call, schema);
};

async function pieces<T>(
  client: ForgeClient,
  call: Call & { readonly query: Query },
  schema: z.ZodType<T>,
): Promise<Page<T> | null> {
  const [size, page] = [Number(call.query['per_page']), Number(call.query['page'] ?? 1)];
  const count = size % PIECES === 0 ? PIECES : size;
  const parts: T[] = [];
  for (let piece = (page - 1) * count + 1; piece <= page * count; piece += 1) {
    const query = { ...call.query, per_page: size / count, page: piece };
    const found = await readInPieces(client, { ...call, query }, schema);
    if (found === null) throw failure('changing', `GET ${call.path}`);
    parts.push(...found.parts);
    if (found.next === null) return { parts, next: null };
  }
  return { parts, next: { ...call.query, page: page + 1 } };
}
