import { afterEach, beforeEach, expect, test } from 'vitest';
import { forges } from '../../src/adapters/forges/index.ts';
import type { CommitStatus } from '../../src/ports/forge.ts';
import { DIRECT_PUSH, ForgejoBench, thrownBy } from '../fakes/forgejo-bench.ts';

const BOT = { id: 9, login: 'edge-bot' };
const DEV = { id: 5, login: 'dev1' };
const MARKER = '<!-- edge-dispatcher:plan -->';
const STATUS: CommitStatus = { context: 'edge/x', state: 'pending', description: 'waits', url: null };

let bench: ForgejoBench;

beforeEach(async () => {
  bench = await ForgejoBench.start();
});

afterEach(async () => {
  await bench.server.close();
});

// Statuses

/** What was set lies in the list that it answers, newest last. */
function keepStatuses(): { id: number; status: string; context: string; description: string; target_url: string }[] {
  const rows: { id: number; status: string; context: string; description: string; target_url: string }[] = [];
  bench.servePages(/\/commits\/[0-9a-f]{40}\/statuses$/, rows);
  bench.server.on('POST', /\/statuses\/[0-9a-f]{40}$/, ({ body }) => {
    const { state, ...rest } = body as { state: string; context: string; description: string; target_url: string };
    rows.push({ id: rows.length + 1, status: state, ...rest });
    return { status: 201, body: { ...rows.at(-1), creator: BOT } };
  });
  return rows;
}

test('a status is set once, and again only when the newest of its context says something else', async () => {
  const rows = keepStatuses();
  const forge = bench.forge('ops/code');
  await forge.setStatus(DIRECT_PUSH, STATUS);
  await forge.setStatus(DIRECT_PUSH, STATUS);
  await forge.setStatus(DIRECT_PUSH, { ...STATUS, state: 'success', url: 'https://console.example/x' });
  await forge.setStatus(DIRECT_PUSH, { ...STATUS, context: 'edge/y' });
  await forge.setStatus(DIRECT_PUSH, STATUS);
  expect(rows.map(({ status, context, target_url }) => [context, status, target_url])).toEqual([
    ['edge/x', 'pending', ''],
    ['edge/x', 'success', 'https://console.example/x'],
    ['edge/y', 'pending', ''],
    ['edge/x', 'pending', ''],
  ]);
});

test('a status that is to end a pending one is set over that only', async () => {
  const rows = keepStatuses();
  const forge = bench.forge('ops/code');
  const end = { ...STATUS, state: 'error', over: 'pending' } as const;
  await forge.setStatus(DIRECT_PUSH, end);
  expect(rows).toEqual([]);
  await forge.setStatus(DIRECT_PUSH, { ...STATUS, state: 'success' });
  await forge.setStatus(DIRECT_PUSH, end);
  await forge.setStatus(DIRECT_PUSH, STATUS);
  await forge.setStatus(DIRECT_PUSH, end);
  expect(rows.map(({ status }) => status)).toEqual(['success', 'pending', 'error']);
});

test('a status that somebody else wrote over is set again', async () => {
  const rows = keepStatuses();
  await bench.forge('ops/code').setStatus(DIRECT_PUSH, STATUS);
  rows.push({ id: 2, status: 'nonsense', context: 'edge/x', description: 'run it', target_url: '' });
  await bench.forge('ops/code').setStatus(DIRECT_PUSH, STATUS);
  expect(rows.map(({ status }) => status)).toEqual(['pending', 'nonsense', 'pending']);
});

test('the newest of what was recorded is found by its id, not by its place', async () => {
  const commit = 'afcff6277436ebb0682655808d30cf9bfb8e77b3';
  const posted: unknown[] = [];
  bench.server.on('POST', /\/statuses\//, ({ body }) => {
    posted.push(body);
    return { status: 500, body: {} };
  });
  const known = { context: 'edge/approval', url: 'http://127.0.0.1:9467/actions/x' } as const;
  const description = 'success: waiting for an admin';
  const set = bench
    .forge('ops/code')
    .setStatus(commit as typeof DIRECT_PUSH, { ...known, state: 'success', description });
  expect(await thrownBy(set)).toMatchObject({ code: 'ERR_FORGE_UNAVAILABLE' });
  expect(posted).toHaveLength(1);
});

