import { afterEach, beforeEach, expect, test } from 'vitest';
import { forges } from '../../src/adapters/forges/index.ts';
import type { Change } from '../../src/domain/change.ts';
import { type Oid, oid } from '../../src/domain/ids.ts';
import {
  account,
  commitRow,
  DIRECT_PUSH,
  ForgejoBench,
  feedRow,
  MERGE,
  pullRow,
  pushEvent,
  thrownBy,
} from '../fakes/forgejo-bench.ts';

const SPOOF = oid('31ebdb71b74d24baaa22375d44e8d751fafaebb0');

let bench: ForgejoBench;

beforeEach(async () => {
  bench = await ForgejoBench.start();
});

afterEach(async () => {
  await bench.server.close();
});

// Who pushed what

test('merged_by can be forged; the log of activities names who really pushed the merge (R1)', async () => {
  bench.server.on('GET', /\/issues\/1\/timeline$/, { status: 200, body: [pushEvent(1)] });
  bench.servePages(/\/pulls\/1\/commits$/, []);
  const forge = bench.forge('ops/auto');
  const change = await forge.changeOf(SPOOF);
  expect(change?.merge?.by?.login).toBe('approver1');
  const history = await forge.history(change as Change);
  expect(history.landedBy).toEqual(account('dev1', 5));
  expect(history.scheduled).toBe(false);
  expect(new Set(history.pushes.map(({ by }) => by.login))).toEqual(new Set(['dev1']));
  expect(await forge.pusherOf(SPOOF, 'main')).toEqual(account('dev1', 5));
  expect(await forge.pusherOf(SPOOF, 'other')).toBeNull();
  expect(await forge.pusherOf(DIRECT_PUSH, 'main')).toBeNull();
});

test('whoever brought a commit first has landed it, whoever pushes it again later', async () => {
  bench.serveFeed('ops/flows', [
    feedRow({ id: 9, by: ['approver1', 3], branch: 'main', commits: [MERGE] }),
    feedRow({ id: 5, by: ['dev1', 5], branch: 'main', commits: [MERGE] }),
    feedRow({ id: 4, by: ['dev2', 6], branch: 'side', commits: [MERGE] }),
  ]);
  expect(await bench.forge('ops/flows').pusherOf(MERGE, 'main')).toEqual(account('dev1', 5));
});

test('pushes to a branch count since it was made, however old they are; those of its name’s earlier and later lives do not', async () => {
  bench.server.on('GET', /\/timeline$/, { status: 200, body: [pushEvent(1)] });
  bench.servePages(/\/pulls\/1\/commits$/, [commitRow(DIRECT_PUSH, 'add')]);
  const deletion = { op_type: 'delete_branch', content: '' };
  const entries = [
    feedRow({ id: 9, by: ['team1', 9], branch: 'br-merge', at: '2026-11-22T10:00:01Z' }),
    { ...feedRow({ id: 8, by: ['boss', 1], branch: 'br-merge', at: '2026-11-22T10:00:00Z' }), ...deletion },
    feedRow({ id: 4, by: ['dev2', 6], branch: 'br-merge', at: '2026-11-20T10:00:01Z' }),
    feedRow({ id: 3, by: ['dev1', 5], branch: 'other', at: '2026-11-20T10:00:01Z' }),
    feedRow({ id: 2, by: ['owner1', 2], branch: 'br-merge', at: '2026-11-01T10:00:01Z' }),
    { ...feedRow({ id: 1, by: ['boss', 1], branch: 'br-merge', at: '2026-11-01T10:00:00Z' }), ...deletion },
    feedRow({ id: 0, by: ['approver1', 3], branch: 'br-merge', at: '2026-10-01T10:00:00Z' }),
  ];
  bench.serveFeed('ops/flows', entries);
  const forge = bench.forge('ops/flows');
  const change = (await forge.change(1)) as Change;
  const logins = async (): Promise<readonly string[]> => {
    return (await forge.history(change)).pushes.map(({ by }) => by.login);
  };
  expect(await logins()).toEqual(['owner1', 'dev2', 'dev1']);
  entries.unshift(
    feedRow({ id: 10, by: ['approver2', 4], branch: 'x', commits: [DIRECT_PUSH], at: '2026-10-02T00:00:00Z' }),
  );
  expect(await logins()).toEqual(['approver2', 'owner1', 'dev2', 'dev1']);
});

