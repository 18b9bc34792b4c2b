import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ForgeBench, makeForgeBench, propose, type RecordedRows, readRecorded } from '../fakes/forge-bench.ts';

/** Reviews, pages and refusals of the fake forge, held to the recordings of a real one. */

interface Row {
  readonly user: { readonly login: string };
  readonly state: string;
  readonly commit_id: string;
  readonly stale: boolean;
  readonly official: boolean;
  readonly dismissed: boolean;
}

interface PullShape {
  readonly base: { readonly repo: object };
  readonly user: object;
}

const recorded = readRecorded();

let bench: ForgeBench;

beforeEach(async () => {
  bench = await makeForgeBench();
});
afterEach(() => bench.remove());

describe('reviews', () => {
  /** The steps of the recordings reviews-*.json; answers the rows after each step whose rows were recorded. */
  async function reviewSteps(): Promise<readonly RecordedRows[]> {
    const { forge } = bench;
    const seen: RecordedRows[] = [];
    const names = new Map<string, string>();
    const { number } = propose(forge, 'rev-b').pull;
    const look = async (after: number): Promise<void> => {
      const { body, headers } = await bench.ask('edge-bot', `/pulls/${number}/reviews`);
      const rows = (body as readonly Row[]).map((row) => rowText(row, names));
      seen.push({ after, total: headers.get('x-total-count') ?? '', rows });
    };
    const push = () => forge.push('dev1', 'rev-b', { files: { 'vault/actions/rev-b.toml': `${seen.length}\n` } });
    const first = forge.tip('rev-b');
    forge.review('dev1', number, { state: 'comment', body: 'hm' });
    for (const login of ['reader1', 'dev2', 'edge-bot', 'approver1'])
      forge.review(login, number, { state: 'approved' });
    await look(8);
    push();
    await look(10);
    forge.review('approver2', number, { state: 'approved' });
    const moved = forge.directPush('dev2', { files: { 'notes/x.md': 'x\n' } });
    forge.push('dev1', 'rev-b', { parents: [forge.tip('rev-b'), moved], message: 'update' });
    await look(13);
    forge.review('approver1', number, { state: 'changes-requested' });
    await look(15);
    forge.review('approver1', number, { state: 'comment' });
    const again = forge.review('approver1', number, { state: 'approved' });
    await look(18);
    forge.dismiss('approver2', again.id);
    await look(21);
    forge.undismiss('approver2', again.id);
    await look(23);
    forge.review('approver2', number, { state: 'approved', commit: first });
    forge.review('approver2', number, { state: 'approved', commit: first.slice(0, 10) });
    forge.review('approver2', number, { state: 'approved', commit: moved });
    const draft = forge.draft('approver2', number);
    await look(29);
    forge.state.hold.tasks = true;
    push();
    forge.submitDraft(draft.id, { state: 'approved' });
    await look(31);
    forge.requestReview('approver1', number, 'dev2');
    await look(33);
    forge.deleteReview('approver1', again.id);
    await look(35);
    return seen;
  }

  function rowText(row: Row, names: Map<string, string>): string {
    const isShort = row.commit_id.length === 10;
    const full = isShort ? ([...names.keys()].find((each) => each.startsWith(row.commit_id)) ?? '') : row.commit_id;
    if (full !== '' && !names.has(full)) names.set(full, String.fromCodePoint(65 + names.size));
    const commit = full === '' ? '-' : `${isShort ? 'short ' : ''}${names.get(full)}`;
    const flags = (['stale', 'official', 'dismissed'] as const).filter((flag) => row[flag]);
    return [row.user.login, row.state, commit, ...flags].join(' ');
  }

  it('R2: flags move as recorded without protection', async () => {
    expect(await reviewSteps()).toEqual(recorded.reviews.unprotected);
  });

  it('R2: flags move as recorded where stale approvals are dismissed', async () => {
    bench.forge.protect('main', { dismissStaleApprovals: true });
    expect(await reviewSteps()).toEqual(recorded.reviews['dismiss-stale']);
  });

  it('R3: pages are cut as recorded: everything without a page, short pages where a draft is hidden', async () => {
    const { forge } = bench;
    const { number } = propose(forge, 'many').pull;
    for (let i = 0; i < 61; i += 1) forge.review('dev2', number, { state: 'comment' });
    forge.draft('approver2', number);
    forge.review('approver1', number, { state: 'approved' });
    const asked = recorded.pages.map(async ({ query }) => {
      const words = Object.entries(query).map(([key, value]) => `${key}=${value}`);
      const { body, headers } = await bench.ask('edge-bot', `/pulls/${number}/reviews?${words.join('&')}`);
      return { query, count: (body as readonly unknown[]).length, total: headers.get('x-total-count') };
    });
    expect(await Promise.all(asked)).toEqual(recorded.pages);
    expect((await bench.ask('boss', `/pulls/${number}/reviews`)).body).toHaveLength(63);
  });
});

