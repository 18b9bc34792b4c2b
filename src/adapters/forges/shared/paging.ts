import type { Headers } from 'node-fetch';

type Head = Pick<Headers, 'get'>;

/** How many items there are on all pages; null: it does not say (Forgejo, Gitea: `X-Total-Count`). */
export function totalOf(headers: Head): number | null {
  const value = headers.get('x-total-count');
  return value !== null && /^\d{1,9}$/.test(value) ? Number(value) : null;
}

/**
 * The query of the next page, as the header Link names it (GitHub); null: this was the last one. Only the query is taken,
 * so that the next request goes where this one went.
 */
export function nextPageOf(headers: Head): Readonly<Record<string, string>> | null {
  for (const link of (headers.get('link') ?? '').split(/,\s*(?=<)/)) {
    const [, address = '', parameters = ''] = /^<([^<>]*)>\s*;(.*)$/s.exec(link) ?? [];
    if (!/(?:^|;)\s*rel="?next"?\s*(?:;|$)/.test(parameters)) continue;
    if (URL.canParse(address)) return Object.fromEntries(new URL(address).searchParams);
  }
  return null;
}
