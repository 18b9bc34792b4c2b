import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { inspect } from 'node:util';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { VaultClient, type VaultRequest } from '../../../../../src/adapters/access/vault/client.ts';
import { SecretText } from '../../../../../src/domain/secret-text.ts';
import { StalledError, TransientError } from '../../../../../src/errors.ts';
import { makeTls } from '../../../../fakes/tls.ts';

const TOKEN = 's.the-own-token-of-the-daemon';
const token = new SecretText(TOKEN);
const request: VaultRequest = { doing: 'do it', method: 'GET', path: 'kv/metadata/a' };

type Handler = (request: http.IncomingMessage, response: http.ServerResponse) => void;

const open: http.Server[] = [];

async function listen(server: http.Server, scheme = 'http'): Promise<string> {
  open.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const serve = (handler: Handler): Promise<string> => listen(http.createServer(handler));
const clientOf = (address: string, more: { namespace?: string; ca_file?: string; timeoutMs?: number } = {}) =>
  new VaultClient({ address, namespace: '', ca_file: '', ...more });

async function thrown(work: Promise<unknown>): Promise<Error> {
  const error: unknown = await work.then(
    () => new Error('nothing was thrown'),
    (reason: unknown) => reason,
  );
  return error as Error;
}

/** Whatever a log could print of an error. */
const everythingOf = (error: Error): string =>
  [error.message, error.stack, inspect(error, { depth: 9, showHidden: true }), JSON.stringify(error)].join('\n');

afterEach(async () => {
  for (const server of open.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

describe('the client of the secret store', () => {
  it('sends token, namespace and body, and hands on status, body and time', async () => {
    const seen: unknown[] = [];
    const address = await serve((incoming, response) => {
      incoming.setEncoding('utf8').on('data', (body) => {
        const { url, method, headers } = incoming;
        seen.push([method, url, headers['x-vault-token'], headers['x-vault-namespace'], headers['x-more'], body]);
      });
      incoming.on('end', () => {
        response.writeHead(400, { date: 'Sat, 21 Nov 2026 03:00:00 GMT', 'retry-after': '7' });
        response.end('{"errors":["no"]}');
      });
    });
    const client = clientOf(address, { namespace: 'team' });
    const answer = await client.send({ ...request, method: 'POST', body: { a: 1 }, headers: { 'X-More': 'm' } }, token);
    expect(seen).toEqual([['POST', '/v1/kv/metadata/a', TOKEN, 'team', 'm', '{"a":1}']]);
    expect(answer).toEqual({
      kind: 'refused',
      status: 400,
      body: { errors: ['no'] },
      serverTime: new Date('2026-11-21T03:00:00Z'),
      retryAfterMs: 7000,
    });
  });

  it('lists by query, and asks outside of the namespace where that is said', async () => {
    const seen: unknown[] = [];
    const address = await serve(({ method, url, headers }, response) => {
      seen.push([method, url, headers['x-vault-namespace']]);
      response.end('{}');
    });
    await clientOf(address, { namespace: 'team' }).send({ ...request, method: 'LIST', global: true }, token);
    expect(seen).toEqual([['GET', '/v1/kv/metadata/a?list=true', undefined]]);
  });

  it('sends the token of each call, and none that the environment holds (R14)', async () => {
    const seen: unknown[] = [];
    const address = await serve(({ headers, url }, response) => {
      seen.push([url, headers['x-vault-token'], headers['x-vault-namespace']]);
      response.end('{}');
    });
    Object.assign(process.env, { VAULT_TOKEN: 'ambient', VAULT_NAMESPACE: 'ambient', VAULT_PREFIX: '/ambient' });
    const client = clientOf(address);
    for (const each of [token, new SecretText('s.another'), null]) await client.send(request, each);
    for (const name of ['VAULT_TOKEN', 'VAULT_NAMESPACE', 'VAULT_PREFIX']) delete process.env[name];
    const path = '/v1/kv/metadata/a';
    expect(seen).toEqual([TOKEN, 's.another', undefined].map((each) => [path, each, undefined]));
  });

  it('uses no proxy of the environment (R14)', async () => {
    const proxied: unknown[] = [];
    const proxy = await serve(({ url }, response) => {
      proxied.push(url);
      response.end('{}');
    });
    const address = await serve((_, response) => response.end('{}'));
    Object.assign(process.env, { HTTP_PROXY: proxy, http_proxy: proxy });
    const answer = await clientOf(address).send(request, token);
    for (const name of ['HTTP_PROXY', 'http_proxy']) delete process.env[name];
    expect([answer.kind, proxied]).toEqual(['ok', []]);
  });

  it.each([301, 302, 307, 308])('follows no redirect (%i): the token would go along (R14)', async (status) => {
    const elsewhere: unknown[] = [];
    const other = await serve(({ headers }, response) => {
      elsewhere.push(headers);
      response.end('{}');
    });
    const address = await serve((_, response) => response.writeHead(status, { location: `${other}/v1/x` }).end());
    expect((await clientOf(address).send(request, token)).kind).toBe('standby');
    expect(elsewhere).toEqual([]);
  });

  it.each(['kv/../sys', '../sys', 'kv/./a', '/kv', 'kv/', 'kv//a', 'kv?list=true', 'kv#a', 'kv/%2e%2e/a', ''])(
    'refuses the path %j',
    async (path) => {
      await expect(clientOf('http://127.0.0.1:9').send({ ...request, path }, token)).rejects.toThrow('not a path');
    },
  );

  it('gives up on a server that does not answer', async () => {
    const address = await serve(() => undefined);
    const error = await thrown(clientOf(address, { timeoutMs: 30 }).send(request, token));
    expect(error).toBeInstanceOf(TransientError);
    expect(error.message).toBe('the secret store: can not do it: it did not answer in time');
  });

  it('gives up on an answer that does not end', async () => {
    const address = await serve((_, response) => response.write('{"data":'));
    const error = await thrown(clientOf(address, { timeoutMs: 30 }).send(request, token));
    expect(error.message).toContain('it did not answer in time');
  });

  it('reads no answer of any size', async () => {
    const address = await serve((_, response) => response.end(Buffer.alloc(5 * 1024 * 1024, 'a')));
    expect(await thrown(clientOf(address).send(request, token))).toBeInstanceOf(TransientError);
  });

  it('stops with the reason of whoever stops it', async () => {
    const stop = new AbortController();
    const address = await serve(() => stop.abort(new Error('shutting down')));
    await expect(clientOf(address).send({ ...request, signal: stop.signal }, token)).rejects.toThrow('shutting down');
    await expect(clientOf(address).send({ ...request, signal: stop.signal }, token)).rejects.toThrow('shutting down');
  });

  it('keeps token, header and body out of a network error (R14)', async () => {
    const address = await serve(({ socket }) => socket.destroy());
    const body = { jwt: 'the-jwt-of-the-body' };
    const cut = await thrown(clientOf(address).send({ ...request, method: 'POST', body }, token));
    const refused = await thrown(clientOf('http://127.0.0.1:1').send({ ...request, method: 'POST', body }, token));
    expect(cut.message).toBe('the secret store: can not do it: it can not be reached (ECONNRESET)');
    expect(refused.message).toBe('the secret store: can not do it: it can not be reached (ECONNREFUSED)');
    for (const error of [cut, refused]) expect(everythingOf(error)).not.toMatch(/s\.the-own|the-jwt|x-vault-token/i);
  });

  describe('with TLS', () => {
    const { key, cert } = makeTls();
    const dir = mkdtempSync(path.join(tmpdir(), 'vault-client-'));
    const caFile = path.join(dir, 'ca.pem');
    writeFileSync(caFile, cert);
    afterAll(() => rmSync(dir, { recursive: true }));
    const secure = (): Promise<string> => {
      const options = { key, cert };
      return listen(
        https.createServer(options, (_, response) => response.end('{}')),
        'https',
      );
    };

    it('trusts what ca_file says', async () => {
      const answer = await clientOf(await secure(), { ca_file: caFile }).send(request, token);
      expect(answer.kind).toBe('ok');
    });

    it('sends nothing to a server that it does not trust', async () => {
      const error = await thrown(clientOf(await secure()).send(request, token));
      expect(error.message).toBe(
        'the secret store: can not do it: it can not be reached (DEPTH_ZERO_SELF_SIGNED_CERT)',
      );
    });

    it('says when ca_file can not be read', async () => {
      const error = await thrown(
        clientOf(await secure(), { ca_file: path.join(dir, 'none.pem') }).send(request, token),
      );
      expect(error).toBeInstanceOf(StalledError);
      expect(error.message).toBe('ca_file of [access.vault] can not be read (ENOENT)');
    });
  });
});