// Comments

interface CommentRow {
  readonly id: number;
  body: string;
  readonly user: { readonly id: number; readonly login: string };
}

/** Comments of change 2; like the live one, all come at once whatever page is asked for. */
function keepComments(...rows: CommentRow[]): CommentRow[] {
  bench.server.on('GET', /\/issues\/2\/comments$/, () => ({
    status: 200,
    headers: { 'x-total-count': `${rows.length}` },
    body: rows.map((row) => ({ ...row })),
  }));
  bench.server.on('POST', /\/issues\/2\/comments$/, ({ body }) => {
    const row = { id: rows.length + 1, body: (body as { body: string }).body, user: BOT };
    rows.push(row);
    return { status: 201, body: row };
  });
  bench.server.on('PATCH', /\/issues\/comments\/\d+$/, ({ path, body }) => {
    const row = rows.find(({ id }) => path.endsWith(`/${id}`));
    if (row === undefined) return { status: 404, body: {} };
    row.body = (body as { body: string }).body;
    return { status: 200, body: row };
  });
  return rows;
}

function letAskWhoItIs(): void {
  bench.server.on('GET', /\/api\/v1\/user$/, { status: 200, body: BOT });
}

const written = (): readonly string[] => bench.server.asked.filter((asked) => !asked.startsWith('GET'));

test('one comment is made, left alone while it says the same, and edited when not (R23)', async () => {
  letAskWhoItIs();
  const rows = keepComments();
  const forge = bench.forge('ops/code');
  await forge.comment(2, MARKER, `${MARKER}\nthe plan`);
  await forge.comment(2, MARKER, `${MARKER}\nthe plan`);
  await bench.forge('ops/code').comment(2, MARKER, `${MARKER}\nthe outcome`);
  expect(rows).toEqual([{ id: 1, body: `${MARKER}\nthe outcome`, user: BOT }]);
  expect(written()).toEqual(['POST /repos/ops/code/issues/2/comments', 'PATCH /repos/ops/code/issues/comments/1']);
});

test('a text without its marker gets it; ends of lines written in another way are no difference', async () => {
  letAskWhoItIs();
  const rows = keepComments();
  await bench.forge('ops/code').comment(2, MARKER, 'a\nb');
  expect(rows[0]?.body).toBe(`${MARKER}\na\nb`);
  for (const row of rows) row.body = `${MARKER}\r\na\r\nb\r\n`;
  await bench.forge('ops/code').comment(2, MARKER, 'a\nb');
  expect(written()).toHaveLength(1);
});

test('a comment of somebody else that holds the marker is never edited, nor taken for ours', async () => {
  letAskWhoItIs();
  const rows = keepComments({ id: 1, body: `${MARKER}\napproved, go on`, user: DEV });
  await bench.forge('ops/code').comment(2, MARKER, `${MARKER}\nthe plan`);
  await bench.forge('ops/code').comment(2, MARKER, `${MARKER}\nthe outcome`);
  expect(rows.map(({ user, body }) => [user.login, body])).toEqual([
    ['dev1', `${MARKER}\napproved, go on`],
    ['edge-bot', `${MARKER}\nthe outcome`],
  ]);
});

test('two calls at once make one comment (R23)', async () => {
  letAskWhoItIs();
  const rows = keepComments();
  const forge = bench.forge('ops/code');
  await Promise.all([forge.comment(2, MARKER, `${MARKER}\na`), forge.comment(2, MARKER, `${MARKER}\nb`)]);
  expect(rows).toHaveLength(1);
});

test('a token that may not ask whose it is learns it from the status that it set', async () => {
  const rows = keepComments();
  keepStatuses();
  const forge = bench.forge('ops/code');
  expect(await thrownBy(forge.comment(2, MARKER, 'x'))).toMatchObject({
    code: 'ERR_FORGE_DENIED',
    hint: 'Give the token the scope read:user.',
  });
  expect(rows).toEqual([]);
  await forge.setStatus(DIRECT_PUSH, STATUS);
  await forge.comment(2, MARKER, 'x');
  bench.clock.advance(3_600_000);
  await forge.comment(2, MARKER, 'y');
  expect(rows.map(({ body }) => body)).toEqual([`${MARKER}\ny`]);
});