test('whoever brings the merge, or pushes its commits on afterwards, has not pushed to the change', async () => {
  bench.server.on('GET', /\/timeline$/, { status: 200, body: [pushEvent(1)] });
  bench.servePages(/\/pulls\/1\/commits$/, [commitRow(DIRECT_PUSH, 'add')]);
  const commits = [DIRECT_PUSH, MERGE];
  bench.serveFeed('ops/flows', [
    feedRow({ id: 9, by: ['approver2', 4], branch: 'x', commits, at: '2026-11-22T10:00:00Z' }),
    feedRow({ id: 8, by: ['approver1', 3], branch: 'main', commits, at: '2026-11-21T03:00:00Z' }),
    feedRow({ id: 1, by: ['dev1', 5], branch: 'br-merge' }),
  ]);
  const forge = bench.forge('ops/flows');
  const { pushes, landedBy } = await forge.history((await forge.change(1)) as Change);
  expect(landedBy?.login).toBe('approver1');
  expect(new Set(pushes.map(({ by }) => by.login))).toEqual(new Set(['dev1']));
});

test('where the log ends before the branch was made, the opener may have pushed until the merge', async () => {
  bench.server.on('GET', /\/timeline$/, { status: 200, body: [] });
  bench.servePages(/\/pulls\/1\/commits$/, []);
  const push = feedRow({ id: 900, by: ['dev2', 6], branch: 'br-merge', commits: ['c'], at: '2026-11-20T10:00:00Z' });
  const noise = Array.from({ length: 600 }, (_, index) => feedRow({ id: 800 - index, by: ['dev2', 6], branch: 'x' }));
  const born = { ...feedRow({ id: 0, by: ['boss', 1], branch: '' }), op_type: 'create_repo' };
  bench.serveFeed('ops/flows', [push, ...noise, born]);
  const forge = bench.forge('ops/flows');
  const change = (await forge.change(1)) as Change;
  const { pushes } = await forge.history(change);
  expect(pushes.map(({ by, at }) => [by.login, at])).toEqual([
    ['dev2', push.created],
    ['dev1', change.merge?.at],
  ]);
  const open: Change = { ...change, merge: null, state: 'open' };
  expect((await forge.history(open)).pushes.at(-1)).toEqual({ by: account('dev1', 5), at: change.createdAt });
  bench.serveFeed('ops/flows', [push, born]);
  expect((await bench.forge('ops/flows').history(change)).pushes.map(({ by }) => by.login)).toEqual(['dev2']);
});

test('a fork that we may not look into counts as pushed to by its owner and by the opener', async () => {
  bench.server.on('GET', /\/timeline$/, { status: 200, body: [] });
  bench.servePages(/\/pulls\/6\/commits$/, []);
  bench.serveFeed('ops/flows', []);
  const forge = bench.forge('ops/flows');
  const change = (await forge.changeOf(oid('3c39dfc578c5a1aad26f64e2e38ec2c9ed8fcc27'))) as Change;
  const opened = {
    ...pullRow({ number: 6 }),
    head: { label: 'forked', sha: MERGE, repo: { full_name: 'reader1/flows', owner: { id: 7, login: 'reader1' } } },
  };
  bench.server.on('GET', /\/pulls\/6$/, { status: 200, body: opened });
  for (const status of [403, 404]) {
    bench.server.on('GET', /\/reader1\/flows\/activities\/feeds$/, { status, body: {} });
    const { pushes } = await forge.history({ ...change, author: account('dev2', 6) });
    expect(pushes.map(({ by, at }) => [by.login, at])).toEqual([
      ['dev2', change.merge?.at],
      ['reader1', change.merge?.at],
    ]);
  }
  const { pushes } = await forge.history({ ...change, source: null });
  expect(pushes.map(({ by }) => by.login)).toEqual(['reader1']);
  bench.server.on('GET', /\/reader1\/flows\/activities\/feeds$/, { status: 502 });
  expect(await thrownBy(forge.history(change))).toMatchObject({ code: 'ERR_FORGE_UNAVAILABLE' });
});

test.each([
  [['pull_scheduled_merge'], true],
  [['pull_scheduled_merge', 'pull_cancel_scheduled_merge'], false],
  [['pull_scheduled_merge', 'pull_cancel_scheduled_merge', 'pull_scheduled_merge', 'comment'], true],
])('a merge that was left to happen by itself is told: %j', async (types, scheduled) => {
  const events = types.map((type, index) => ({ ...pushEvent(index + 1), type }));
  bench.server.on('GET', /\/timeline$/, { status: 200, body: events.toReversed() });
  bench.servePages(/\/pulls\/1\/commits$/, []);
  bench.serveFeed('ops/flows', []);
  const forge = bench.forge('ops/flows');
  expect(await forge.history((await forge.change(1)) as Change)).toMatchObject({ scheduled, landedBy: null });
});

