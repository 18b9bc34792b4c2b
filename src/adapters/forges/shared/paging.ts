import type { Headers } from 'node-fetch';
import { failure } from './answers.ts';

type Head = Pick<Headers, 'get'>;

/** How many items there are on all pages; null: it does not say (Forgejo, Gitea: `X-Total-Count`). */
export function totalOf(headers: Head): number | null {
  const value = headers.get('x-total-count');
  return value !== null && /^\d{1,9}$/.test(value) ? Number(value) : null;
}

/**
 * The query of the next page, as the header Link names it (GitHub); null: this was the last one. Only the query is taken,
 * so that the next request goes where this one went. `name`: method and path template of the request. Errors:
 * TransientError where there is a next page but its address can't be read.
 */
export function nextPageOf(headers: Head, name: string): Readonly<Record<string, string>> | null {
  for (const link of (headers.get('link') ?? '').split(/,\s*(?=<)/)) {
    if (!isNext(link)) continue;
    const [, address = ''] = /^\s*<([^<>]*)>/.exec(link) ?? [];
    const query = URL.canParse(address, 'http://any') ? new URL(address, 'http://any').searchParams : null;
    // Without a query it would be the first page again.
    if (query === null || query.size === 0) throw failure('unreadable', name);
    return Object.fromEntries(query);
  }
  return null;
}

/** A link may have several relations; one whose form is not known counts as well. */
function isNext(link: string): boolean {
  const [, quoted, plain] = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s;",]+))/i.exec(link) ?? [];
  const relations = quoted ?? plain ?? link.replace(/<[^<>]*>/, '');
  return /(?:^|[^\w-])next(?:$|[^\w-])/i.test(relations);
}
