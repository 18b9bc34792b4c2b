import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createNotifier } from '../../src/adapters/notifier.ts';
import { notificationOf } from '../../src/domain/notification.ts';
import { sampleResult } from '../fakes/cli-samples.ts';
import { ManualClock } from '../fakes/manual-clock.ts';

/** What the address of a chat's webhook hides in its path and query. */
const SECRET = 'T0000-s3cr3t-B0000';
const NOTIFICATION = notificationOf(sampleResult('release', { outcome: 'failed' }), 'a/release.result.json', 'edge-1');
const never = new AbortController().signal;

type Handler = (request: http.IncomingMessage, response: http.ServerResponse) => void;
let dir: string;
let server: http.Server;
let handler: Handler;
let received: { readonly url: string; readonly headers: http.IncomingHttpHeaders; readonly body: string }[];

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'edge-notify-'));
  received = [];
  handler = (_, response) => void response.end('ok');
  server = http.createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      received.push({ url: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks).toString() });
      handler(request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(dir, { recursive: true });
});

const origin = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

async function notifier(address = `${origin()}/hooks/${SECRET}?key=${SECRET}`, timeoutMs = 10_000) {
  const file = path.join(dir, 'url');
  await writeFile(file, `${address}\n`, { mode: 0o600 });
  return createNotifier({ address: { file }, timeoutMs }, new ManualClock());
}

/** The error of a call, of which nothing that can be printed holds the address. */
async function errorOf(call: Promise<unknown>): Promise<unknown> {
  const error: unknown = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  const printed = [inspect(error, { depth: 9, showHidden: true }), JSON.stringify(error), String(error)].join();
  expect(printed).not.toContain(SECRET);
  expect(error).not.toBeNull();
  return error;
}

describe('the receiver of notifications', () => {
  it('gets one POST of JSON, at an address that is read again each time', async () => {
    const one = await notifier();
    expect(await one.send(NOTIFICATION, never)).toEqual({ taken: true, status: 200 });
    await writeFile(path.join(dir, 'url'), `${origin()}/other`);
    await one.send(NOTIFICATION, never);
    expect(received.map(({ url }) => url)).toEqual([`/hooks/${SECRET}?key=${SECRET}`, '/other']);
    expect(received[0]?.headers).toMatchObject({ 'content-type': 'application/json', 'user-agent': 'edge-dispatcher' });
    expect(JSON.parse(received[0]?.body ?? '')).toEqual(NOTIFICATION);
  });

  it.each([400, 401, 403, 404, 410])('that answers %i did not take it', async (status) => {
    handler = (_, response) => void response.writeHead(status).end();
    expect(await (await notifier()).send(NOTIFICATION, never)).toEqual({ taken: false, status });
  });

  it.each([301, 302, 307, 308])('is not followed elsewhere (%i)', async (status) => {
    handler = (_, response) => void response.writeHead(status, { location: '/elsewhere' }).end();
    expect(await (await notifier()).send(NOTIFICATION, never)).toEqual({ taken: false, status });
    expect(received).toHaveLength(1);
  });

  it.each([
    [503, {}, undefined],
    [429, { 'retry-after': '7' }, 7000],
    [429, { 'retry-after': 'Tue, 31 Mar 2026 12:00:09 GMT' }, 9000],
    [500, { 'retry-after': 'soon' }, undefined],
  ])('that answers %i %o is away for now', async (status, headers, retryAfterMs) => {
    handler = (_, response) => void response.writeHead(status, headers).end();
    const error = await errorOf((await notifier()).send(NOTIFICATION, never));
    expect(error).toMatchObject({ code: 'ERR_NOTIFY_UNAVAILABLE', retryAfterMs });
    expect(String(error)).toContain(`it answers ${status}`);
  });

  it('that says nothing in time, or hangs up, is away; its address is in no error (R14)', async () => {
    handler = () => undefined;
    const silent = await errorOf((await notifier(undefined, 50)).send(NOTIFICATION, never));
    expect(silent).toMatchObject({ message: expect.stringContaining('no answer in time') });
    handler = (request) => void request.socket.destroy();
    const cut = await errorOf((await notifier()).send(NOTIFICATION, never));
    expect(cut).toMatchObject({ code: 'ERR_NOTIFY_UNAVAILABLE', message: expect.stringContaining('ECONNRESET') });
    const nobody = await errorOf((await notifier(`http://127.0.0.1:1/${SECRET}`)).send(NOTIFICATION, never));
    expect(nobody).toMatchObject({ message: expect.stringContaining('ECONNREFUSED') });
  });

  it('is not listened to beyond 64 KiB: its status is its answer', async () => {
    let sent = 0;
    handler = (_, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(16 * 1024))) sent += 16 * 1024;
      };
      response.on('drain', more);
      more();
    };
    expect(await (await notifier()).send(NOTIFICATION, never)).toEqual({ taken: true, status: 200 });
    expect(sent).toBeLessThan(64 * 1024 * 1024);
  });

  it('is not called once the signal is aborted, whose own reason comes out', async () => {
    const reason = new Error('stopping');
    await expect((await notifier()).send(NOTIFICATION, AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(received).toEqual([]);
  });

  it('needs an address that may be used, and only its owner may read', async () => {
    const plain = await notifier(`http://chat.example/${SECRET}`);
    expect(await errorOf(plain.send(NOTIFICATION, never))).toMatchObject({
      code: 'ERR_NOTIFY_DENIED',
      message: 'url_file of [notify] holds an address that is not https',
    });
    expect(await plain.check()).toMatchObject({ name: 'notify', ok: false, code: 'ERR_NOTIFY_DENIED' });
    await rm(path.join(dir, 'url'));
    expect(await plain.check()).toMatchObject({ message: 'url_file of [notify] is not there' });
  });

  it('is not called by the check', async () => {
    expect(await (await notifier()).check()).toMatchObject({ ok: true, code: null });
    expect(received).toEqual([]);
  });
});
