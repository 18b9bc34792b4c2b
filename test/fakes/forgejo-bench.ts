import type { ForgeFactory } from '../../src/adapters/factory.ts';
import { forges } from '../../src/adapters/forges/index.ts';
import type { Account } from '../../src/domain/change.ts';
import { oid } from '../../src/domain/ids.ts';
import type { Forge } from '../../src/ports/forge.ts';
import type { IssueTracker } from '../../src/ports/issues.ts';
import { ForgeReplay, tokenOf } from './forge-replay.ts';
import { ManualClock } from './manual-clock.ts';
import { silentLog } from './tools.ts';

/** A merge commit, and a commit that was pushed past the forge, of the recordings. */
export const MERGE = oid('3dea8e4d45b93ff38e774d55a0702a4df28c60c1');
export const DIRECT_PUSH = oid('7b194008e8f98065afbd29b4b0de663dca7b17c5');

interface Pages {
  /** Ids of rows that take a place and are not shown. */
  readonly hidden?: readonly number[];
  /** The longest page that the server allows. */
  readonly most?: number;
  readonly onPage?: (page: number) => void;
}

/** A replayed Forgejo and what asks it. Close it at the end. */
export class ForgejoBench {
  readonly server: ForgeReplay;
  readonly clock = new ManualClock();

  private constructor(server: ForgeReplay) {
    this.server = server;
    server.on('GET', /^\/api\/v1\/repos\/(?:ops|reader1)\/(?:flows|code|hist)$/, ({ as }) =>
      as === null || as === 'outsider1' ? { status: 404, body: {} } : { status: 200, body: { full_name: 'ops/flows' } },
    );
  }

  static async start(): Promise<ForgejoBench> {
    return new ForgejoBench(await ForgeReplay.start());
  }

  /** `admin`: whose token asks for permissions; empty: none. */
  forge(repo: string, { as = 'edge-bot', factory = forges.forgejo as ForgeFactory, admin = 'approver1' } = {}): Forge {
    const adminToken = admin === '' ? null : tokenOf(admin);
    const options = { url: this.server.url, repo, token: tokenOf(as), adminToken, caFile: null, branch: 'main' };
    return factory.create(options, { clock: this.clock, log: silentLog });
  }

  /** Without a token of an administrator. */
  issues(repo: string, factory: ForgeFactory = forges.forgejo): IssueTracker {
    const token = tokenOf('edge-bot');
    const options = { url: this.server.url, repo, token, adminToken: null, caFile: null, branch: 'main' };
    return factory.issues(options, { clock: this.clock, log: silentLog });
  }

  /** A list in pages, as the forge cuts it: positions are counted, hidden rows too. */
  servePages(path: RegExp, rows: readonly object[], { hidden = [], most = 50, onPage }: Pages = {}): void {
    this.server.on('GET', path, ({ query }) => {
      const [page, limit] = [Number(query.get('page')), Math.min(Number(query.get('limit')), most)];
      const body = rows
        .slice((page - 1) * limit, page * limit)
        .filter((row) => !('id' in row && hidden.includes(Number(row.id))));
      const answer = { status: 200, headers: { 'x-total-count': `${rows.length}` }, body };
      onPage?.(page);
      return answer;
    });
  }

  serveFeed(repo: string, entries: readonly object[]): void {
    this.servePages(new RegExp(`/${repo}/activities/feeds$`), entries);
  }

  /** Queries of the requests whose path ends so. */
  pagesAsked(end: string): readonly string[] {
    return this.server.seen.filter(({ path }) => path.endsWith(`/${end}`)).map(({ url }) => url.split('?')[1] ?? '');
  }
}

/** What a call throws; `nothing` when it does not. */
export async function thrownBy(call: Promise<unknown>): Promise<unknown> {
  return await call.then(
    () => 'nothing',
    (error: unknown) => error,
  );
}

export const account = (login: string, id: number): Account => ({ id, login, isBot: false });

/** An open change as the forge writes it. */
export function pullRow({ number, base = 'main' }: { readonly number: number; readonly base?: string }) {
  return {
    number,
    html_url: `http://127.0.0.1:3000/ops/flows/pulls/${number}`,
    title: `change ${number}`,
    user: { id: 5, login: 'dev1' },
    state: 'open',
    merged: false,
    merged_at: null,
    merge_commit_sha: null,
    merged_by: null,
    base: { ref: base },
    head: {
      label: `br-${number}`,
      sha: DIRECT_PUSH,
      repo: { full_name: 'ops/flows', owner: { id: 10, login: 'ops' } },
    },
    created_at: '2026-11-21T03:43:00Z',
  };
}

export function reviewRow(id: number, state: string) {
  const at = new Date(Date.UTC(2026, 10, 21, 4, 0, id)).toISOString();
  const user = { id: 3, login: 'approver1' };
  return { id, user, state, dismissed: false, commit_id: MERGE, submitted_at: at, html_url: `http://f/#${id}` };
}

export function commitRow(sha: string, message: string) {
  const person = { name: 'dev1', email: 'dev1@example.org' };
  return { sha, commit: { author: person, committer: person, message }, author: null, committer: null };
}

/** Event of a timeline: dev1 pushed to the change. */
export function pushEvent(id: number) {
  return { id, type: 'pull_push', user: { id: 5, login: 'dev1' }, created_at: '2026-11-21T03:43:00Z' };
}

interface PushRow {
  readonly id: number;
  readonly by: readonly [login: string, id: number];
  readonly branch: string;
  readonly commits?: readonly string[];
  readonly at?: string;
}

/** A push in the log of activities; without commits, the making of a branch. */
export function feedRow({ id, by: [login, user], branch, commits = [], at }: PushRow) {
  const pushed = JSON.stringify({ Commits: commits.map((Sha1) => ({ Sha1 })), Len: commits.length });
  const content = commits.length === 0 ? '' : pushed;
  const created = at ?? new Date(Date.UTC(2026, 10, 21, 3, 0, id)).toISOString();
  const act_user = { id: user, login };
  return { id, op_type: 'commit_repo', act_user, ref_name: `refs/heads/${branch}`, content, created };
}
