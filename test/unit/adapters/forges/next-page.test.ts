import { expect, it } from 'vitest';
import { nextPageOf } from '../../../../src/adapters/forges/shared/paging.ts';

/** Where the header Link says that a list goes on: taken for its end, a rejection on the next page would be lost. */

const next = (link: string) => nextPageOf({ get: () => link }, 'GET /x');

it.each([
  '</api/v3/x?page=2>; rel="next"',
  '<https://forge.example/x?page=2>; rel=next',
  '<https://forge.example/x?page=2>;rel="next last"',
  '<https://forge.example/x?page=2>; title="x"; REL="NEXT"',
  '<https://forge.example/x?page=1>; rel="prev", <https://forge.example/x?page=2>; rel="next"',
])('%s leads on', (link) => {
  expect(next(link)).toEqual({ page: '2' });
});

it.each([
  '<https://forge.example/x?page=9>; rel="last"',
  '<https://forge.example/next?page=9>; rel="prev"',
  '<https://forge.example/x?page=9>; rel="next-archive"',
  '',
])('%j is the end', (link) => {
  expect(next(link)).toBeNull();
});

it.each(['<not an address>; rel="next"', '<https://forge.example/x>; rel="next"', 'page=2; rel="next"', 'x=2; next'])(
  '%j can not be read, and is no end (R2)',
  (link) => {
    expect(() => next(link)).toThrow('can not be read');
  },
);