describe('the dialect', () => {
  it('says no as recorded', async () => {
    const { forge } = bench;
    const { number } = propose(forge, 'err').pull;
    const { errors } = recorded;
    const asks = async (login: string | null, where: string) => {
      const { status, body } = await bench.ask(login, where);
      return { status, message: (body as { message: string }).message.replace('base_repo_id: 1', 'base_repo_id: 6') };
    };
    const tip = forge.tip();
    expect(await asks('edge-bot', `/commits/${tip}/pull`)).toEqual(errors['a commit pushed directly to main']);
    const outsider = errors['a user without access to the private repository: 404 as well'];
    expect(await asks('outsider1', `/commits/${tip}/pull`)).toEqual(outsider);
    expect(await asks(null, `/pulls/${number}`)).toEqual(errors['no token']);
    expect(await asks('edge-bot', '/collaborators/approver1/permission')).toEqual(
      errors['edge-bot asks about approver1'],
    );
    expect(await asks('approver1', '/collaborators/nosuchuser/permission')).toEqual(
      errors['approver1 asks about nosuchuser'],
    );
    const status = { method: 'POST', body: { state: 'success', context: 'x' } };
    const told = await Promise.all([
      bench.ask('reader1', `/statuses/${tip}`, status),
      bench.ask('dev1', `/statuses/${'1'.repeat(40)}`, status),
    ]);
    expect(told).toMatchObject([
      { status: errors['a reader may not']?.status, body: { message: errors['a reader may not']?.message } },
      { status: 500 },
    ]);
    const wrong = await fetch(`${bench.server.origin}/api/v1/user`, {
      headers: { authorization: 'token wrong', connection: 'close' },
    });
    expect({ status: wrong.status, ...((await wrong.json()) as object) }).toMatchObject(errors['a wrong token'] ?? {});
  });

  it('sends bodies with the fields of the recorded ones', async () => {
    const { forge } = bench;
    const { number } = propose(forge, 'shape').pull;
    forge.review('approver1', number, { state: 'approved' });
    const tip = forge.merge('approver1', number);
    const issue = forge.openIssue('dev1', { title: 'bug', labels: ['bug-report'] });
    forge.comment('edge-bot', issue.number, 'hello');
    forge.setStatus('edge-bot', tip, { state: 'success', context: 'edge' });
    const first = async (where: string, login = 'edge-bot') => {
      const { body } = await bench.ask(login, where);
      return Array.isArray(body) ? body[0] : body;
    };
    const { samples } = recorded;
    const asked: Record<keyof typeof samples, unknown> = {
      pull: await first(`/pulls/${number}`),
      review: await first(`/pulls/${number}/reviews`),
      file: await first(`/pulls/${number}/files`),
      commit: await first(`/pulls/${number}/commits`),
      event: await first(`/issues/${number}/timeline`),
      feed: await first('/activities/feeds'),
      comment: await first(`/issues/${issue.number}/comments`),
      status: await first(`/commits/${tip}/statuses`),
      'combined status': await first(`/commits/${tip}/status`),
      issue: await first('/issues'),
      permission: await first('/collaborators/approver1/permission', 'boss'),
      settings: await first('!/settings/api'),
    };
    const missing = Object.entries(samples).map(([kind, sample]) => {
      const sent = Object.keys(asked[kind] as object);
      return [kind, Object.keys(sample).filter((field) => !sent.includes(field))];
    });
    expect(Object.fromEntries(missing)).toEqual(Object.fromEntries(Object.keys(samples).map((kind) => [kind, []])));
    const nested = ({ base, user }: PullShape) => [Object.keys(base.repo), Object.keys(user)];
    expect(nested(asked['pull'] as PullShape)).toEqual(nested(samples['pull'] as PullShape));
  });

  it('S1.6: fails on request as forges do: away, too many requests, a bad gateway, a page where JSON belongs', async () => {
    const { server } = bench;
    server.faults.limited = { times: 1, retryAfter: 7, status: 429 };
    const limited = await bench.ask('edge-bot', '');
    expect([limited.status, limited.headers.get('retry-after')]).toEqual([429, '7']);
    server.faults.broken = { path: /reviews/, times: 1, status: 502 };
    server.faults.garbled = { path: /\/ops$/, times: 1 };
    expect((await bench.ask('edge-bot', '/pulls/1/reviews')).status).toBe(502);
    expect(await bench.ask('edge-bot', '')).toMatchObject({ status: 200, body: '<html>please log in</html>' });
    expect((await bench.ask('edge-bot', '')).body).toMatchObject({ full_name: 'ops/ops' });
    server.faults.down = true;
    await expect(bench.ask('edge-bot', '')).rejects.toThrow('fetch failed');
    expect(server.requests.map(({ status }) => status)).toEqual([429, 502, 200, 200, 0]);
  });

  it('a token is good for its scopes only, and a commit is mapped to its change when the forge has learned of it', async () => {
    const { forge, server } = bench;
    const status = async (token: string, where: string) => {
      const headers = { authorization: `token ${token}`, connection: 'close' };
      return (await fetch(`${server.origin}/api/v1/repos/ops/ops${where}`, { headers })).status;
    };
    const { pull } = propose(forge, 'late');
    const [repository, issue] = [
      server.addToken('edge-bot', ['write:repository']),
      server.addToken('edge-bot', ['read:issue']),
    ];
    expect(await status(repository, `/issues/${pull.number}/timeline`)).toBe(403);
    expect(await status(issue, `/issues/${pull.number}/timeline`)).toBe(200);
    expect(await status(issue, `/pulls/${pull.number}`)).toBe(403);
    Object.assign(forge.state.hold, { mapping: true, feed: true });
    const tip = forge.merge('approver1', pull.number);
    const entries = async () => ((await bench.ask('edge-bot', '/activities/feeds')).body as readonly unknown[]).length;
    const before = await entries();
    expect(await status(repository, `/commits/${tip}/pull`)).toBe(404);
    forge.release();
    expect(await status(repository, `/commits/${tip}/pull`)).toBe(200);
    expect(await entries()).toBe(before + 2);
  });

  it('S2.2: labels that nobody has are dropped from the question without a word', async () => {
    const { forge } = bench;
    forge.openIssue('dev1', { title: 'one', labels: ['bug-report', 'in-progress'] });
    forge.openIssue('dev1', { title: 'two', labels: ['bug-report'] });
    forge.openIssue('reader1', { title: 'three', labels: ['bug-report'] });
    const titles = async (labels: string) => {
      const { body } = await bench.ask('edge-bot', `/issues?state=open&labels=${labels}`);
      return (body as readonly { readonly title: string }[]).map(({ title }) => title);
    };
    expect(await titles('bug-report,in-progress')).toEqual(['one']);
    expect(await titles('bug-report,nosuch')).toEqual(['two', 'one']);
    expect(await titles('nosuch')).toEqual(['three', 'two', 'one']);
  });

  it('a comment is made by anybody who may read and edited by its author; a status by writers', async () => {
    const { forge } = bench;
    const { pull } = propose(forge, 'talk');
    const made = await bench.ask('reader1', `/issues/${pull.number}/comments`, {
      method: 'POST',
      body: { body: 'hm' },
    });
    expect(made).toMatchObject({ status: 201, body: { body: 'hm', user: { login: 'reader1' } } });
    const { id } = made.body as { readonly id: number };
    const edit = { method: 'PATCH', body: { body: 'hm!' } };
    expect((await bench.ask('dev1', `/issues/comments/${id}`, edit)).status).toBe(403);
    expect(await bench.ask('reader1', `/issues/comments/${id}`, edit)).toMatchObject({
      status: 200,
      body: { body: 'hm!' },
    });
    expect((await bench.ask('edge-bot', `/issues/${pull.number}/comments`)).body).toMatchObject([{ id, body: 'hm!' }]);
  });
});
