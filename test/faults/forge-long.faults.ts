import { afterEach, beforeEach, expect, test } from 'vitest';
import { forges } from '../../src/adapters/forges/index.ts';
import type { Change } from '../../src/domain/change.ts';
import {
  account,
  commitRow,
  ForgejoBench,
  feedRow,
  MERGE,
  pullRow,
  pushEvent,
  reviewRow,
} from '../fakes/forgejo-bench.ts';

/** Left out of an answer, and more of it than an answer may have. */
const LONG = 'x'.repeat(9_000_000);
const ENDLESS = 'x'.repeat(65 * 1024 * 1024);
/** Kept, so that twenty of them are too much for one answer. */
const KEPT = 'x'.repeat(500_000);

let bench: ForgejoBench;

beforeEach(async () => {
  bench = await ForgejoBench.start();
  bench.server.on('GET', /\/issues\/1\/timeline$/, { status: 200, body: [pushEvent(1)] });
  bench.servePages(/\/pulls\/1\/commits$/, [commitRow(MERGE, 'add')]);
});

afterEach(async () => {
  await bench.server.close();
});

const PUSHED = feedRow({ id: 1, by: ['dev1', 5], branch: 'main', commits: [MERGE] });
const CREATED = {
  ...feedRow({ id: 0, by: ['ops', 10], branch: '' }),
  op_type: 'create_repo',
  ref_name: '',
  content: '',
};
/** As the forge orders its members: what comes after the comment is missing when that is cut. */
function commented(id: number, body: string) {
  const { act_user, created } = PUSHED;
  return { id, op_type: 'comment_issue', act_user, comment: { id, body }, ref_name: '', content: '1|', created };
}

/** Two readings of what is endless, and not four. */
function inSmallPages(): void {
  bench.server.on('GET', /settings\/api$/, { status: 200, body: { max_response_items: 5 } });
}

async function changeOne(): Promise<Change> {
  return (await bench.forge('ops/flows').change(1)) as Change;
}

test('a long comment stops nobody from asking who pushed, whoever wrote it', async () => {
  inSmallPages();
  bench.serveFeed('ops/flows', [commented(3, LONG), PUSHED, CREATED]);
  const forge = bench.forge('ops/flows');
  expect(await forge.pusherOf(MERGE, 'main')).toEqual(account('dev1', 5));
  bench.serveFeed('ops/flows', [commented(4, LONG), commented(2, ENDLESS), PUSHED, CREATED]);
  expect((await forge.history(await changeOne())).landedBy).toEqual(account('dev1', 5));
});

test('a page of the log that is too long is read in pieces, at last one by one', async () => {
  const entries = Array.from({ length: 60 }, (_, index) =>
    feedRow({ id: 100 - index, by: ['dev1', 5], branch: 'b', commits: [`c${index}`] }),
  );
  for (const at of [20, 21, 22, 23])
    Object.assign(entries[at] ?? {}, { comment: Array.from({ length: 5 }, () => KEPT) });
  bench.serveFeed('ops/flows', entries);
  const forge = bench.forge('ops/flows');
  for (const at of [0, 20, 23, 49, 59]) expect(await forge.pusherOf(`c${at}` as typeof MERGE, 'b')).not.toBeNull();
  expect(bench.pagesAsked('feeds')).toContain('page=1&limit=50');
  expect(bench.pagesAsked('feeds')).toContain('page=3&limit=10');
  expect(bench.pagesAsked('feeds')).not.toContain('page=2&limit=2');
});

test('a push whose own entry is too long to read names its pusher, and proves nobody’s landing', async () => {
  const huge = {
    ...feedRow({ id: 2, by: ['approver1', 3], branch: 'br-merge', at: '2026-11-21T03:42:30Z' }),
    content: LONG,
  };
  const later = feedRow({ id: 9, by: ['dev2', 6], branch: 'main', commits: [MERGE], at: '2026-11-21T03:50:00Z' });
  bench.serveFeed('ops/flows', [later, { ...huge, id: 3, ref_name: 'refs/heads/main' }, huge, CREATED]);
  const forge = bench.forge('ops/flows');
  const history = await forge.history(await changeOne());
  expect(history.pushes.map(({ by }) => by.login)).toContain('approver1');
  expect(history.landedBy).toBeNull();
});

