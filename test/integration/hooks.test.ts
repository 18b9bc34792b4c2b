import { createHmac } from 'node:crypto';
import http from 'node:http';
import net from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Health, startHealth } from '../../src/daemon/http/health.ts';
import type { HookTools } from '../../src/daemon/http/hooks.ts';
import { SecretText } from '../../src/domain/secret-text.ts';
import { ManualClock } from '../fakes/manual-clock.ts';
import { until } from '../fakes/until.ts';

const SECRET = 'hush-hush-hush-hush';
const FORGED = 'signed with something else';
const PUSH = JSON.stringify({ ref: 'refs/heads/main', after: 'c'.repeat(40) });

let clock: ManualClock;
let line: Awaited<ReturnType<HookTools['secret']>>;
let hints: number;
let counts: Record<string, number>;
let log: (readonly [string, unknown])[];
let health: Health;

beforeEach(async () => {
  clock = new ManualClock();
  line = { ok: true, secret: new SecretText(SECRET) };
  [hints, counts, log] = [0, {}, []];
  health = await start({
    secret: () => Promise.resolve(line),
    branch: 'main',
    onHint: () => {
      hints += 1;
    },
    clock,
    log: logTo(log),
    count: (outcome) => {
      counts[outcome] = (counts[outcome] ?? 0) + 1;
    },
  });
});
afterEach(() => health.close());

function logTo(lines: (readonly [string, unknown])[]) {
  const say = (message: string, fields?: unknown) => void lines.push([message, fields]);
  return { debug: say, info: say, warn: say, error: say };
}

const start = (hooks: HookTools | null) => startHealth({ host: '127.0.0.1', port: 0 }, () => [], logTo([]), { hooks });

const sign = (body: string | Buffer, secret = SECRET) => createHmac('sha256', secret).update(body).digest('hex');

interface Sent {
  readonly headers?: Readonly<Record<string, string>>;
  readonly to?: Health;
}

async function post(body: string | Buffer, { headers = {}, to = health }: Sent = {}) {
  const signed = Object.keys(headers).some((name) => name.includes('signature'));
  const response = await fetch(new URL('/hooks/push', to.address ?? ''), {
    method: 'POST',
    body,
    headers: {
      connection: 'close',
      'content-type': 'application/json',
      ...(signed ? {} : { 'x-forgejo-signature': sign(body, body === FORGED ? 'another' : SECRET) }),
      ...headers,
    },
  });
  return { status: response.status, text: await response.text() };
}

