import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { TooLongError } from '../../src/adapters/forges/shared/body.ts';
import { type Api, ForgeClient } from '../../src/adapters/forges/shared/client.ts';
import { nextPageOf, totalOf } from '../../src/adapters/forges/shared/paging.ts';
import { Repository } from '../../src/adapters/forges/shared/repository.ts';
import { StalledError, TransientError } from '../../src/errors.ts';
import { ForgeReplay, tokenOf } from '../fakes/forge-replay.ts';
import { ManualClock } from '../fakes/manual-clock.ts';
import { makeTls } from '../fakes/tls.ts';
import { until } from '../fakes/until.ts';

const anything = z.looseObject({});
const thing = { path: '/repos/{owner}/{repo}', values: { owner: 'ops', repo: 'code' } };

let forge: ForgeReplay;
let clock: ManualClock;
let directory: string;

beforeEach(async () => {
  forge = await ForgeReplay.start();
  clock = new ManualClock();
  directory = await mkdtemp(path.join(os.tmpdir(), 'forge-client-'));
});

afterEach(async () => {
  await forge.close();
  await rm(directory, { recursive: true });
});

function clientFor(more: Partial<Api> = {}): ForgeClient {
  const api = { base: forge.url, caFile: null, token: tokenOf('edge-bot'), tokenKey: 'token_file', scheme: 'token' };
  return new ForgeClient({ ...api, ...more }, clock);
}

/** What a call throws. */
async function thrownBy(call: Promise<unknown>): Promise<unknown> {
  return await call.then(
    () => 'nothing',
    (error: unknown) => error,
  );
}

function outage(text: string, retryAfterMs?: number): unknown {
  const more = retryAfterMs === undefined ? {} : { retryAfterMs };
  return expect.objectContaining({ code: 'ERR_FORGE_UNAVAILABLE', message: `the forge: ${text}`, ...more });
}

test('sends its token in the way that the forge wants, fixed headers and the query', async () => {
  forge.on('GET', /.*/, ({ headers, query }) => ({
    status: 200,
    body: { authorization: headers.authorization, version: headers['x-version'], query: [...query] },
  }));
  const client = clientFor({ scheme: 'Bearer', headers: { 'X-Version': '2022-11-28' } });
  const answer = await client.get({ ...thing, query: { page: 1, state: 'open', files: false } }, anything);
  expect(answer?.value).toEqual({
    authorization: 'Bearer token-of-edge-bot',
    version: '2022-11-28',
    query: [
      ['page', '1'],
      ['state', 'open'],
      ['files', 'false'],
    ],
  });
});

test('what a person names never leads to another path', async () => {
  forge.on('GET', /.*/, ({ path: asked }) => ({ status: 200, body: { asked } }));
  const call = { path: '/users/{login}', values: { login: '../admin?x=1#y/z' } };
  expect((await clientFor().get(call, anything))?.value).toEqual({ asked: '/users/..%2Fadmin%3Fx%3D1%23y%2Fz' });
  expect(() => clientFor().get({ path: '/users/{login}', values: { login: '..' } }, anything)).toThrow('not a part');
  expect(() => clientFor().get({ path: '/users/{login}' }, anything)).toThrow('not a part');
});

test.each([
  [401, StalledError, 'it does not know our token, or the token has expired (401)'],
  [403, StalledError, 'our token has no right to it (403)'],
  [422, StalledError, 'it refuses the request (422)'],
  [301, StalledError, 'it has moved: set url and repo of [forge] to where it is now (301)'],
  [302, TransientError, 'it sends us elsewhere (302)'],
  [408, TransientError, 'it has a fault of its own (408)'],
  [500, TransientError, 'it has a fault of its own (500)'],
  [502, TransientError, 'it has a fault of its own (502)'],
])('status %i is told in words of ours, without token, header or body', async (status, kind, text) => {
  forge.on('GET', /.*/, ({ headers }) => ({
    status,
    headers: { 'x-secret': 'xyzzy' },
    body: { message: `xyzzy ${headers.authorization}` },
  }));
  const error = await thrownBy(clientFor().get(thing, anything));
  expect(error).toBeInstanceOf(kind);
  expect(error).toMatchObject({ message: `the forge: GET /repos/{owner}/{repo}: ${text}` });
  expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toMatch(/xyzzy|token-of/);
});

test('404 is null, and only the caller knows what it means; other statuses may be', async () => {
  forge.on('GET', /.*/, { status: 404, body: {} });
  expect(await clientFor().get(thing, anything)).toBeNull();
  forge.on('GET', /.*/, { status: 403, body: { message: 'no' } });
  expect(await clientFor().get({ ...thing, absent: [403, 404] }, anything)).toBeNull();
});

