import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { accountOf } from '../../src/adapters/forges/github/accounts.ts';
import { apiOf } from '../../src/adapters/forges/github/address.ts';
import { oid } from '../../src/domain/ids.ts';
import type { Forge } from '../../src/ports/forge.ts';
import { GitHubBench } from '../fakes/github-api-bench.ts';

/** Limits, outages, checks, and what is said on GitHub. */

let bench: GitHubBench;
let github: Forge;

beforeEach(async () => {
  bench = await GitHubBench.start();
  github = bench.adapter();
});
afterEach(() => bench.remove());

const AWAY = { name: 'TransientError', code: 'ERR_FORGE_UNAVAILABLE' };
const DENIED = { name: 'StalledError', code: 'ERR_FORGE_DENIED' };
const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds;

describe('address', () => {
  it.each([
    ['https://github.com', 'https://api.github.com'],
    ['https://octo.ghe.com', 'https://api.octo.ghe.com'],
    ['https://git.example:8443', 'https://git.example:8443/api/v3'],
  ])('%s is asked at %s', (url, api) => {
    expect(apiOf(url)).toBe(api);
  });
});

describe('accounts', () => {
  it.each([
    [
      { id: 1, login: 'Jane', type: 'User' },
      { id: 1, login: 'Jane', isBot: false },
    ],
    [
      { id: 2, login: 'octo-app[bot]', type: 'User' },
      { id: 2, login: 'octo-app[bot]', isBot: true },
    ],
    [
      { id: 3, login: 'acme', type: 'Organization' },
      { id: 3, login: 'acme', isBot: true },
    ],
    [
      { id: 10137, login: 'ghost', type: 'User' },
      { id: null, login: 'ghost', isBot: false },
    ],
    [null, { id: null, login: 'ghost', isBot: false }],
  ])('of %j are told as %j', (user, account) => {
    expect(accountOf(user)).toEqual(account);
  });
});

describe('limits and outages', () => {
  it('the primary limit is waited for until it is lifted, and nothing is asked before (R20)', async () => {
    const { number } = bench.propose('a');
    bench.knobs.limit = { left: 0, reset: inSeconds(120) };

    await expect(github.reviews(number)).rejects.toMatchObject(AWAY);
    const asked = bench.server.requests.length;
    bench.knobs.limit = null;
    await expect(github.reviews(number)).rejects.toMatchObject(AWAY);
    expect(bench.server.requests).toHaveLength(asked);

    bench.clock.advance(121_000);
    expect(await github.reviews(number)).toEqual([]);
  });

  it('the last answer that the limit allows is taken', async () => {
    const { number } = bench.propose('a');
    bench.knobs.limit = { left: 1, reset: inSeconds(120) };

    expect(await github.reviews(number)).toEqual([]);
    await expect(github.change(number)).rejects.toMatchObject(AWAY);
  });

  it.each([
    ['the time that it names', 30, 30_000],
    ['a minute where it names none', null, 60_000],
  ])('a secondary limit is waited for: %s (R20)', async (_, retryAfter, retryAfterMs) => {
    bench.server.faults.limited = { times: 1, retryAfter, status: 429 };
    await expect(github.change(1)).rejects.toMatchObject({ ...AWAY, retryAfterMs });
  });

  it('what has not changed costs nothing of the limit', async () => {
    const { number } = bench.propose('a');
    bench.knobs.limit = { left: 10, reset: inSeconds(120) };
    await github.change(number);

    expect(await github.change(number)).toMatchObject({ number });
    expect(bench.knobs.limit.left).toBe(9);
    expect(bench.server.requests.map(({ status }) => status)).toEqual([200, 304]);
  });

  it('a fault, a page of HTML and a cut connection are no verdict (R20)', async () => {
    const commit = oid(bench.forge.tip());
    bench.server.faults.broken = { path: /pulls/, times: 1, status: 502 };
    await expect(github.changeOf(commit)).rejects.toMatchObject(AWAY);
    bench.server.faults.garbled = { path: /pulls/, times: 1 };
    bench.clock.advance(120_000);
    await expect(github.changeOf(commit)).rejects.toMatchObject(AWAY);
    bench.server.faults.down = true;
    bench.clock.advance(120_000);
    await expect(github.changeOf(commit)).rejects.toMatchObject(AWAY);
  });

  it('a list whose next page is away is no list', async () => {
    const { number } = bench.propose('a');
    for (let count = 0; count < 101; count += 1) bench.forge.review('reader1', number, { state: 'comment' });
    bench.knobs.beforePage = (path, page) => {
      if (path.endsWith('/reviews') && page === 2) bench.forge.state.pulls.splice(0);
    };
    bench.server.faults.broken = { path: /page=2/, times: 1, status: 404 };

    await expect(github.reviews(number)).rejects.toMatchObject(AWAY);
  });

  it('a repository that the token may not see is a person’s matter, and no "no" (R2)', async () => {
    const { number, head } = bench.propose('a');
    const outsider = bench.adapter({ as: 'outsider1' });
    const calls = [outsider.change(number), outsider.changeOf(head), outsider.pusherOf(head, 'main')];
    for (const call of calls) await expect(call).rejects.toMatchObject(DENIED);
  });
});