describe('POST /hooks/push', () => {
  it.each([
    ['Forgejo', { 'x-forgejo-event': 'push', 'x-forgejo-signature': sign(PUSH) }],
    ['Gitea', { 'x-gitea-event': 'push', 'x-gitea-signature': sign(PUSH) }],
    ['GitHub', { 'x-github-event': 'push', 'x-hub-signature-256': `sha256=${sign(PUSH)}` }],
  ])('of %s is a hint to look now', async (_, headers) => {
    expect(await post(PUSH, { headers })).toEqual({ status: 202, text: '{"status":"looking"}' });
    expect([hints, counts]).toEqual([1, { hint: 1 }]);
  });

  it('is a hint whatever the body calls itself, since its bytes are what is signed', async () => {
    const form = `payload=${encodeURIComponent(PUSH)}`;
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    expect((await post(form, { headers })).status).toBe(202);
    expect((await post('', { headers: { 'content-type': 'text/plain' } })).status).toBe(202);
  });

  it('that is forged does nothing, and costs one log line in thirty seconds (R18)', async () => {
    const forged: Sent['headers'][] = [
      { 'x-forgejo-signature': sign(PUSH, 'another secret') },
      { 'x-forgejo-signature': sign(`${PUSH} `) },
      { 'x-forgejo-signature': '' },
      { 'x-hub-signature-256': sign(PUSH).slice(1) },
    ];
    for (const headers of forged) expect((await post(PUSH, { headers: headers ?? {} })).status).toBe(401);
    expect([hints, counts]).toEqual([0, { forged: 4 }]);
    expect(log).toEqual([['a webhook was not accepted', { outcome: 'forged', reason: 'the signature is wrong' }]]);
    clock.advance(30_000);
    await post(PUSH, { headers: { 'x-forgejo-signature': '' } });
    expect(log.at(-1)).toEqual([
      'a webhook was not accepted',
      { outcome: 'forged', reason: 'there is no signature', unsaid: 3 },
    ]);
    expect(JSON.stringify(log)).not.toContain(SECRET);
  });

  it('a hundred times in a second, all alike, is two hints (R17, R18)', async () => {
    const answers = await Promise.all(
      Array.from({ length: 100 }, async () => {
        const answer = await post(PUSH);
        return answer.status;
      }),
    );
    expect(answers.every((status) => status === 202 || status === 503)).toBe(true);
    clock.advance(1000);
    await until('the second hint was given', () => hints === 2);
    clock.advance(60_000);
    expect(hints).toBe(2);
  });

  it.each([
    ['push', { ref: 'refs/heads/main' }, 202],
    ['push', { ref: 'refs/tags/approve/x' }, 202],
    ['push', { ref: 'refs/heads/other' }, 204],
    ['push', { ref: 'refs/heads/main2' }, 204],
    ['push', { ref: 'refs/dispatcher/journal' }, 204],
    ['push', ['no push that we know'], 202],
    ['ping', { zen: 'Speak like a human.' }, 204],
    ['pull_request', {}, 202],
    ['pull_request_review', {}, 202],
    ['pull_request_approved', {}, 202],
    ['pull_request_rejected', {}, 202],
    ['issue_comment', {}, 204],
    ['status', {}, 204],
  ])('with the event %s and %j is answered by %i', async (event, body, status) => {
    expect((await post(JSON.stringify(body), { headers: { 'x-gitea-event': event } })).status).toBe(status);
    expect(hints).toBe(status === 202 ? 1 : 0);
  });

  it('of more than a mebibyte is refused, however it is sent', async () => {
    const large = Buffer.alloc(1024 * 1024 + 1, 'x');
    expect((await post(large)).status).toBe(413);
    expect((await post(large.subarray(1))).status).toBe(202);
    const { port } = new URL(health.address ?? '');
    const headers = { 'x-forgejo-signature': sign('x'), 'transfer-encoding': 'chunked' };
    const status = await new Promise((resolve, reject) => {
      const request = http.request({ port, method: 'POST', path: '/hooks/push', headers }, (response) => {
        response.resume().on('close', () => resolve(response.statusCode));
        request.destroy();
      });
      request.on('error', reject);
      request.write(large);
    });
    expect([status, counts['refused']]).toEqual([413, 2]);
  });

  it('beyond sixteen bodies at once is asked to come again, and those that break off make room', async () => {
    const { port } = new URL(health.address ?? '');
    const half = `POST /hooks/push HTTP/1.1\r\nhost: x\r\nx-forgejo-signature: ${sign('x')}\r\ncontent-length: 9\r\n\r\n`;
    const sockets = Array.from({ length: 16 }, () => {
      const socket = net.connect(Number(port), '127.0.0.1');
      socket.on('error', () => undefined);
      socket.write(half);
      return socket;
    });
    await until('there is no room', async () => (await post(FORGED)).status === 503);
    for (const socket of sockets) socket.destroy();
    const answer = await until('there is room again', async () => {
      const { status } = await post(PUSH);
      return status === 503 ? null : status;
    });
    expect([answer, counts['hint']]).toEqual([202, 1]);
  });

  it('is compared with the secret as it is now; without one to read nothing is accepted', async () => {
    line = { ok: true, secret: new SecretText('a new one') };
    expect((await post(PUSH)).status).toBe(401);
    expect((await post(PUSH, { headers: { 'x-forgejo-signature': sign(PUSH, 'a new one') } })).status).toBe(202);
    line = { ok: false, problem: 'is not there' };
    expect(await post(PUSH)).toEqual({ status: 503, text: '{"error":"there is no secret to compare with"}' });
    expect(log.at(-1)?.[1]).toMatchObject({ reason: 'webhook_secret_file of [http] is not there' });
  });

  it('is not there where no secret is configured, and never for another method', async () => {
    const other = await start(null);
    try {
      expect((await post(PUSH, { to: other })).status).toBe(404);
    } finally {
      await other.close();
    }
    expect((await fetch(new URL('/hooks/push', health.address ?? ''))).status).toBe(404);
  });

  it('leaves the other pages as they were', async () => {
    expect(await (await fetch(new URL('/healthz', health.address ?? ''))).json()).toEqual({ status: 'ok' });
  });
});
