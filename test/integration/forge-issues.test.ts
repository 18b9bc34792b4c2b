import { afterEach, describe, expect, it } from 'vitest';
import type { ForgeOptions } from '../../src/adapters/factory.ts';
import { forges } from '../../src/adapters/forges/index.ts';
import { SecretText } from '../../src/domain/secret-text.ts';
import type { IssueTracker } from '../../src/ports/issues.ts';
import { failureOf, OUTAGE, STALLED } from '../fakes/forge-failures.ts';
import { type FakeIssueStage, openFakeIssueStage } from '../fakes/forge-issue-stage.ts';
import { ForgeReplay, tokenOf } from '../fakes/forge-replay.ts';
import type { Kind } from '../fakes/forge-stage.ts';
import { account, ForgejoBench } from '../fakes/forgejo-bench.ts';
import { ManualClock } from '../fakes/manual-clock.ts';
import { silentLog } from '../fakes/tools.ts';

const KINDS = ['forgejo', 'gitea', 'github'] as const;
const MINUTE_MS = 60_000;

const closers: (() => Promise<void>)[] = [];
const clock = new ManualClock();

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

interface Opened extends FakeIssueStage {
  readonly tracker: (changes?: Partial<ForgeOptions>) => IssueTracker;
}

async function openStage(kind: Kind): Promise<Opened> {
  const opened = await openFakeIssueStage(kind);
  closers.push(opened.close);
  const tracker = (changes: Partial<ForgeOptions> = {}) => {
    return forges[kind].issues({ ...opened.options('edge-bot'), ...changes }, { clock, log: silentLog });
  };
  return { ...opened, tracker };
}

describe.each(KINDS)('issues of %s', (kind) => {
  it('cost one request where nothing is new, and no text of an issue (S2.4)', async () => {
    const { repo, server, tracker } = await openStage(kind);
    const issue = repo.open('dev1', { title: 'one' });
    const asked = tracker();
    const first = await asked.changedSince(issue.updatedAt);
    server.requests.splice(0);
    expect(await asked.changedSince(issue.updatedAt)).toEqual(first);
    // GitHub's answer has not changed, which counts for no limit.
    expect(server.requests.map(({ status }) => status)).toEqual([kind === 'github' ? 304 : 200]);
  });

  it('are not taken for gone where they are switched off', async () => {
    const { repo, tracker } = await openStage(kind);
    const { number } = repo.open('dev1', { title: 'one', labels: ['bug'] });
    repo.hasIssues = false;
    const asked = tracker();
    expect(await failureOf(asked.issue(number))).toMatchObject(STALLED);
    expect((await asked.check()).map(({ ok, fix }) => [ok, fix])).toEqual([
      [false, 'Switch issues on in its settings.'],
    ]);
  });

  it('have the setter of each label right at the end of a long log (S2)', async () => {
    const { repo, tracker } = await openStage(kind);
    const { number } = repo.open('dev1', { title: 'one' });
    for (let turn = 1; turn <= 70; turn += 1) {
      repo.label('dev1', number, 'bug');
      repo.unlabel('dev1', number, 'bug');
    }
    repo.label('dev2', number, 'bug');
    const setters = await tracker().labelledBy(number);
    expect([...setters].map(([label, { login }]) => [label, login])).toEqual([['bug', 'dev2']]);
  });

  it('have comments or not: a fault of the forge is never taken for none (S2.4)', async () => {
    const { repo, server, tracker } = await openStage(kind);
    const { number } = repo.open('dev1', { title: 'one', labels: ['bug'] });
    server.faults.broken = { path: /comments|timeline|events/, times: Number.POSITIVE_INFINITY, status: 500 };
    expect(await failureOf(tracker().comments(number))).toMatchObject(OUTAGE);
    expect(await failureOf(tracker().labelledBy(number))).toMatchObject(OUTAGE);
    expect(await failureOf(tracker().comment(number, '<!-- m -->', 'text'))).toMatchObject(OUTAGE);
  });

  it('remember who may write for a minute at most (S2)', async () => {
    const { forge, repo, tracker } = await openStage(kind);
    const dev = account('dev1', forge.state.user('dev1').id);
    for (const asked of [tracker(), tracker({ adminToken: null })]) {
      repo.setRole('dev1', 'write');
      expect(await asked.mayWrite(dev)).toBe(true);
      repo.setRole('dev1', 'read');
      clock.advance(MINUTE_MS);
      expect(await asked.mayWrite(dev)).toBe(false);
    }
  });
});

it('Forgejo is asked once a minute who may write, however many are asked about', async () => {
  const { forge, server, tracker } = await openStage('forgejo');
  const asked = tracker({ adminToken: null });
  const people = ['dev1', 'dev2', 'reader1', 'dev1'].map((login) => account(login, forge.state.user(login).id));
  expect(await Promise.all(people.map((each) => asked.mayWrite(each)))).toEqual([true, true, false, true]);
  expect(server.requests.map(({ url }) => url.split('/').at(-1))).toEqual(['assignees', 'teams']);
});