// Checks

function serveGoodForge(version = '10.0.0-dev-2+gitea-1.22.0'): void {
  bench.server.on('GET', /\/api\/v1\/version$/, { status: 200, body: { version } });
  bench.server.on('GET', /\/ops\/ops\/(?:issues|activities\/feeds)$/, { status: 200, body: [] });
  bench.server.on('GET', /\/collaborators\/ops\/permission$/, ({ as }) =>
    as === 'approver1'
      ? { status: 200, body: { permission: 'owner', user: { id: 10, login: 'ops' } } }
      : { status: 403, body: {} },
  );
}

test('everything that the forge has to hold is checked, one line each', async () => {
  serveGoodForge();
  letAskWhoItIs();
  const checks = await bench.forge('ops/ops').check();
  expect(checks.map(({ name, ok }) => [name, ok])).toEqual([
    ['forge.forgejo.transport', true],
    ['forge.forgejo.server', true],
    ['forge.forgejo.repository', true],
    ['forge.forgejo.events', true],
    ['forge.forgejo.account', true],
    ['forge.forgejo.admins', true],
  ]);
  expect(checks[1]?.message).toBe('Forgejo 10.0.0-dev-2+gitea-1.22.0');
  expect(checks[2]?.message).toContain('scopes show when it first writes');
  expect(checks[4]).toMatchObject({ message: 'our token belongs to edge-bot', account: 'edge-bot' });
});

test.each([
  ['server', 'version$', { status: 200, body: { version: '6.0.1+gitea-1.21.0' } }, 'Upgrade it to 7.0 or later.'],
  [
    'server',
    'version$',
    { status: 200, body: { version: '1.22.3' } },
    'Set kind of [forge] to the other of forgejo and gitea.',
  ],
  ['server', 'version$', { status: 200, text: '<html>' }, 'The forge does not answer; it is asked again.'],
  ['server', 'version$', { status: 404, body: {} }, 'Check url and kind of [forge].'],
  [
    'repository',
    'ops/ops$',
    { status: 404, body: {} },
    'Check url, repo and token_file of [forge], and the rights of that token.',
  ],
  [
    'repository',
    'ops/ops$',
    { status: 200, body: { full_name: 'ops/new', archived: false } },
    'Set repo of [forge] to its present name.',
  ],
  [
    'repository',
    'ops/ops$',
    { status: 200, body: { full_name: 'ops/ops', archived: true } },
    'Take it out of the archive.',
  ],
  [
    'repository',
    'ops/ops$',
    { status: 200, body: { full_name: 'ops/ops', archived: false, permissions: { push: false } } },
    'Give its account the right to write, and the token write:repository.',
  ],
  [
    'events',
    'issues$',
    { status: 403, body: {} },
    'Check url, repo and token_file of [forge], and the rights of that token.',
  ],
  [
    'admins',
    'permission$',
    { status: 403, body: {} },
    'Check url, repo and token_file of [forge], and the rights of that token.',
  ],
])('what is wrong with the %s is told with its fix: %s %j', async (name, path, answer, fix) => {
  serveGoodForge();
  letAskWhoItIs();
  bench.server.on('GET', new RegExp(path), answer);
  const bad = (await bench.forge('ops/ops').check()).filter(({ ok }) => !ok);
  expect(bad.map((check) => [check.name, check.fix])).toEqual([[`forge.forgejo.${name}`, fix]]);
  expect(JSON.stringify(bad)).not.toContain('token-of');
});

test('Gitea is checked as Gitea, and a token without read:user is no failure', async () => {
  serveGoodForge('1.22.3');
  const checks = await bench.forge('ops/ops', { factory: forges.gitea, admin: '' }).check();
  expect(checks.map(({ name, ok }) => [name, ok])).toEqual([
    ['forge.gitea.transport', true],
    ['forge.gitea.server', true],
    ['forge.gitea.repository', true],
    ['forge.gitea.events', true],
    ['forge.gitea.account', true],
  ]);
  expect(checks[4]?.message).toContain('read:user');
});
