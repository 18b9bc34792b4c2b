import { afterEach, beforeEach, expect, test } from 'vitest';
import { oid } from '../../src/domain/ids.ts';
import {
  account,
  commitRow,
  DIRECT_PUSH,
  ForgejoBench,
  MERGE,
  pullRow,
  reviewRow,
  thrownBy,
} from '../fakes/forgejo-bench.ts';

let bench: ForgejoBench;

beforeEach(async () => {
  bench = await ForgejoBench.start();
});

afterEach(async () => {
  await bench.server.close();
});

// Which change brought a commit

test('the merge commit names its change, as the forge maps it (R3)', async () => {
  const change = await bench.forge('ops/flows').changeOf(MERGE);
  expect(change).toEqual({
    number: 1,
    url: 'http://127.0.0.1:3000/ops/flows/pulls/1',
    title: 'flow-merge: merge',
    author: account('dev1', 5),
    base: 'main',
    state: 'merged',
    head: '2d79dcbcf0bd19c9ab88f23b293a3caba3842458',
    source: { repo: 'ops/flows', branch: 'br-merge' },
    merge: { commit: MERGE, by: account('approver1', 3), at: expect.stringMatching(/^2026-11-21T/) },
    createdAt: expect.stringMatching(/^2026-11-21T/),
  });
});

test.each([
  ['rebase', 'eb66f081b7d739fb27dcbe1b81997ce0764f92c8', 2],
  ['squash', '6adc4d9f9eb020bc8ffb6821bdb2224c2527e0b3', 4],
  ['fast-forward', '4a8b29010f9bfa71c8a58c6ca0ddac7ad969a09c', 5],
])('so does the tip right after a %s merge', async (_, commit, number) => {
  expect(await bench.forge('ops/flows').changeOf(oid(commit))).toMatchObject({ number, merge: { commit } });
});

test('a direct push has no change, and that is said only after the repository answered (R3)', async () => {
  expect(await bench.forge('ops/flows').changeOf(DIRECT_PUSH)).toBeNull();
  expect(bench.server.asked).toEqual([`GET /repos/ops/flows/commits/${DIRECT_PUSH}/pull`, 'GET /repos/ops/flows']);
});

test('404 for "no access" is never a "no": the token is refused', async () => {
  expect(await thrownBy(bench.forge('ops/flows', { as: 'outsider1' }).changeOf(MERGE))).toMatchObject({
    code: 'ERR_FORGE_DENIED',
    message: expect.stringContaining('does not exist, or our token may not see it'),
  });
});

test('a change into another branch says so, and the fork that it came from is named', async () => {
  const forge = bench.forge('ops/flows');
  const side = await forge.changeOf(oid('6de1fc2da5d60b0eb590744a0a1d7fd5406d6413'));
  const fork = await forge.changeOf(oid('3c39dfc578c5a1aad26f64e2e38ec2c9ed8fcc27'));
  expect(side?.base).toBe('side');
  expect(fork?.source).toEqual({ repo: 'reader1/flows', branch: 'forked' });
});

test('the branch of a change keeps its name when it was deleted; the head follows it after the merge', async () => {
  const forge = bench.forge('ops/flows');
  expect((await forge.change(1))?.source).toEqual({ repo: 'ops/flows', branch: 'br-merge' });
  const moved = await forge.change(2);
  expect(moved?.head).not.toBe(moved?.merge?.commit);
  expect(await forge.change(99)).toBeNull();
});

test('an answer for another merge commit than the one asked for is none', async () => {
  const other = await bench.forge('ops/flows').changeOf(MERGE);
  bench.server.on('GET', /\/commits\/7b19.*\/pull$/, {
    status: 200,
    body: { ...pullRow({ number: 1 }), merge_commit_sha: MERGE },
  });
  expect(await bench.forge('ops/flows').changeOf(DIRECT_PUSH)).toBeNull();
  expect(other).not.toBeNull();
});

test('open changes: into this branch only, and one that can not be read hides no other', async () => {
  const broken = { ...pullRow({ number: 3 }), head: { label: 'gone', sha: '', repo: null } };
  const pulls = [pullRow({ number: 4 }), broken, pullRow({ number: 2, base: 'side' }), pullRow({ number: 1 })];
  bench.server.on('GET', /\/pulls$/, ({ query }) => ({
    status: 200,
    headers: { 'x-total-count': '4' },
    body: query.get('state') === 'open' && query.get('sort') === 'recentupdate' ? pulls : [],
  }));
  expect((await bench.forge('ops/flows').openChanges('main')).map(({ number }) => number)).toEqual([4, 1]);
});

// Reviews, files, commits

test('all kinds of reviews as they were filed: only approvals and rejections are verdicts (R2)', async () => {
  const reviews = await bench.forge('ops/ops').reviews(2);
  expect(
    reviews.map(({ by, verdict, dismissed, commit }) => [by.login, verdict, dismissed, commit.slice(0, 7)]),
  ).toEqual([
    ['dev1', 'none', false, '25a5a24'],
    ['reader1', 'approved', false, '25a5a24'],
    ['dev2', 'approved', false, '25a5a24'],
    ['edge-bot', 'approved', false, '25a5a24'],
    ['approver1', 'approved', true, '25a5a24'],
    ['approver2', 'approved', true, 'f63fa18'],
    ['approver1', 'changes-requested', true, '12bbd86'],
    ['approver1', 'none', false, '12bbd86'],
    ['approver1', 'approved', false, '12bbd86'],
    ['approver2', 'approved', true, '25a5a24'],
    ['approver2', 'approved', true, '25a5a24'],
    ['approver2', 'approved', false, '57f9b5f'],
  ]);
  expect(reviews.some(({ commit }) => commit.length < 40)).toBe(true);
  expect(reviews[0]).toMatchObject({ at: '2026-11-21T03:47:16Z', url: expect.stringContaining('#issuecomment-') });
});

