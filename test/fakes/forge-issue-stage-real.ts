import { z } from 'zod';
import { SecretText } from '../../src/domain/secret-text.ts';
import type { IssueStage, OpenIssueStage } from './forge-issue-stage.ts';
import { PEOPLE } from './forge-stage.ts';
import { RealApi } from './forge-stage-real-api.ts';
import { until } from './until.ts';

const REPO = 'code';
const UNITS = ['repo.code', 'repo.issues', 'repo.pulls'];
const named = z.object({ id: z.int(), name: z.string() });
const numbered = z.object({ number: z.int() });
const commentSchema = z.object({ user: z.object({ login: z.string() }), body: z.string() });

/** A repository of its own, with people of its own, on a Forgejo that is there already. All gone after `close`. */
export async function openRealIssueStage(url: string, adminToken: string): Promise<OpenIssueStage> {
  const api = new RealApi(url, adminToken);
  await api.start();
  const stage = new RealIssueStage(api);
  await stage.furnish();
  return {
    stage,
    options: (as) => ({
      url: api.url,
      repo: stage.repo,
      token: new SecretText(api.token(as, as === 'edge-bot' ? 'bot' : 'all')),
      adminToken: new SecretText(api.token('owner1', 'permissions')),
      caFile: null,
      branch: 'main',
    }),
    close: () => stage.clear(),
  };
}

class RealIssueStage implements IssueStage {
  readonly #api: RealApi;
  readonly #org: string;
  readonly #users = new Set<string>();
  readonly #labels = new Map<string, number>();
  #readers = 0;

  constructor(api: RealApi) {
    this.#api = api;
    this.#org = `ops-${api.mark}`;
  }

  get repo(): string {
    return `${this.#org}/${REPO}`;
  }