test('a limit of rate is never taken for "no such thing" or "no right"', async () => {
  const headers = { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': `${clock.now().getTime() / 1000 + 90}` };
  forge.on('GET', /.*/, { status: 403, headers: { ...headers, date: clock.now().toUTCString() }, body: {} });
  const error = await thrownBy(clientFor().get({ ...thing, absent: [403, 404] }, anything));
  expect(error).toEqual(outage('GET /repos/{owner}/{repo}: it asks us to wait (403)', 90_000));
});

type Limit = readonly [string, number, Readonly<Record<string, string>>, object, number];

test.each<Limit>([
  ['429 with seconds', 429, { 'retry-after': '7' }, {}, 7_000],
  [
    '429 with a date, by the server’s own clock',
    429,
    { 'retry-after': 'Tue, 31 Mar 2026 13:00:05 GMT', date: 'Tue, 31 Mar 2026 13:00:00 GMT' },
    {},
    5_000,
  ],
  ['429 with a reset in seconds', 429, { 'ratelimit-remaining': '0', 'ratelimit-reset': '3', date: 'x' }, {}, 3_000],
  ['429 without a time', 429, {}, {}, 60_000],
  ['503 with seconds', 503, { 'retry-after': '2' }, {}, 2_000],
  ['403 of the secondary limit', 403, {}, { message: 'You have exceeded a secondary rate limit.' }, 60_000],
  ['a wait without end is cut to an hour', 429, { 'retry-after': '999999999' }, {}, 3_600_000],
])('%s: asked again only then', async (...row) => {
  const [, status, headers, body, ms]: Limit = row;
  const client = clientFor();
  forge.on('GET', /.*/, { status, headers, body });
  expect(await thrownBy(client.get(thing, anything))).toMatchObject({ retryAfterMs: ms });
  forge.on('GET', /.*/, { status: 200, body: {} });
  clock.advance(ms - 1);
  expect(await thrownBy(client.get(thing, anything))).toEqual(
    outage('GET /repos/{owner}/{repo}: it asks us to wait', 1),
  );
  expect(forge.seen).toHaveLength(1);
  clock.advance(1);
  expect(await client.get(thing, anything)).not.toBeNull();
});

test('the last call that a limit allows is answered, the next one waits', async () => {
  const client = clientFor();
  const headers = {
    'x-ratelimit-remaining': '0',
    'x-ratelimit-reset': `${clock.now().getTime() / 1000 + 30}`,
    date: clock.now().toUTCString(),
  };
  forge.on('GET', /.*/, { status: 200, headers, body: {} });
  expect(await client.get(thing, anything)).not.toBeNull();
  expect(await thrownBy(client.get(thing, anything))).toMatchObject({ retryAfterMs: 30_000 });
  expect(forge.seen).toHaveLength(1);
});

test('one failure delays nobody; two in a row close the way for a short while, each further one for longer', async () => {
  const client = clientFor();
  forge.on('GET', /.*/, { status: 502, text: '<html>bad gateway</html>' });
  await thrownBy(client.get(thing, anything));
  await thrownBy(client.get(thing, anything));
  expect(forge.seen).toHaveLength(2);
  const closed = await thrownBy(client.get(thing, anything));
  expect(forge.seen).toHaveLength(2);
  expect(closed).toMatchObject({ code: 'ERR_FORGE_UNAVAILABLE', retryAfterMs: expect.toSatisfy((ms) => ms <= 250) });
  clock.advance(250);
  await thrownBy(client.get(thing, anything));
  expect(await thrownBy(client.get(thing, anything))).toMatchObject({
    retryAfterMs: expect.toSatisfy((ms) => ms >= 250 && ms <= 500),
  });
  clock.advance(500);
  forge.on('GET', /.*/, { status: 200, body: {} });
  expect(await client.get(thing, anything)).not.toBeNull();
  forge.on('GET', /.*/, { status: 502 });
  await thrownBy(client.get(thing, anything));
  forge.on('GET', /.*/, { status: 200, body: {} });
  expect(await client.get(thing, anything)).not.toBeNull();
});

test('of calls that fail side by side one counts, and whoever waited for a turn is not sent once the forge said so', async () => {
  const client = clientFor();
  forge.on('GET', /.*/, { status: 502 });
  await Promise.all(Array.from({ length: 8 }, () => thrownBy(client.get(thing, anything))));
  forge.on('GET', /.*/, { status: 429, headers: { 'retry-after': '5' } });
  const errors = await Promise.all(Array.from({ length: 12 }, () => thrownBy(client.get(thing, anything))));
  expect(errors.every((error) => error instanceof TransientError && error.retryAfterMs === 5_000)).toBe(true);
  expect(forge.seen).toHaveLength(16);
});

test('a GET follows what has moved within the same origin, for a few steps only', async () => {
  forge.on('GET', /^\/repos\/ops\/code$/, { status: 301, headers: { location: '/repositories/7' } });
  forge.on('GET', /^\/repositories\/7$/, ({ as }) => ({ status: 200, body: { as } }));
  expect((await clientFor().get(thing, anything))?.value).toEqual({ as: 'edge-bot' });
  forge.on('GET', /.*/, { status: 301, headers: { location: '/again' } });
  const before = forge.seen.length;
  expect(await thrownBy(clientFor().get(thing, anything))).toBeInstanceOf(StalledError);
  expect(forge.seen.length - before).toBe(4);
});

test('the token goes to no other host or port, and nothing is sent twice because of a redirect', async () => {
  const other = await ForgeReplay.start();
  forge.on('GET', /.*/, { status: 301, headers: { location: `${other.url}/repos/ops/code` } });
  forge.on('POST', /.*/, { status: 307, headers: { location: '/elsewhere' } });
  expect(await thrownBy(clientFor().get(thing, anything))).toBeInstanceOf(StalledError);
  expect(await thrownBy(clientFor().send(['POST', thing], {}, anything))).toBeInstanceOf(TransientError);
  expect(other.seen).toEqual([]);
  expect(forge.asked).toEqual(['GET /repos/ops/code', 'POST /repos/ops/code']);
  await other.close();
});

test('what has not changed is not sent again where the forge gives an ETag', async () => {
  let etag = '"a"';
  forge.on('GET', /.*/, ({ headers, query }) => {
    if (headers['if-none-match'] === etag) return { status: 304, headers: { etag } };
    return { status: 200, headers: { etag, 'x-total-count': '3' }, body: { etag, page: query.get('page') } };
  });
  const client = clientFor();
  const first = await client.get({ ...thing, query: { page: 1 } }, anything);
  const again = await client.get({ ...thing, query: { page: 1 } }, anything);
  const otherPage = await client.get({ ...thing, query: { page: 2 } }, anything);
  expect(first?.value).toEqual({ etag: '"a"', page: '1' });
  expect(again?.value).toEqual(first?.value);
  expect(again === null ? null : totalOf(again.headers)).toBe(3);
  expect(otherPage?.value).toEqual({ etag: '"a"', page: '2' });
  etag = '"b"';
  expect((await client.get({ ...thing, query: { page: 1 } }, anything))?.value).toEqual({ etag: '"b"', page: '1' });
  expect(forge.seen.map(({ headers }) => headers['if-none-match'])).toEqual([undefined, '"a"', undefined, '"a"']);
});

test.each([
  ['a page of HTML', { status: 200, text: '<html>please log in</html>' }, 'its answer can not be read'],
  ['JSON of another shape', { status: 200, body: [] }, 'its answer can not be read'],
  ['a long body', { status: 200, text: `[${'1,'.repeat(5 * 1024 * 1024)}1]` }, 'its answer is too long'],
  ['304 that nobody asked for', { status: 304 }, 'it sends us elsewhere (304)'],
])('%s is an outage', async (_, answer, text) => {
  forge.on('GET', /.*/, answer);
  const error = await thrownBy(clientFor().get(thing, anything));
  expect(error).toEqual(outage(`GET /repos/{owner}/{repo}: ${text}`));
});

test('a text that is too long reads as null, and what anybody can make too long is no outage of the forge', async () => {
  const client = clientFor();
  const texts = z.object({ body: z.string().nullable(), after: z.string() });
  forge.on('GET', /.*/, { status: 200, body: { body: 'x'.repeat(9_000_000), after: 'it' } });
  expect((await client.get(thing, texts))?.value).toEqual({ body: null, after: 'it' });
  expect(await client.get({ ...thing, longestText: 10_000_000 }, texts).catch(String)).toContain('too long');
  forge.on('GET', /.*/, { status: 200, text: `[${'1,'.repeat(5 * 1024 * 1024)}1]` });
  for (let call = 0; call < 3; call += 1)
    expect(await thrownBy(client.get(thing, anything))).toBeInstanceOf(TooLongError);
  forge.on('GET', /.*/, { status: 200, body: {} });
  expect(await client.get(thing, anything)).not.toBeNull();
});

test('a broken connection is an outage, whenever it breaks', async () => {
  forge.on('GET', /.*/, () => 'cut');
  expect(await thrownBy(clientFor().get(thing, anything))).toBeInstanceOf(TransientError);
  forge.on('GET', /.*/, () => 'reset');
  expect(await thrownBy(clientFor().get(thing, anything))).toEqual(
    outage('GET /repos/{owner}/{repo}: it can not be reached (ECONNRESET)'),
  );
  const gone = await ForgeReplay.start();
  const base = gone.url;
  await gone.close();
  expect(await thrownBy(clientFor({ base }).get(thing, anything))).toEqual(
    outage('GET /repos/{owner}/{repo}: it can not be reached (ECONNREFUSED)'),
  );
});

test('a forge that does not answer is waited for so long and no longer', async () => {
  forge.on('GET', /.*/, () => 'hang');
  const client = clientFor({ timing: { timeoutMs: 30 } });
  expect(await thrownBy(client.get(thing, anything))).toEqual(outage('GET /repos/{owner}/{repo}: no answer in time'));
});

test('eight calls run at once; whoever waits for a turn can leave', async () => {
  let free: () => void = () => undefined;
  const freed = new Promise<void>((resolve) => {
    free = resolve;
  });
  forge.on('GET', /.*/, async () => {
    await freed;
    return { status: 200, body: {} };
  });
  const client = clientFor();
  const calls = Array.from({ length: 12 }, () => client.get(thing, anything));
  const leaving = new AbortController();
  const left = thrownBy(client.get({ ...thing, signal: leaving.signal }, anything));
  await until('eight are there', () => forge.seen.length === 8);
  leaving.abort(new Error('stopping'));
  expect(await left).toMatchObject({ message: 'stopping' });
  expect(forge.seen).toHaveLength(8);
  free();
  await Promise.all(calls);
  expect(forge.seen).toHaveLength(12);
});

test('an aborted call throws the reason of its signal', async () => {
  forge.on('GET', /.*/, () => 'hang');
  const leaving = new AbortController();
  const left = thrownBy(clientFor().get({ ...thing, signal: leaving.signal }, anything));
  await until('it is there', () => forge.seen.length === 1);
  leaving.abort(new Error('stopping'));
  expect(await left).toMatchObject({ message: 'stopping' });
});

test('the token is read again at every use, and never told', async () => {
  const file = path.join(directory, 'token');
  const client = clientFor({ token: { file } });
  forge.on('GET', /.*/, ({ as }) => ({ status: 200, body: { as } }));
  expect(await thrownBy(client.get(thing, anything))).toMatchObject({
    code: 'ERR_FORGE_DENIED',
    message: 'no token for the forge in token_file of [forge]: it can not be read (ENOENT)',
  });
  await writeFile(file, 'token-of-dev1\n');
  expect((await client.get(thing, anything))?.value).toEqual({ as: 'dev1' });
  await writeFile(file, 'token-of-dev2\n');
  expect((await client.get(thing, anything))?.value).toEqual({ as: 'dev2' });
  await writeFile(file, 'token-of-dev2\nHost: elsewhere');
  expect(await thrownBy(client.get(thing, anything))).toMatchObject({
    code: 'ERR_FORGE_DENIED',
    message: 'no token for the forge in token_file of [forge]: it holds none',
  });
  expect(forge.seen).toHaveLength(2);
});

test('a forge behind a certificate of our own is trusted by ca_file only', async () => {
  const pair = makeTls();
  const secure = await ForgeReplay.start(pair);
  secure.on('GET', /.*/, { status: 200, body: {} });
  const caFile = path.join(directory, 'ca.pem');
  const base = secure.url;
  expect(await thrownBy(clientFor({ base, caFile }).get(thing, anything))).toMatchObject({ code: 'ERR_FORGE_DENIED' });
  await writeFile(caFile, pair.cert);
  expect(await clientFor({ base, caFile }).get(thing, anything)).not.toBeNull();
  expect(await thrownBy(clientFor({ base }).get(thing, anything))).toBeInstanceOf(TransientError);
  await secure.close();
});

test('a 404 is a "no" only after the repository answered with the same token, some seconds ago at most', async () => {
  const repository = new Repository(clientFor(), 'ops/code', clock);
  forge.on('GET', /^\/repos\/ops\/code$/, { status: 200, body: {} });
  expect(await repository.confirmed(null, undefined)).toBeNull();
  expect(await repository.confirmed(null, undefined)).toBeNull();
  expect(forge.seen).toHaveLength(1);
  forge.on('GET', /^\/repos\/ops\/code$/, { status: 404, body: {} });
  clock.advance(10_001);
  expect(await thrownBy(repository.confirmed(null, undefined))).toMatchObject({
    code: 'ERR_FORGE_DENIED',
    message: 'the forge: GET /repos/{owner}/{repo}: the repository does not exist, or our token may not see it (404)',
  });
});

test('the next page is a query, wherever the header points', () => {
  const headers = new Headers({
    link: '<https://evil.example/x?page=1>; rel="prev", <https://evil.example/x?after=a%2Bb&per_page=100>; rel="next"',
  });
  expect(nextPageOf(headers, 'GET /x')).toEqual({ after: 'a+b', per_page: '100' });
  expect(nextPageOf(new Headers({ link: '<https://forge.example/x?page=9>; rel="last"' }), 'GET /x')).toBeNull();
  expect(nextPageOf(new Headers(), 'GET /x')).toBeNull();
});
