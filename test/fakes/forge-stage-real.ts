import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { GitStore } from '../../src/cli/demo-forge/git-store.ts';
import type { MergeStyle, Permission } from '../../src/cli/demo-forge/records.ts';
import { SecretText } from '../../src/domain/secret-text.ts';
import { type OpenStage, PEOPLE, type Stage, type Verdict } from './forge-stage.ts';
import { messageOf, RealApi } from './forge-stage-real-api.ts';
import { git } from './git-repo.ts';
import { until } from './until.ts';

const REPO = 'hist';
/** For what the forge does some time later. */
const PATIENCE_MS = 60_000;

/** A repository of its own, with people of its own, on a Forgejo that is there already. All gone after `close`. */
export async function openRealStage(url: string, adminToken: string): Promise<OpenStage> {
  const root = await mkdtemp(path.join(tmpdir(), 'edge-forge-real-'));
  const api = new RealApi(url, adminToken);
  await api.start();
  const stage = new RealStage(api, new GitStore(path.join(root, 'work.git')));
  await stage.furnish();
  const tokenFile = path.join(root, 'bot-token');
  await writeFile(tokenFile, api.token('edge-bot', 'bot'), { mode: 0o600 });
  return {
    stage,
    options: (_kind, as) => ({
      url: api.url,
      repo: stage.repo,
      token: new SecretText(api.token(as, as === 'edge-bot' ? 'bot' : 'all')),
      adminToken: new SecretText(api.token('owner1', 'permissions')),
      caFile: null,
      branch: 'main',
    }),
    remote: { url: `${api.url}/${stage.repo}.git`, tokenFile, username: api.login('edge-bot') },
    async close() {
      await stage.clear();
      await rm(root, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

const pullSchema = z.object({
  number: z.int(),
  state: z.string(),
  merged: z.boolean(),
  mergeable: z.boolean(),
  merge_commit_sha: z.string().nullish(),
  head: z.object({ sha: z.string() }),
});
const rowSchema = z.object({ id: z.int(), user: z.object({ login: z.string() }), state: z.string() });
const commentSchema = z.object({ user: z.object({ login: z.string() }), body: z.string() });
const feedSchema = z.array(z.object({ op_type: z.string(), content: z.string() }));
const named = z.object({ id: z.int(), name: z.string() });
const EVENTS = { approved: 'APPROVED', 'changes-requested': 'REQUEST_CHANGES', comment: 'COMMENT' } as const;
const VERDICTS: readonly string[] = [EVENTS.approved, EVENTS['changes-requested']];
const ISSUE_COMMENTS = 50;

class RealStage implements Stage {
  readonly git: GitStore;
  readonly losesRaces = true;
  readonly #api: RealApi;
  readonly #org: string;
  readonly #tips = new Map<string, string>();
  /** Branches that the forge moves too, by merging into them. */
  readonly #bases = new Set(['main']);
  /** Commits that main was moved to and the log does not name yet. */
  readonly #unlogged = new Set<string>();
  readonly #heads = new Map<number, string>();
  readonly #drafts = new Map<string, number>();
  readonly #users = new Set<string>();
  readonly #forks = new Set<string>();

  constructor(api: RealApi, store: GitStore) {
    this.#api = api;
    this.git = store;
    this.#org = `ops-${api.mark}`;
  }

  get repo(): string {
    return `${this.#org}/${REPO}`;
  }

  login(name: string): string {
    return this.#api.login(name);
  }

  nameOf(login: string): string {
    return this.#api.nameOf(login);
  }

  identity(name: string) {
    return { name: this.login(name), email: `${this.login(name)}@example.test` };
  }

  async idOf(name: string): Promise<number> {
    const found = await this.#api.admin({ method: 'GET', path: `/users/${this.login(name)}` });
    return z.object({ id: z.int() }).parse(found).id;
  }

  seconds(): number {
    return Math.floor(Date.now() / 1000);
  }

  /** The organisation, its repository, people and their rights. */
  async furnish(): Promise<void> {
    const api = this.#api;
    await api.admin({ method: 'POST', path: '/orgs', body: { username: this.#org, visibility: 'private' } });
    const repo = { name: REPO, private: true, default_branch: 'main', auto_init: false };
    await api.admin({ method: 'POST', path: `/orgs/${this.#org}/repos`, body: repo });
    const team = { name: 'admins', permission: 'admin', includes_all_repositories: true, units: ['repo.code'] };
    await api.admin({ method: 'POST', path: `/orgs/${this.#org}/teams`, body: team });
    for (const [name, role] of Object.entries(PEOPLE)) await this.addUser(name, role);
    const files = new Map([['README.md', { mode: '100644', oid: this.git.writeBlob('ops\n') }]]);
    const [who, at] = [this.identity('owner1'), this.seconds()];
    const made = { author: who, committer: who, authoredAt: at, committedAt: at, message: 'first' };
    await this.push('owner1', 'main', this.git.writeCommit({ tree: this.git.writeTree(files), parents: [], ...made }));
    const all = [
      'merge_commits',
      'rebase',
      'rebase_explicit',
      'squash_merge',
      'fast_forward_only_merge',
      'manual_merge',
    ];
    await this.#patch(Object.fromEntries(all.map((style) => [`allow_${style}`, true])));
  }

  async clear(): Promise<void> {
    for (const repo of [...this.#forks, this.repo]) {
      await this.#api.admin({ method: 'DELETE', path: `/repos/${repo}` });
    }
    await this.#api.admin({ method: 'DELETE', path: `/orgs/${this.#org}` });
    for (const name of this.#users) {
      await this.#api.admin({ method: 'DELETE', path: `/admin/users/${this.login(name)}?purge=true` });
    }
  }

  async tip(branch: string): Promise<string | null> {
    if (!this.#bases.has(branch)) return this.#tips.get(branch) ?? null;
    const ref = `refs/heads/${branch}`;
    const unpacked = ['-c', 'fetch.unpackLimit=1000000', 'fetch', '--quiet', '--no-tags'];
    await this.#git([...unpacked, this.#remote('dev1', this.repo), `+${ref}:${ref}`]);
    return this.git.ref(ref);
  }

  async push(by: string, branch: string, commit: string, force = false): Promise<void> {
    const [repo, name] = await this.#place(branch);
    await this.#git(['push', '--quiet', this.#remote(by, repo), `${force ? '+' : ''}${commit}:refs/heads/${name}`]);
    if (branch === 'main') this.#unlogged.add(commit);
    const isNew = !this.#tips.has(branch);
    this.#tips.set(branch, commit);
    if (!isNew) return;
    // Until then nothing can be opened from it, or into it.
    const call = { method: 'GET', path: `/repos/${repo}/branches/${name}` };
    const known = async () => (await this.#api.told('boss', call)).status === 200;
    await until(`the forge knows the branch ${name}`, known, PATIENCE_MS);
  }

  async deleteBranch(by: string, branch: string): Promise<void> {
    await this.#ask(by, { method: 'DELETE', path: `/branches/${branch}` });
    this.#tips.delete(branch);
  }

  async open(by: string, { head, base, title }: { head: string; base: string; title: string }): Promise<number> {
    const [fork, branch] = head.includes(':') ? head.split(':') : [null, head];
    const from = fork == null ? branch : `${this.login(fork)}:${branch}`;
    const body = { head: from, base, title };
    const { number } = pullSchema.parse(await this.#ask(by, { method: 'POST', path: '/pulls', body }));
    this.#heads.set(number, head);
    this.#bases.add(base);
    return number;
  }

  async close(by: string, change: number): Promise<void> {
    await this.#ask(by, { method: 'PATCH', path: `/pulls/${change}`, body: { state: 'closed' } });
  }

  async retarget(by: string, change: number, base: string): Promise<void> {
    await this.#ask(by, { method: 'PATCH', path: `/pulls/${change}`, body: { base } });
    // The forge notes the time of events to the second: what comes next is to be later.
    const next = (Math.floor(Date.now() / 1000) + 1) * 1000;
    await until('the next second has begun', () => Date.now() >= next);
  }

  async review(by: string, change: number, verdict: Verdict, commit?: string): Promise<void> {
    const body = { event: EVENTS[verdict], body: 'seen', ...(commit === undefined ? {} : { commit_id: commit }) };
    await this.#ask(by, { method: 'POST', path: `/pulls/${change}/reviews`, body });
  }

  async comments(by: string, change: number, count: number): Promise<void> {
    for (let made = 1; made <= count; made += 1) {
      const body = { event: EVENTS.comment, body: `note ${made}` };
      await this.#ask(by, { method: 'POST', path: `/pulls/${change}/reviews`, body });
    }
  }

  async draft(by: string, change: number): Promise<void> {
    const body = { event: 'PENDING', body: 'not sent yet' };
    const path = `/pulls/${change}/reviews`;
    this.#drafts.set(`${by} ${change}`, rowSchema.parse(await this.#ask(by, { method: 'POST', path, body })).id);
  }

  async send(by: string, change: number, verdict: Verdict): Promise<void> {
    const path = `/pulls/${change}/reviews/${this.#drafts.get(`${by} ${change}`) ?? 'none'}`;
    await this.#ask(by, { method: 'POST', path, body: { event: EVENTS[verdict], body: 'sent' } });
  }

  async request(by: string, change: number, reviewer: string): Promise<void> {
    const body = { reviewers: [this.login(reviewer)] };
    await this.#ask(by, { method: 'POST', path: `/pulls/${change}/requested_reviewers`, body });
  }

  async dismiss(by: string, change: number, reviewer: string, undo = false): Promise<void> {
    const rows = z.array(rowSchema).parse(await this.#ask('boss', { method: 'GET', path: `/pulls/${change}/reviews` }));
    const own = rows.filter(({ user, state }) => user.login === this.login(reviewer) && VERDICTS.includes(state));
    const path = `/pulls/${change}/reviews/${own.at(-1)?.id ?? 'none'}/${undo ? 'undismissals' : 'dismissals'}`;
    await this.#ask(by, { method: 'POST', path, ...(undo ? {} : { body: { message: 'withdrawn' } }) });
  }

  async merge(by: string, change: number, style: MergeStyle): Promise<void> {
    await this.#merge(by, change, { Do: style });
    await this.untilMerged(change);
  }

  async mergeManually(by: string, change: number, commit: string): Promise<void> {
    await this.#merge(by, change, { Do: 'manually-merged', MergeCommitID: commit });
    await until(`change ${change} is merged`, async () => (await this.#pull(change)).merged, PATIENCE_MS);
  }

  async schedule(by: string, change: number): Promise<void> {
    await this.#merge(by, change, { Do: 'merge', merge_when_checks_succeed: true });
  }

  async untilMerged(change: number): Promise<void> {
    const merged = await until(
      `change ${change} is merged`,
      async () => {
        const pull = await this.#pull(change);
        return pull.merged ? pull : null;
      },
      PATIENCE_MS,
    );
    if (merged.merge_commit_sha != null) this.#unlogged.add(merged.merge_commit_sha);
  }

  async protect(rules: 'dismiss-stale' | 'one-approval' | 'off'): Promise<void> {
    const old = z.array(z.unknown()).parse(await this.#ask('boss', { method: 'GET', path: '/branch_protections' }));
    if (old.length > 0) await this.#ask('boss', { method: 'DELETE', path: '/branch_protections/main' });
    if (rules === 'off') return;
    const dismissing = { dismiss_stale_approvals: rules === 'dismiss-stale' };
    const body = { rule_name: 'main', enable_push: true, required_approvals: 1, ...dismissing };
    await this.#ask('boss', { method: 'POST', path: '/branch_protections', body });
  }

  autodetect(on: boolean): Promise<void> {
    return this.#patch({ autodetect_manual_merge: on });
  }

  async addUser(name: string, role: Permission): Promise<void> {
    await this.#api.addUser(name);
    this.#users.add(name);
    await this.permission(name, role);
  }

  /** The first one with all rights owns the organisation, others have them by the team. */
  async permission(name: string, role: Permission): Promise<void> {
    if (role === 'none') return;
    if (role !== 'owner') {
      const path = `/collaborators/${this.login(name)}`;
      await this.#ask('boss', { method: 'PUT', path, body: { permission: role } });
      return;
    }
    const path = `/orgs/${this.#org}/teams`;
    const teams = z.array(named).parse(await this.#api.admin({ method: 'GET', path }));
    const team = teams.find((each) => each.name === (name === 'owner1' ? 'Owners' : 'admins'));
    await this.#api.admin({ method: 'PUT', path: `/teams/${team?.id ?? 'none'}/members/${this.login(name)}` });
  }

  async deleteUser(name: string): Promise<void> {
    await this.#api.admin({ method: 'DELETE', path: `/admin/users/${this.login(name)}` });
    this.#users.delete(name);
  }

  /** One version was seen to answer 500 to every comment on a change, which is made all the same. */
  async comment(by: string, change: number, body: string): Promise<void> {
    await this.#api.told(by, { method: 'POST', path: `/repos/${this.repo}/issues/${change}/comments`, body: { body } });
    const made = async () => (await this.commentsOf(change)).some((each) => each.body === body);
    await until('the comment is there', made, PATIENCE_MS);
  }

  async commentsOf(change: number) {
    const path = `/issues/${change}/comments?limit=${ISSUE_COMMENTS}`;
    const rows = z.array(commentSchema).parse(await this.#ask('boss', { method: 'GET', path }));
    return rows.map(({ user, body }) => ({ by: this.nameOf(user.login), body }));
  }

  async statusesOf(commit: string): Promise<number> {
    const path = `/commits/${commit}/statuses`;
    return z.array(z.unknown()).parse(await this.#ask('boss', { method: 'GET', path })).length;
  }

  async rush(change: number): Promise<void> {
    const ready = async () => (await this.#pull(change)).mergeable;
    await until(`change ${change} can be merged`, ready, PATIENCE_MS);
  }

  async settle(change?: number): Promise<void> {
    if (change === undefined) return await this.#untilLogged();
    const head = this.#tips.get(this.#heads.get(change) ?? '');
    if (head === undefined || (await this.#pull(change)).state !== 'open') return;
    const path = `/git/refs/pull/${change}/head`;
    await until(
      `the forge knows the head of change ${change}`,
      async () => {
        const refs = await this.#ask('boss', { method: 'GET', path });
        return JSON.stringify(refs).includes(head);
      },
      PATIENCE_MS,
    );
  }

  async #untilLogged(): Promise<void> {
    for (let page = 1; this.#unlogged.size > 0; page += 1) {
      const path = `/activities/feeds?limit=50&page=${page}`;
      const rows = feedSchema.parse(await this.#ask('boss', { method: 'GET', path }));
      const pushes = rows.filter(({ op_type }) => op_type === 'commit_repo');
      for (const commit of this.#unlogged) {
        if (pushes.some(({ content }) => content.includes(commit))) this.#unlogged.delete(commit);
      }
      // At its end it is begun anew: what is missing is on its way.
      if (rows.length === 0) page = 0;
    }
  }

  /** While the forge looks whether it can be merged, it says so. */
  async #merge(by: string, change: number, body: object): Promise<void> {
    const call = { method: 'POST', path: `/repos/${this.repo}/pulls/${change}/merge`, body };
    const ask = async () => {
      const { status, body: said } = await this.#api.told(by, call);
      if (status < 300) return true;
      if (status === 405 && messageOf(said) === 'Please try again later') return false;
      throw new Error(`merging is refused: ${status} ${messageOf(said)}`);
    };
    await until(`change ${change} can be merged`, ask, PATIENCE_MS);
  }

  async #pull(change: number) {
    return pullSchema.parse(await this.#ask('boss', { method: 'GET', path: `/pulls/${change}` }));
  }

  #ask(name: string, call: { method: string; path: string; body?: object }): Promise<unknown> {
    return this.#api.as(name, { ...call, path: `/repos/${this.repo}${call.path}` });
  }

  async #patch(settings: object): Promise<void> {
    await this.#ask('boss', { method: 'PATCH', path: '', body: settings });
  }

  /** Repository and branch; a fork is made when it is first pushed to. */
  async #place(branch: string): Promise<readonly [repo: string, branch: string]> {
    const [fork, inFork] = branch.split(':');
    if (fork === undefined || inFork === undefined) return [this.repo, branch];
    const repo = `${this.login(fork)}/${REPO}`;
    if (!this.#forks.has(repo)) await this.#ask(fork, { method: 'POST', path: '/forks', body: {} });
    this.#forks.add(repo);
    return [repo, inFork];
  }

  #remote(by: string, repo: string): string {
    const { protocol, host } = new URL(this.#api.url);
    return `${protocol}//${this.login(by)}:${this.#api.token(by)}@${host}/${repo}.git`;
  }

  #git(args: readonly string[]): Promise<string> {
    return git(args, { GIT_DIR: this.git.dir });
  }
}
