import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { jobPath } from '../../src/adapters/engines/nomad/client.ts';
import { jobStubs } from '../../src/adapters/engines/nomad/types.ts';
import { StalledError, TransientError } from '../../src/errors.ts';
import { DAEMON_TOKEN } from '../fakes/nomad/fake-nomad.ts';
import { type NomadParts, QUICK, startNomadParts } from '../fakes/nomad-parts.ts';
import { makeTls } from '../fakes/tls.ts';
import { until } from '../fakes/until.ts';

const anything = z.unknown();
const caught = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'no error',
    (error: unknown) => error,
  );
const list = (from: NomadParts['client']) => from.get('/v1/jobs', jobStubs);

let parts: NomadParts;
let directory: string;

beforeEach(async () => {
  parts = await startNomadParts();
  directory = mkdtempSync(path.join(tmpdir(), 'client-'));
});

afterEach(async () => {
  await parts.close();
  rmSync(directory, { recursive: true, force: true });
});

describe('a call of Nomad', () => {
  it('answers with the value, its index and the time of the server', async () => {
    const answer = await list(parts.client);
    expect(answer?.value.map(({ ID }) => ID)).toEqual(['vault-runner']);
    expect(answer?.index).toBeGreaterThan(0);
    expect(Math.abs((answer?.date ?? 0) - Date.now())).toBeLessThan(60_000);
  });

  it('carries namespace and region', async () => {
    await list(parts.newClient({ region: 'global', namespace: 'agents' }));
    const { searchParams } = new URL(parts.nomad.requests.at(-1)?.url ?? '', 'http://x');
    expect(Object.fromEntries(searchParams)).toEqual({ namespace: 'agents', region: 'global' });
  });

  it('answers null for a record that Nomad does not know', async () => {
    expect(await parts.client.get(jobPath('vault-runner/dispatch-1-0'), anything)).toBeNull();
  });

  it('reads the token file at every call (R16)', async () => {
    const file = path.join(directory, 'token');
    const client = parts.newClient({ token_file: file }, null);
    writeFileSync(file, `${DAEMON_TOKEN}\n`);
    expect(await list(client)).not.toBeNull();
    writeFileSync(file, 'another');
    expect(await caught(list(client))).toBeInstanceOf(StalledError);
    writeFileSync(file, DAEMON_TOKEN);
    expect(await list(client)).not.toBeNull();
  });

  it.each([
    ['missing', null],
    ['empty', '\n'],
    ['of two lines', 'hvs.SECRET\nhvs.SECRET'],
  ])('stalls when the token file is %s, and names it (R14)', async (_, content) => {
    const file = path.join(directory, 'token');
    if (content !== null) writeFileSync(file, content);
    const error = await caught(list(parts.newClient({ token_file: file }, null)));
    expect(error).toMatchObject({ code: 'ERR_ENGINE_DENIED', message: expect.stringContaining(file) as string });
    expect(inspect(error)).not.toContain('SECRET');
    expect(parts.nomad.count('jobs')).toBe(0);
  });

  it('is asked again when a server that starts denies it for a moment', async () => {
    await parts.nomad.restart(3);
    const patient = parts.newClient({}, DAEMON_TOKEN, { ...QUICK, deniedMs: 10_000 });
    expect(await list(patient)).not.toBeNull();
    expect(parts.nomad.count('jobs')).toBe(4);
  });

  it('stalls when the denial lasts, and tells a missing right from a bad token', async () => {
    const noRight = await caught(parts.client.get('/v1/nodes', anything));
    expect(noRight).toMatchObject({
      code: 'ERR_ENGINE_DENIED',
      message: 'GET /v1/nodes: 403 Permission denied: the token has no such right',
    });
    const badToken = await caught(list(parts.newClient({}, '20000000-0000-4000-8000-000000000001')));
    expect(badToken).toMatchObject({
      code: 'ERR_ENGINE_DENIED',
      kind: 'bad-token',
      message: expect.stringContaining('does not know the token') as string,
    });
  });

  it('is an outage while the server is down, and works after it (E2)', async () => {
    await parts.nomad.down();
    const error = await caught(list(parts.client));
    expect(error).toBeInstanceOf(TransientError);
    expect(error).toMatchObject({ message: 'GET /v1/jobs: ECONNREFUSED' });
    await parts.nomad.up();
    expect(await list(parts.client)).not.toBeNull();
  });

  it('is an outage when no answer comes in time', async () => {
    parts.nomad.faults.hang();
    const error = await caught(parts.client.get('/v1/jobs', jobStubs, { timeoutMs: 30 }));
    expect(error).toMatchObject({ code: 'ERR_ENGINE_UNAVAILABLE', message: 'GET /v1/jobs: no answer in time' });
  });

  it('ends with the reason of the caller when it is aborted', async () => {
    parts.nomad.faults.hang();
    const why = new Error('over');
    const stop = new AbortController();
    const call = caught(parts.client.get('/v1/jobs', jobStubs, { signal: stop.signal }));
    await until('it hangs', () => parts.nomad.requests.length === 1);
    stop.abort(why);
    expect(await call).toBe(why);
  });

  it('passes on how long an overloaded server wants to be left alone (R17)', async () => {
    parts.nomad.faults.tooManyConnections();
    expect(await caught(list(parts.client))).toMatchObject({ code: 'ERR_ENGINE_UNAVAILABLE', retryAfterMs: 1_000 });
  });

  it('takes few connections, however many run at once', async () => {
    parts.nomad.limitConnections(20);
    const answers = await Promise.all(Array.from({ length: 100 }, () => list(parts.client)));
    expect(answers.every((answer) => answer !== null)).toBe(true);
  });

  it('has its time from when it is sent, not from when it waits for others of ours', async () => {
    const release = parts.nomad.faults.hang({ times: 16 });
    const sent = Array.from({ length: 16 }, () => list(parts.client));
    await until('all of them hang', () => parts.nomad.requests.length === 16);
    const waits = parts.client.get('/v1/jobs', jobStubs, { timeoutMs: 1_000 });
    parts.nomad.faults.hang({ pattern: /nodes/ });
    const other = parts.newClient();
    expect(await caught(other.get('/v1/nodes', anything, { timeoutMs: 1_100 }))).toBeInstanceOf(TransientError);
    release();
    expect(await waits).not.toBeNull();
    expect((await Promise.all(sent)).length).toBe(16);
  });

  it('lets go of a stream when it is aborted', async () => {
    const stop = new AbortController();
    const query = { topic: 'Job' };
    const stream = await parts.client.stream('/v1/event/stream', { query, signal: stop.signal });
    const seen: string[] = [];
    const reading = (async () => {
      for await (const chunk of stream) seen.push(Buffer.from(chunk).toString());
    })();
    await until('it beats', () => seen.length > 0);
    stop.abort();
    await reading;
    await until('it is closed', () => parts.nomad.streams.open === 0);
    expect(seen[0]).toMatch(/^\{\}/);
  });
});

