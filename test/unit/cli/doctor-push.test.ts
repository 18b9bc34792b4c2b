import { readdirSync } from 'node:fs';
import http from 'node:http';
import { afterEach, expect, it } from 'vitest';
import { checkPush } from '../../../src/adapters/ops-repo/check.ts';
import { temporaryFolder } from '../../fakes/git-repo.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

/** A server that answers everything with this status. */
async function serve(status: number): Promise<{ readonly url: string; readonly asked: string[] }> {
  const asked: string[] = [];
  const server = http.createServer((request, response) => {
    asked.push(request.url ?? '');
    response.writeHead(status, status === 401 ? { 'www-authenticate': 'Basic realm="git"' } : {}).end('secret body');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return { url: `http://127.0.0.1:${port}/ops.git`, asked };
}

async function check(url: string) {
  const { dir, remove } = await temporaryFolder('edge-push-');
  closers.push(remove);
  const options = {
    url,
    dir,
    branch: 'main',
    username: 'edge-bot',
    tokenFile: null,
    sshKeyFile: null,
    knownHostsFile: null,
    author: 'a <a@b>',
    timeoutMs: 20_000,
    pushSpacingMs: 0,
    format: 'sha1' as const,
  };
  const answer = await checkPush('git.push', options, new AbortController().signal);
  return { ...answer, left: readdirSync(dir) };
}

it.each([
  [403, 'ERR_PUSH_FORBIDDEN'],
  [401, 'ERR_GIT_DENIED'],
  [404, 'ERR_GIT_NOT_FOUND'],
  [503, 'ERR_GIT_UNAVAILABLE'],
])('a server that answers %i to the wish to push is told as %s, without its words', async (status, code) => {
  const { url, asked } = await serve(status);
  const { message, fix, left, ...answer } = await check(url);
  expect(answer).toEqual({ name: 'git.push', ok: false, code });
  expect(message).toContain(url);
  expect(`${message}${fix}`).not.toContain('secret body');
  expect(fix).toMatch(/\.$/);
  expect(asked).toEqual(expect.arrayContaining(['/ops.git/info/refs?service=git-receive-pack']));
  expect(left).toEqual([]);
});

it('a path that is no repo is told as one that is not there', async () => {
  expect(await check('/nonexistent/ops.git')).toMatchObject({ ok: false, code: 'ERR_GIT_NOT_FOUND' });
});