test('reviews are read to the last page, and a hidden draft that makes a page short ends nothing (R3)', async () => {
  const rows = Array.from({ length: 120 }, (_, index) =>
    reviewRow(index + 1, index === 119 ? 'REQUEST_CHANGES' : 'COMMENT'),
  );
  bench.servePages(/\/reviews$/, rows, { hidden: [10, 11, 60] });
  const reviews = await bench.forge('ops/code').reviews(1);
  expect(reviews).toHaveLength(117);
  expect(reviews.at(-1)?.verdict).toBe('changes-requested');
  expect(bench.pagesAsked('reviews')).toEqual(['page=1&limit=50', 'page=2&limit=50', 'page=3&limit=50']);
});

test('a page that is hidden as a whole ends nothing either', async () => {
  const rows = Array.from({ length: 101 }, (_, index) => reviewRow(index + 1, 'APPROVED'));
  bench.servePages(/\/reviews$/, rows, { hidden: rows.slice(50, 100).map(({ id }) => id) });
  expect((await bench.forge('ops/code').reviews(1)).at(-1)?.at).toBe(reviewRow(101, 'APPROVED').submitted_at);
});

test('a server that allows shorter pages is asked by its own measure', async () => {
  bench.server.on('GET', /settings\/api$/, { status: 200, body: { max_response_items: 20 } });
  const rows = Array.from({ length: 63 }, (_, index) => reviewRow(index + 1, 'APPROVED'));
  bench.servePages(/\/reviews$/, rows, { most: 20, hidden: [63] });
  expect(await bench.forge('ops/code').reviews(1)).toHaveLength(62);
  expect(bench.pagesAsked('reviews')).toHaveLength(4);
});

test('a list that changes while it is read is read anew; one that never stands still is an outage', async () => {
  const rows = Array.from({ length: 60 }, (_, index) => reviewRow(index + 1, 'APPROVED'));
  bench.servePages(/\/reviews$/, rows, { onPage: (page) => void (page === 1 && rows.length === 60 && rows.shift()) });
  expect((await bench.forge('ops/code').reviews(1)).map(({ at }) => at)).toEqual(rows.map((row) => row.submitted_at));
  bench.servePages(/\/reviews$/, rows, { onPage: () => void rows.push(reviewRow(rows.length + 2, 'APPROVED')) });
  expect(await thrownBy(bench.forge('ops/code').reviews(1))).toMatchObject({ code: 'ERR_FORGE_UNAVAILABLE' });
});

test('a deleted reviewer has no id, and the forge’s own accounts are no people', async () => {
  const rows = [
    { ...reviewRow(1, 'APPROVED'), user: { id: -1, login: 'Ghost' } },
    { ...reviewRow(2, 'APPROVED'), user: { id: -2, login: 'forgejo-actions' } },
    { ...reviewRow(3, 'REQUEST_REVIEW'), user: null },
  ];
  bench.servePages(/\/reviews$/, rows);
  expect((await bench.forge('ops/code').reviews(1)).map(({ by }) => by)).toEqual([
    { id: null, login: 'Ghost', isBot: false },
    { id: -2, login: 'forgejo-actions', isBot: true },
    { id: null, login: 'Ghost', isBot: false },
  ]);
});

test('a review that can not be read is an outage, not one review less', async () => {
  bench.servePages(/\/reviews$/, [reviewRow(1, 'APPROVED'), { id: 2 }]);
  expect(await thrownBy(bench.forge('ops/code').reviews(1))).toMatchObject({ code: 'ERR_FORGE_UNAVAILABLE' });
});

test('files of a change, of a rename both paths', async () => {
  expect(await bench.forge('ops/flows').files(1)).toEqual(['notes/flow-merge.md', 'vault/actions/flow-merge.toml']);
  bench.servePages(/\/files$/, [{ filename: 'b.toml', previous_filename: 'a.toml' }, { filename: 'c.toml' }]);
  expect(await bench.forge('ops/flows').files(7)).toEqual(['b.toml', 'a.toml', 'c.toml']);
});

test('commits with the people they name, and the accounts behind them', async () => {
  expect((await bench.forge('ops/flows').commits(1))[0]).toEqual({
    oid: '2d79dcbcf0bd19c9ab88f23b293a3caba3842458',
    author: { name: 'dev1', email: 'dev1@example.org' },
    committer: { name: 'dev1', email: 'dev1@example.org' },
    coAuthors: [],
    accounts: [],
  });
  const message = 'add\n\nCo-authored-by: Ann Example <ann@example.org>\nco-authored-by: approver1\n';
  bench.servePages(/\/commits$/, [{ ...commitRow(MERGE, message), author: { id: 3, login: 'approver1' } }], {});
  expect((await bench.forge('ops/flows').commits(7))[0]).toMatchObject({
    coAuthors: [
      { name: 'Ann Example', email: 'ann@example.org' },
      { name: 'approver1', email: '' },
    ],
    accounts: [account('approver1', 3)],
  });
});
