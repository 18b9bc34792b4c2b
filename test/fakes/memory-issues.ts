import { IssueRepo } from '../../src/cli/demo-forge/issue-repo.ts';
import type { Issue as Kept, Permission, User } from '../../src/cli/demo-forge/records.ts';
import type { Account } from '../../src/domain/change.ts';
import type { Check } from '../../src/domain/check.ts';
import type { Issue, IssueComment } from '../../src/domain/issue.ts';
import { type EdgeError, StalledError, TransientError } from '../../src/errors.ts';
import type { IssueTracker } from '../../src/ports/issues.ts';

/** Of a text that is read; beyond it, it reads as empty. */
const LONGEST = 512 * 1024;

interface Setting {
  readonly repo?: string;
  /** Milliseconds since 1970. Default: one second later at every call, from 2026-01-01 on. */
  readonly now?: () => number;
  /** Rights by login. `edge-bot` may write anyway. */
  readonly people?: Readonly<Record<string, Permission>>;
}

/**
 * The issues of a forge in memory, without HTTP. What people do there is done by `forge` (open, close, label, comment,
 * …), as on the fake forge; `calls` are what was asked of it.
 */
export class MemoryIssues implements IssueTracker {
  readonly repo: string;
  readonly forge: IssueRepo;
  /** `changedSince 2026-…`, `issue 3`. */
  readonly calls: string[] = [];
  /** The forge can't be reached. */
  away = false;
  /** What every call throws, if anything. */
  failure: EdgeError | null = null;
  readonly #users: User[] = [];
  readonly #time: () => string;
  #lastId = 0;

  constructor({ repo = 'ops/code', now, people = {} }: Setting = {}) {
    this.repo = repo;
    let ticks = 0;
    const ticking = () => Date.parse('2026-01-01T00:00:00Z') + (ticks += 1) * 1000;
    this.#time = () => new Date((now ?? ticking)()).toISOString().replace(/\.\d+Z$/, 'Z');
    this.forge = new IssueRepo(repo, {
      users: this.#users,
      user: (login) => this.user(login),
      time: this.#time,
      id: () => (this.#lastId += 1),
    });
    for (const [login, role] of Object.entries({ 'edge-bot': 'write', ...people } as const)) this.addUser(login, role);
  }

  addUser(login: string, role: Permission = 'none'): Account {
    const more = { email: `${login}@example.org`, isBot: false, isSiteAdmin: false, gone: false };
    const user: User = { id: 100 + this.#users.length, login, createdAt: this.#time(), ...more };
    this.#users.push(user);
    this.forge.setRole(login, role);
    return this.account(login);
  }

  deleteUser(login: string): void {
    this.user(login).gone = true;
  }

  /** Throws where there is nobody of this name. */
  user(login: string): User {
    const found = this.#users.find((user) => user.login === login);
    if (found === undefined) throw new Error(`the issues know no ${login}`);
    return found;
  }

  account(login: string): Account {
    return accountOf(this.user(login));
  }

  async check(): Promise<readonly Check[]> {
    const line = { name: 'forge.memory.issues', message: `the issues of ${this.repo}` };
    if (this.away) return [{ ...line, ok: false, code: 'ERR_FORGE_UNAVAILABLE', fix: 'Wait for it.' }];
    return [{ ...line, ok: true, code: null, fix: null }];
  }

  async changedSince(since: string | null): Promise<readonly Issue[]> {
    this.#called(`changedSince ${since ?? 'ever'}`);
    const from = since === null ? Number.NEGATIVE_INFINITY : Date.parse(since);
    const found = this.forge.issues.filter(({ isChange, updatedAt }) => !isChange && Date.parse(updatedAt) >= from);
    return found.map((issue) => this.#toIssue(issue)).toSorted((a, b) => a.number - b.number);
  }

  async issue(number: number): Promise<Issue | null> {
    this.#called(`issue ${number}`);
    const found = this.#find(number);
    return found === undefined ? null : this.#toIssue(found);
  }

  async comments(number: number): Promise<readonly IssueComment[]> {
    this.#called(`comments ${number}`);
    const own = this.forge.comments.filter((comment) => comment.number === number);
    return own.map(({ id, by, body }) => ({ id, author: accountOf(by), body: readable(body) }));
  }

  async labelledBy(number: number): Promise<ReadonlyMap<string, Account>> {
    this.#called(`labelledBy ${number}`);
    const events = this.forge.events.filter(({ pull }) => pull === number);
    const setters = (this.#find(number)?.labels ?? []).flatMap((label) => {
      const last = events.findLast((event) => event.label?.label === label);
      return last?.label?.isAdded === true ? [[label.name, accountOf(last.by)] as const] : [];
    });
    return new Map(setters);
  }

  async mayWrite({ id, login }: Account): Promise<boolean> {
    this.#called(`mayWrite ${login}`);
    const found = this.#users.find((user) => user.id === id && user.login === login);
    return found !== undefined && this.forge.may(found, 'write');
  }

  async self(): Promise<Account> {
    this.#called('self');
    return this.account('edge-bot');
  }

  async comment(issue: number, marker: string, text: string): Promise<void> {
    this.#called(`comment ${issue}`);
    if (this.#find(issue) === undefined) {
      throw new StalledError('ERR_FORGE_DENIED', `the forge: there is no issue ${issue} in ${this.repo}`);
    }
    const body = text.includes(marker) ? text : `${marker}\n${text}`;
    const bot = this.user('edge-bot');
    const ours = this.forge.comments.find(
      (each) => each.number === issue && each.by === bot && each.body.includes(marker),
    );
    if (ours === undefined) this.forge.comment('edge-bot', issue, body);
    else if (ours.body !== body) this.forge.editComment('edge-bot', ours.id, body);
  }

  #called(call: string): void {
    this.calls.push(call);
    if (this.failure !== null) throw this.failure;
    if (this.away) throw new TransientError('ERR_FORGE_UNAVAILABLE', 'the forge: it can not be reached');
  }

  #find(number: number): Kept | undefined {
    return this.forge.issues.find((issue) => issue.number === number && !issue.isChange);
  }

  #toIssue({ number, title, body, author, labels, state, updatedAt }: Kept): Issue {
    const url = `https://forge.example/${this.repo}/issues/${number}`;
    const names = labels.map(({ name }) => name);
    return { number, url, title, body: readable(body), author: accountOf(author), labels: names, state, updatedAt };
  }
}

function accountOf({ id, login, isBot, gone }: User): Account {
  return gone ? { id: null, login: 'Ghost', isBot: false } : { id, login, isBot };
}

const readable = (text: string): string => (Buffer.byteLength(text) > LONGEST ? '' : text);