test('an entry of a push that is cut before it says where to is an outage, never no push', async () => {
  inSmallPages();
  const { ref_name, content, created, ...row } = PUSHED;
  bench.serveFeed('ops/flows', [{ ...row, comment: ENDLESS, ref_name, content, created }]);
  await expect(bench.forge('ops/flows').pusherOf(MERGE, 'main')).rejects.toMatchObject({
    code: 'ERR_FORGE_UNAVAILABLE',
  });
});

test('a long review hides no other: of itself the verdict counts, unless it is too long even alone (R2)', async () => {
  inSmallPages();
  const { commit_id, dismissed, submitted_at, html_url, ...row } = reviewRow(3, 'APPROVED');
  const endless = { ...row, body: ENDLESS, commit_id, dismissed, submitted_at, html_url };
  const rows = [{ ...reviewRow(1, 'REQUEST_CHANGES'), body: LONG }, reviewRow(2, 'COMMENT'), endless];
  bench.servePages(/\/reviews$/, rows);
  const reviews = await bench.forge('ops/code').reviews(1);
  expect(reviews.map(({ verdict }) => verdict)).toEqual(['changes-requested', 'none']);
});

test('a timeline that is too long is read in pages, and is whole where it tells the merge', async () => {
  const merged = { ...pushEvent(40), type: 'merge_pull' };
  const crowd = { ...pushEvent(20), type: 'comment', body: Array.from({ length: 600 }, () => 'x'.repeat(15_000)) };
  const events = [pushEvent(1), crowd, { ...pushEvent(30), user: { id: 6, login: 'dev2' } }, merged];
  const serve = (rows: readonly object[]): void => {
    bench.server.on('GET', /\/issues\/1\/timeline$/, ({ query }) => {
      const [page, limit] = [Number(query.get('page')), Number(query.get('limit'))];
      const shown = page === 0 ? rows : rows.slice((page - 1) * limit, page * limit);
      return { status: 200, headers: { 'x-total-count': `${shown.length}` }, body: shown.length === 0 ? null : shown };
    });
  };
  bench.serveFeed('ops/flows', [CREATED]);
  const forge = bench.forge('ops/flows');
  serve(events.map((event) => (event === crowd ? { ...crowd, body: 'short' } : event)));
  expect((await forge.history(await changeOne())).pushes.map(({ by }) => by.login)).toEqual(['dev1', 'dev2']);
  expect(bench.pagesAsked('timeline')).toEqual(['']);
  const half = { ...crowd, body: crowd.body.slice(0, 300) };
  serve([half, ...events.filter((event) => event !== crowd), { ...half, id: 50 }]);
  expect(await forge.history(await changeOne())).toMatchObject({ scheduled: false, pushes: { length: 2 } });
  expect(bench.pagesAsked('timeline')).toContain('page=1&limit=2');
  serve([half, pushEvent(30), { ...half, id: 50 }]);
  const change = await changeOne();
  const { scheduled, pushes } = await forge.history(change);
  expect(scheduled).toBe(true);
  expect(pushes.at(-1)).toEqual({ by: account('dev1', 5), at: change.merge?.at });
});

test('the text of a change does not hide what else there is', async () => {
  const pull = { ...pullRow({ number: 4 }), body: LONG };
  bench.server.on('GET', /\/pulls\/4$/, { status: 200, body: pull });
  bench.servePages(/\/pulls$/, [pull]);
  for (const factory of [forges.forgejo, forges.gitea]) {
    const forge = bench.forge('ops/flows', { factory });
    expect((await forge.change(4))?.number).toBe(4);
    expect(await forge.openChanges('main')).toHaveLength(1);
  }
});