describe('checks', () => {
  const namesOf = async (forge: Forge) =>
    (await forge.check()).map(({ name, ok }) => `${name.replace('forge.github.', '')} ${ok ? 'ok' : 'bad'}`);

  it('pass with the rights that are needed', async () => {
    const forge = bench.adapter({ admin: 'approver1' });
    const all = ['transport', 'repository', 'branch', 'events', 'account', 'token', 'admins', 'admin-token'];
    expect(await namesOf(forge)).toEqual(all.map((name) => `${name} ok`));
  });

  it('tell a token that expires soon', async () => {
    bench.knobs.expires = '2026-04-03 12:00:00 UTC';
    const told = (await github.check()).find(({ name }) => name === 'forge.github.token');
    expect(told).toMatchObject({ ok: false, message: 'it expires in 3 days' });
    bench.knobs.expires = '2026-05-31 12:00:00 UTC';
    expect(await namesOf(bench.adapter())).toContain('token ok');
  });

  it.each([
    ['a token that may only read', { as: 'reader1' }, 'repository bad'],
    ['an unknown repository', { repo: 'ops/other' }, 'repository bad'],
    ['an app', { as: 'edge-bot', scopes: ['installation'] }, 'repository ok'],
  ])('of %s', async (_, options, line) => {
    expect(await namesOf(bench.adapter(options))).toContain(line);
  });

  it('tell that the branch is not the default one, which is no failure', async () => {
    const told = (await bench.adapter({ branch: 'ops' }).check()).find(({ name }) => name === 'forge.github.branch');
    expect(told).toMatchObject({ ok: true });
    expect(told?.message).toContain('ops is not the default branch (main)');
  });

  it('tell a server without a log of activities, and one that is away', async () => {
    bench.knobs.hasActivity = false;
    expect(await namesOf(github)).toContain('events bad');
    bench.server.faults.down = true;
    expect(await namesOf(github)).toEqual(['transport ok', 'repository bad']);
  });
});

describe('status and comment', () => {
  const status = { context: 'edge/a', state: 'pending', description: 'waits for an approver', url: null } as const;

  it('a status is set once, and again when it differs', async () => {
    const { head } = bench.propose('a');
    await github.setStatus(head, status);
    await github.setStatus(head, { ...status, context: 'edge/other' });
    await github.setStatus(head, status);
    await github.setStatus(head, { ...status, state: 'success' });

    const told = bench.forge.state.statuses.map(({ context, state }) => `${context} ${state}`);
    expect(told).toEqual(['edge/a pending', 'edge/other pending', 'edge/a success']);
  });

  it('a status that is to end a pending one is set over that only', async () => {
    const { head } = bench.propose('a');
    const end = { ...status, state: 'error', over: 'pending' } as const;
    const states = () => bench.forge.state.statuses.map(({ state }) => state);
    await github.setStatus(head, end);
    expect(states()).toEqual([]);
    await github.setStatus(head, { ...status, state: 'success' });
    await github.setStatus(head, end);
    await github.setStatus(head, status);
    await github.setStatus(head, end);
    expect(states()).toEqual(['success', 'pending', 'error']);
  });

  it.each([
    ['an account', ['repo']],
    ['an app that may not ask who it is', ['installation']],
  ])('there is one comment of %s, found by marker, edited and never repeated', async (_, scopes) => {
    const { number } = bench.propose('a');
    const forge = bench.adapter({ scopes });
    bench.forge.comment('dev2', number, '<!-- edge --> mine');
    bench.forge.comment('edge-bot', number, 'something else');
    for (let count = 0; count < 100; count += 1) bench.forge.comment('dev1', number, 'talk');

    await Promise.all([forge.comment(number, '<!-- edge -->', 'one'), forge.comment(number, '<!-- edge -->', 'one')]);
    await bench.adapter({ scopes }).comment(number, '<!-- edge -->', '<!-- edge -->\ntwo');

    const ours = bench.forge.state.comments.filter(({ by }) => by.login === 'edge-bot').map(({ body }) => body);
    expect(ours).toEqual(['something else', '<!-- edge -->\ntwo']);
    expect(bench.forge.state.comments[0]?.body).toBe('<!-- edge --> mine');
  });
});

describe('a comment of ours', () => {
  const said = () => bench.forge.state.comments.map(({ by, body }) => `${by.login}: ${body}`);

  it('is not the one of another app that quotes our marker: an own one is made, once', async () => {
    bench.forge.addUser('echo[bot]', { id: 50, role: 'write', isBot: true });
    const { number } = bench.propose('a');
    bench.forge.comment('echo[bot]', number, '> <!-- m --> hello');
    const forge = bench.adapter({ scopes: ['installation'] });

    await forge.comment(number, '<!-- m -->', '<!-- m --> one');
    await forge.comment(number, '<!-- m -->', '<!-- m --> two');
    // Begun anew, it does not know its account.
    await bench.adapter({ scopes: ['installation'] }).comment(number, '<!-- m -->', '<!-- m --> three');

    expect(said()).toEqual(['echo[bot]: > <!-- m --> hello', 'edge-bot: <!-- m --> three']);
  });
});