test('a token that may not read timelines or the log is refused, never taken for "nobody pushed"', async () => {
  const forge = bench.forge('ops/ops');
  const change = { ...((await bench.forge('ops/flows').change(1)) as Change), number: 2 };
  bench.servePages(/\/pulls\/2\/commits$/, []);
  expect(await thrownBy(forge.history(change))).toMatchObject({ code: 'ERR_FORGE_DENIED' });
  expect(await thrownBy(forge.pusherOf(MERGE, 'main'))).toMatchObject({ code: 'ERR_FORGE_DENIED' });
});

test('of a log that is known, only the newest page is read again', async () => {
  const entries = Array.from({ length: 130 }, (_, index) =>
    feedRow({ id: 130 - index, by: ['dev1', 5], branch: 'main', commits: [`c${130 - index}`] }),
  );
  bench.serveFeed('ops/flows', entries);
  const forge = bench.forge('ops/flows');
  expect(await forge.pusherOf('c1' as Oid, 'main')).not.toBeNull();
  expect(bench.pagesAsked('feeds')).toHaveLength(3);
  entries.unshift(feedRow({ id: 131, by: ['dev2', 6], branch: 'main', commits: ['c131'] }));
  expect(await forge.pusherOf('c131' as Oid, 'main')).toEqual(account('dev2', 6));
  expect(await forge.pusherOf('c1' as Oid, 'main')).not.toBeNull();
  expect(bench.pagesAsked('feeds')).toHaveLength(5);
});

test('many who ask at once share what is read, and nobody gets what was read before', async () => {
  const entries = [feedRow({ id: 1, by: ['dev1', 5], branch: 'main', commits: [MERGE] })];
  bench.serveFeed('ops/flows', entries);
  const forge = bench.forge('ops/flows');
  const pushers = await Promise.all(Array.from({ length: 20 }, () => forge.pusherOf(MERGE, 'main')));
  expect(new Set(pushers.map((pusher) => pusher?.login))).toEqual(new Set(['dev1']));
  expect(bench.pagesAsked('feeds').length).toBeLessThanOrEqual(2);
  entries.unshift(feedRow({ id: 2, by: ['dev2', 6], branch: 'main', commits: [DIRECT_PUSH] }));
  expect(await forge.pusherOf(DIRECT_PUSH, 'main')).toEqual(account('dev2', 6));
});

test('Gitea’s timelines are read page by page until one is empty, Forgejo’s at once', async () => {
  const pushed = Array.from({ length: 70 }, (_, index) => pushEvent(index + 1));
  const events = [...pushed, { ...pushEvent(71), type: 'merge_pull' }];
  bench.server.on('GET', /\/timeline$/, ({ query }) => {
    const page = query.get('page');
    const shown = page === null ? events : events.slice((Number(page) - 1) * 50, Number(page) * 50);
    return { status: 200, headers: { 'x-total-count': `${shown.length}` }, body: shown.length === 0 ? null : shown };
  });
  bench.servePages(/\/pulls\/1\/commits$/, []);
  bench.serveFeed('ops/flows', [feedRow({ id: 1, by: ['dev1', 5], branch: 'br-merge' })]);
  for (const factory of [forges.forgejo, forges.gitea]) {
    const forge = bench.forge('ops/flows', { factory });
    expect((await forge.history((await forge.change(1)) as Change)).pushes).toHaveLength(71);
  }
  expect(bench.pagesAsked('timeline')).toEqual(['', 'page=1&limit=50', 'page=2&limit=50', 'page=3&limit=50']);
});

// Who may

test.each([
  ['boss', 1, true],
  ['owner1', 2, true],
  ['approver1', 3, true],
  ['dev1', 5, false],
  ['reader1', 7, false],
  ['outsider1', 8, false],
])('%s administers the repository: %s → %s (R2)', async (login, id, expected) => {
  expect(await bench.forge('ops/ops').isAdmin(account(login, id))).toBe(expected);
});

test('nobody is an administrator by the login of another, or without an account', async () => {
  bench.server.on('GET', /^\/api\/v1\/repos\/ops\/ops$/, { status: 200, body: {} });
  const forge = bench.forge('ops/ops');
  expect(await forge.isAdmin(account('approver1', 33))).toBe(false);
  expect(await forge.isAdmin(account('nosuchuser', 99))).toBe(false);
  expect(await forge.isAdmin({ id: null, login: 'Ghost', isBot: false })).toBe(false);
});

test('a writer’s token may not ask for permissions: refused, never "no administrator"', async () => {
  const asWriter = bench.forge('ops/ops', { admin: 'edge-bot' });
  expect(await thrownBy(asWriter.isAdmin(account('approver1', 3)))).toMatchObject({ code: 'ERR_FORGE_DENIED' });
  const withoutToken = bench.forge('ops/ops', { admin: '' });
  expect(await thrownBy(withoutToken.isAdmin(account('approver1', 3)))).toMatchObject({ code: 'ERR_FORGE_DENIED' });
});