describe('an error of a call', () => {
  const SECRET = 'hvs.SECRET';
  const body = { Payload: SECRET };

  it.each<readonly [string, (nomad: NomadParts['nomad']) => void]>([
    ['an unknown 500', ({ faults }) => faults.answer(500, `boom ${SECRET}`)],
    ['a 400 that quotes', ({ faults }) => faults.answer(400, `illegal ${SECRET} ${DAEMON_TOKEN}`)],
    ['a lasting 403', ({ faults }) => faults.answer(403, `Permission denied ${SECRET}`, { times: 1_000 })],
    ['a foreign 404', ({ faults }) => faults.answer(404, SECRET)],
    ['a 429', ({ faults }) => faults.answer(429, SECRET)],
    ['no leader', ({ faults }) => faults.noLeader()],
    ['no JSON', ({ faults }) => faults.answer(200, SECRET)],
    ['other JSON', ({ faults }) => faults.answer(200, JSON.stringify({ DispatchedJobID: { [SECRET]: SECRET } }))],
    ['a cut connection', ({ faults }) => faults.cut()],
    ['a lost answer', ({ faults }) => faults.loseAnswer()],
    ['silence', ({ faults }) => void faults.hang()],
  ])('holds no token, payload or body: %s (R14)', async (_, break_) => {
    break_(parts.nomad);
    const schema = z.object({ DispatchedJobID: z.string() });
    const call = parts.client.send(['POST', '/v1/job/vault-runner/dispatch'], body, schema, { timeoutMs: 200 });
    const error = await caught(call);
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toHaveProperty('cause');
    expect(inspect(error, { depth: 10, showHidden: true })).not.toMatch(/hvs\.SECRET|10000000-0000/);
  });
});

