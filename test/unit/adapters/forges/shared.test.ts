import { Headers } from 'node-fetch';
import { expect, test } from 'vitest';
import { coAuthorsOf } from '../../../../src/adapters/forges/shared/co-authors.ts';
import { RememberedAnswers } from '../../../../src/adapters/forges/shared/remembered.ts';
import { waitOf } from '../../../../src/adapters/forges/shared/wait.ts';

const NOW = Date.parse('2026-03-31T12:00:00Z');
const SECONDS = NOW / 1000;

interface Said {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly text?: string;
}

test.each<readonly [string, Said, number | undefined]>([
  ['nothing of the kind', { status: 200 }, undefined],
  [
    'some calls are left',
    { status: 200, headers: { 'x-ratelimit-remaining': '1', 'x-ratelimit-reset': `${SECONDS + 9}` } },
    undefined,
  ],
  [
    'none is left',
    { status: 200, headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': `${SECONDS + 9}` } },
    9_000,
  ],
  [
    'the reset is over',
    { status: 200, headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': `${SECONDS - 9}` } },
    0,
  ],
  [
    'a reset that is no number',
    { status: 200, headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': 'soon' } },
    undefined,
  ],
  ['a plain refusal', { status: 403, text: '{"message":"Resource not accessible by integration"}' }, undefined],
  ['a refusal with a time', { status: 403, headers: { 'retry-after': '5' } }, 5_000],
  ['a refusal with none left and no time', { status: 403, headers: { 'x-ratelimit-remaining': '0' } }, 60_000],
  ['a time of the past', { status: 429, headers: { 'retry-after': 'Tue, 31 Mar 2026 11:00:00 GMT' } }, 0],
  [
    'a time by a clock an hour ahead',
    { status: 429, headers: { date: 'Tue, 31 Mar 2026 13:00:00 GMT', 'retry-after': 'Tue, 31 Mar 2026 13:00:02 GMT' } },
    2_000,
  ],
  ['a time that can not be read', { status: 429, headers: { 'retry-after': 'later' } }, 60_000],
  ['a fault with a time', { status: 503, headers: { 'retry-after': '3' } }, 3_000],
  ['a fault without', { status: 503 }, undefined],
  ['what only looks like it', { status: 404, headers: { 'retry-after': '3' }, text: 'rate limit exceeded' }, undefined],
])('%s', (_, { status, headers = {}, text = '' }, ms) => {
  expect(waitOf({ status, headers: new Headers(headers), text, now: NOW })).toBe(ms);
});

test('co-authors are read as git writes them, and as people do', () => {
  const message = [
    'add',
    '',
    'Co-authored-by: Ann Example <ann@example.org>',
    'CO-AUTHORED-BY:Bob<bob@example.org> (he)',
    '  co-authored-by : carol',
    'Co-authored-by: <dave@example.org>',
    'not Co-authored-by: Eve <eve@example.org>',
  ];
  expect(coAuthorsOf(message.join('\n'))).toEqual([
    { name: 'Ann Example', email: 'ann@example.org' },
    { name: 'Bob', email: 'bob@example.org' },
    { name: 'carol', email: '' },
    { name: '', email: 'dave@example.org' },
  ]);
});

test('answers are remembered up to a bound, the oldest go first, and one without ETag is forgotten', () => {
  const remembered = new RememberedAnswers();
  const answer = (text: string, etag?: string) => ({ text, headers: new Headers(etag === undefined ? {} : { etag }) });
  for (let index = 0; index < 300; index += 1) remembered.keep(`u${index}`, answer('x', `"${index}"`));
  expect(remembered.of('u43')).toBeUndefined();
  expect(remembered.of('u44')).toMatchObject({ etag: '"44"', text: 'x' });
  remembered.keep('u299', answer('y'));
  expect(remembered.of('u299')).toBeUndefined();
  const large = 'x'.repeat(9 * 1024 * 1024);
  remembered.keep('large', answer(large, '"1"'));
  remembered.keep('larger', answer(large, '"2"'));
  expect(remembered.of('large')).toBeUndefined();
  expect(remembered.of('larger')).toBeDefined();
  expect(remembered.of('u298')).toBeUndefined();
});