it('a member of a team that may write issues only is no writer, and makes the list of writers prove nothing', async () => {
  const bench = await ForgejoBench.start();
  closers.push(() => bench.server.close());
  const teams = [{ permission: 'read', units_map: { 'repo.code': 'read', 'repo.issues': 'write' } as object | null }];
  bench.server.on('GET', /\/assignees$/, { status: 200, body: [{ id: 5, login: 'dev1' }] });
  bench.server.on('GET', /\/teams$/, () => ({ status: 200, body: teams }));
  const mayWrite = () => failureOf(bench.issues('ops/code').mayWrite(account('dev1', 5)));
  expect(await mayWrite()).toMatchObject(STALLED);
  teams[0] = { permission: 'read', units_map: { 'repo.code': 'read', 'repo.pulls': 'none' } };
  expect(await mayWrite()).toEqual({ class: true });
  teams[0] = { permission: 'read', units_map: null };
  expect(await mayWrite()).toMatchObject(STALLED);
  teams[0] = { permission: 'write', units_map: null };
  expect(await mayWrite()).toEqual({ class: true });
  bench.server.on('GET', /\/teams$/, { status: 405, body: { message: 'repo is not owned by an organization' } });
  expect(await mayWrite()).toEqual({ class: true });
});

const row = (number: number, more: object = {}) => ({
  number,
  html_url: `http://f/ops/code/issues/${number}`,
  title: `issue ${number}`,
  body: '',
  user: { id: 5, login: 'dev1' },
  labels: [],
  state: 'open',
  updated_at: '2026-11-21T04:07:05Z',
  pull_request: null,
  ...more,
});

describe('rows of Forgejo', () => {
  async function serve(rows: readonly object[], most = 50): Promise<ForgejoBench> {
    const bench = await ForgejoBench.start();
    closers.push(() => bench.server.close());
    bench.server.on('GET', /settings\/api$/, { status: 200, body: { max_response_items: most } });
    bench.servePages(/\/issues$/, rows, { most });
    return bench;
  }

  it('are all read where the server allows short pages only', async () => {
    const numbers = Array.from({ length: 45 }, (_, index) => index + 1);
    const bench = await serve(numbers.map((number) => row(number)).toReversed(), 20);
    const issues = await bench.issues('ops/code').changedSince('2026-11-21T04:07:05Z');
    expect(issues.map(({ number }) => number)).toEqual(numbers);
  });

  it('that can not be read hide no others; older ones are left out, whatever the forge filtered', async () => {
    const old = { updated_at: '2026-11-21T04:07:04Z' };
    const bench = await serve([row(1), row(2, { title: null }), row(3, { updated_at: 'soon' }), row(4, old), row(5)]);
    const issues = await bench.issues('ops/code').changedSince('2026-11-21T04:07:05Z');
    expect(issues.map(({ number }) => number)).toEqual([1, 5]);
  });

  it('are told in UTC, in whatever zone the server is, and asked for so', async () => {
    const bench = await serve([row(1, { updated_at: '2026-11-21T05:07:05+01:00' })]);
    const issues = await bench.issues('ops/code').changedSince('2026-11-21T04:07:05Z');
    expect(issues.map(({ updatedAt }) => updatedAt)).toEqual(['2026-11-21T04:07:05Z']);
    expect(bench.pagesAsked('issues')).toEqual([
      'state=all&type=issues&since=2026-11-21T04%3A07%3A05Z&page=1&limit=50',
    ]);
  });
});

describe('GitHub', () => {
  async function replay(): Promise<readonly [ForgeReplay, IssueTracker]> {
    const server = await ForgeReplay.start();
    closers.push(() => server.close());
    const options = { url: server.url, repo: 'ops/code', token: tokenOf('edge-bot'), adminToken: null };
    const tracker = forges.github.issues({ ...options, caFile: null, branch: 'main' }, { clock, log: silentLog });
    return [server, tracker];
  }

  it('answers what was moved to another repository from there: it is none of ours', async () => {
    const [server, tracker] = await replay();
    const location = '/api/v3/repositories/7/issues/5';
    server.on('GET', /\/ops\/code\/issues\/5$/, { status: 301, headers: { location }, body: {} });
    server.on('GET', /\/repositories\/7\/issues\/5$/, {
      status: 200,
      body: row(5, { html_url: 'http://f/ops/other/issues/5' }),
    });
    server.on('GET', /\/repos\/ops\/code$/, { status: 200, body: { full_name: 'ops/code', default_branch: 'main' } });
    expect(await tracker.issue(5)).toBeNull();
    // The repository itself has another name by now.
    server.on('GET', /\/repos\/ops\/code$/, { status: 200, body: { full_name: 'ops/other', default_branch: 'main' } });
    expect(await tracker.issue(5)).toMatchObject({ number: 5 });
    expect((await tracker.check())[0]).toMatchObject({ ok: false, message: 'ops/code has another name by now' });
  });

  it('says of a deleted issue that it is gone (410)', async () => {
    const [server, tracker] = await replay();
    server.on('GET', /\/issues\/5(?:\/\w+)?$/, { status: 410, body: { message: 'This issue was deleted' } });
    server.on('GET', /\/repos\/ops\/code$/, { status: 200, body: { full_name: 'ops/code', default_branch: 'main' } });
    expect(await tracker.issue(5)).toBeNull();
    expect(await tracker.comments(5)).toEqual([]);
    expect([...(await tracker.labelledBy(5))]).toEqual([]);
  });

  it('lets no app ask who it is: that is known once it has written a comment', async () => {
    const { repo, server } = await openStage('github');
    const { number } = repo.open('dev1', { title: 'one' });
    const token = new SecretText(server.addToken('edge-bot', ['installation']));
    const options = { url: server.origin, repo: 'ops/code', token, adminToken: null, caFile: null, branch: '' };
    const tracker = forges.github.issues(options, { clock, log: silentLog });
    expect(await failureOf(tracker.self())).toMatchObject(STALLED);
    await tracker.comment(number, '<!-- m -->', 'text');
    expect(await tracker.self()).toMatchObject({ login: 'edge-bot', isBot: true });
  });
});