describe('the way to Nomad', () => {
  let server: Server | null = null;
  const seen: string[] = [];
  const answer: RequestListener = (request, response) => {
    seen.push(`${request.url} ${String(request.headers['x-nomad-token'])}`);
    response.end('[]');
  };

  const listen = async (on: Server, at: number | string = 0): Promise<string> => {
    server = on;
    seen.length = 0;
    await new Promise<void>((resolve) =>
      typeof at === 'string' ? on.listen(at, resolve) : on.listen(at, '127.0.0.1', resolve),
    );
    return typeof at === 'string' ? at : `127.0.0.1:${(on.address() as AddressInfo).port}`;
  };

  afterEach(async () => {
    await parts.close();
    await new Promise((resolve) => server?.close(resolve));
  });

  it('may be a Unix socket', async () => {
    const socket = await listen(createServer(answer), path.join(directory, 'api.sock'));
    expect((await list(parts.newClient({ address: `unix://${socket}` })))?.value).toEqual([]);
    expect(seen).toEqual([`/v1/jobs?namespace=agents ${DAEMON_TOKEN}`]);
  });

  it('is never another one because of a redirect (R14)', async () => {
    const redirect: RequestListener = (_, response) => response.writeHead(307, { location: parts.nomad.address }).end();
    const host = await listen(createServer(redirect));
    expect(await caught(list(parts.newClient({ address: `http://${host}` })))).toBeInstanceOf(TransientError);
    expect(parts.nomad.requests).toEqual([]);
  });

  it('is TLS with a CA and a certificate of our own', async () => {
    const file = (name: string, content: string): string => {
      writeFileSync(path.join(directory, name), content);
      return path.join(directory, name);
    };
    const pair = makeTls();
    const tls = { key: pair.key, cert: pair.cert, ca: pair.cert, requestCert: true, rejectUnauthorized: true };
    const address = `https://${await listen(createTlsServer(tls, answer))}`;
    const files = {
      ca_file: file('ca.pem', pair.cert),
      client_cert_file: file('cert.pem', pair.cert),
      client_key_file: file('key.pem', pair.key),
    };
    expect((await list(parts.newClient({ address, ...files })))?.value).toEqual([]);
    expect(await caught(list(parts.newClient({ address })))).toBeInstanceOf(TransientError);
    const noCertificate = { address, ca_file: files.ca_file };
    expect(await caught(list(parts.newClient(noCertificate)))).toBeInstanceOf(TransientError);
    expect(seen).toHaveLength(1);
  });

  it('stalls when a certificate can not be read', async () => {
    const ca = path.join(directory, 'none.pem');
    const error = await caught(list(parts.newClient({ address: 'https://127.0.0.1:1', ca_file: ca })));
    expect(error).toMatchObject({
      code: 'ERR_ENGINE_DENIED',
      message: `${ca} of [engine.nomad] can not be read: ENOENT`,
    });
  });
});