  async furnish(): Promise<void> {
    const api = this.#api;
    await api.admin({ method: 'POST', path: '/orgs', body: { username: this.#org, visibility: 'private' } });
    const body = { name: REPO, private: true, auto_init: true, default_branch: 'main' };
    await api.admin({ method: 'POST', path: `/orgs/${this.#org}/repos`, body });
    await this.#team('admins', 'admin');
    for (const [name, role] of Object.entries(PEOPLE)) {
      await this.#addUser(name);
      if (role === 'owner') await this.#join(name === 'owner1' ? 'Owners' : 'admins', name);
      else if (role !== 'none') await this.#collaborator(name, role);
    }
  }

  async clear(): Promise<void> {
    const api = this.#api;
    await api.admin({ method: 'DELETE', path: `/repos/${this.repo}` });
    await api.admin({ method: 'DELETE', path: `/orgs/${this.#org}` });
    for (const name of this.#users) {
      await api.admin({ method: 'DELETE', path: `/admin/users/${this.login(name)}?purge=true` });
    }
  }

  login(name: string): string {
    return this.#api.login(name);
  }

  async idOf(name: string): Promise<number> {
    const found = await this.#api.admin({ method: 'GET', path: `/users/${this.login(name)}` });
    return z.object({ id: z.int() }).parse(found).id;
  }

  async open(by: string, issue: { title: string; body?: string; labels?: readonly string[] }): Promise<number> {
    const { labels = [], ...text } = issue;
    const ids: number[] = [];
    for (const name of labels) ids.push(await this.#labelId(name));
    const made = await this.#ask(by, { method: 'POST', path: '/issues', body: { ...text, labels: ids } });
    return numbered.parse(made).number;
  }

  async openChange(by: string, title: string): Promise<number> {
    const branch = `change-${title.replaceAll(/\W/g, '-')}`;
    const file = { content: Buffer.from(title).toString('base64'), message: title, new_branch: branch };
    await this.#ask(by, { method: 'POST', path: `/contents/${branch}.txt`, body: file });
    const body = { title, head: branch, base: 'main' };
    return numbered.parse(await this.#ask(by, { method: 'POST', path: '/pulls', body })).number;
  }

  close(by: string, issue: number): Promise<void> {
    return this.#patch(by, issue, { state: 'closed' });
  }

  reopen(by: string, issue: number): Promise<void> {
    return this.#patch(by, issue, { state: 'open' });
  }

  edit(by: string, issue: number, changes: { title?: string; body?: string }): Promise<void> {
    return this.#patch(by, issue, changes);
  }

  async label(by: string, issue: number, name: string): Promise<void> {
    const body = { labels: [await this.#labelId(name)] };
    await this.#ask(by, { method: 'POST', path: `/issues/${issue}/labels`, body });
  }

  async unlabel(by: string, issue: number, name: string): Promise<void> {
    await this.#ask(by, { method: 'DELETE', path: `/issues/${issue}/labels/${await this.#labelId(name)}` });
  }

  async renameLabel(from: string, to: string): Promise<void> {
    const id = await this.#labelId(from);
    await this.#ask('boss', { method: 'PATCH', path: `/labels/${id}`, body: { name: to } });
    this.#labels.delete(from);
    this.#labels.set(to, id);
  }

  async comment(by: string, issue: number, body: string): Promise<void> {
    await this.#ask(by, { method: 'POST', path: `/issues/${issue}/comments`, body: { body } });
  }

  async commentsOf(issue: number) {
    const found = await this.#ask('boss', { method: 'GET', path: `/issues/${issue}/comments` });
    const rows = z.array(commentSchema).parse(found);
    return rows.map(({ user, body }) => ({ by: this.#api.nameOf(user.login), body }));
  }

  async remove(issue: number): Promise<void> {
    await this.#ask('boss', { method: 'DELETE', path: `/issues/${issue}` });
  }

  async addWriter(name: string): Promise<void> {
    await this.#addUser(name);
    await this.#collaborator(name, 'write');
  }

  async deleteUser(name: string): Promise<void> {
    await this.#api.admin({ method: 'DELETE', path: `/admin/users/${this.login(name)}` });
    this.#users.delete(name);
  }

  async joinReadingTeam(name: string): Promise<void> {
    this.#readers = await this.#team('readers', 'read');
    await this.#api.admin({ method: 'PUT', path: `/teams/${this.#readers}/members/${this.login(name)}` });
  }

  async leaveReadingTeam(): Promise<void> {
    await this.#api.admin({ method: 'DELETE', path: `/teams/${this.#readers}` });
  }

  /** The forge notes times to the second. */
  async later(): Promise<void> {
    const next = (Math.floor(Date.now() / 1000) + 1) * 1000;
    await until('the next second has begun', () => Date.now() >= next);
  }

  async #addUser(name: string): Promise<void> {
    await this.#api.addUser(name);
    this.#users.add(name);
  }

  async #collaborator(name: string, permission: string): Promise<void> {
    await this.#ask('boss', { method: 'PUT', path: `/collaborators/${this.login(name)}`, body: { permission } });
  }

  async #team(name: string, permission: string): Promise<number> {
    const body = { name, permission, units: UNITS, includes_all_repositories: true };
    return named.parse(await this.#api.admin({ method: 'POST', path: `/orgs/${this.#org}/teams`, body })).id;
  }

  async #join(team: string, name: string): Promise<void> {
    const teams = z
      .array(named)
      .parse(await this.#api.admin({ method: 'GET', path: `/orgs/${this.#org}/teams` }))
      .filter((each) => each.name === team);
    await this.#api.admin({ method: 'PUT', path: `/teams/${teams[0]?.id ?? 'none'}/members/${this.login(name)}` });
  }

  async #labelId(name: string): Promise<number> {
    const known = this.#labels.get(name);
    if (known !== undefined) return known;
    const made = await this.#ask('boss', { method: 'POST', path: '/labels', body: { name, color: '#ee0701' } });
    const { id } = named.parse(made);
    this.#labels.set(name, id);
    return id;
  }

  async #patch(by: string, issue: number, body: object): Promise<void> {
    await this.#ask(by, { method: 'PATCH', path: `/issues/${issue}`, body });
  }

  #ask(name: string, call: { method: string; path: string; body?: object }): Promise<unknown> {
    return this.#api.as(name, { ...call, path: `/repos/${this.repo}${call.path}` });
  }
}
