import { commitsBetween } from './git-history.ts';
import { GitStore, type Identity } from './git-store.ts';
import { type Ground, IssueRepo } from './issue-repo.ts';
import {
  type FeedEntry,
  ForgeRefusal,
  type Permission,
  type Protection,
  type Pull,
  type Review,
  type Role,
  type Status,
  type User,
} from './records.ts';

export interface ForgeOptions {
  /** Empty folder for the bare repository. */
  readonly dir: string;
  /** Full name; its owner is an account that the forge falls back to. */
  readonly repo?: string;
  readonly branch?: string;
  /** Milliseconds since 1970. Default: one second later at every call, from 2026-01-01 on, so that ids stay the same. */
  readonly now?: () => number;
  /** A push that contains the head of an open pull merges it, in the name of whom its commit names as author. */
  readonly autodetectManualMerge?: boolean;
}

/** All that the forge remembers, and what every operation on it needs. */
export class ForgeState implements Ground {
  readonly store: GitStore;
  readonly repo: string;
  readonly branch: string;
  readonly owner: User;
  autodetectManualMerge: boolean;
  readonly users: User[] = [];
  readonly protections = new Map<string, Protection>();
  /** `login:branch` → commit. */
  readonly forks = new Map<string, string>();
  /** Where its own branches stood when the forge looked last: what has moved since was pushed by git itself. */
  readonly seen = new Map<string, string>();
  readonly pulls: Pull[] = [];
  readonly reviews: Review[] = [];
  readonly feed: FeedEntry[] = [];
  readonly statuses: Status[] = [];
  /** Issues, comments, events and rights of the repository. */
  readonly home: IssueRepo;
  /** Others, that have nothing but issues. */
  readonly issueRepos: IssueRepo[] = [];
  /** What real forges do some time later is kept back while it is set; `release()` of the forge lets it happen. */
  readonly hold = { tasks: false, feed: false, mapping: false };
  readonly #now: () => number;
  #nextId = 1;

  constructor(options: ForgeOptions) {
    const start = Date.parse('2026-01-01T00:00:00Z');
    let calls = 0;
    this.#now =
      options.now ??
      (() => {
        calls += 1;
        return start + calls * 1000;
      });
    this.repo = options.repo ?? 'ops/ops';
    this.branch = options.branch ?? 'main';
    this.autodetectManualMerge = options.autodetectManualMerge ?? false;
    this.store = new GitStore(options.dir, this.branch);
    this.home = new IssueRepo(this.repo, this, (number) => this.pulls.some((pull) => pull.number === number));
    this.owner = this.addUser(this.repo.split('/')[0] ?? 'ops', { id: 10 });
    this.roles.set(this.owner.id, 'owner');
  }

  get roles() {
    return this.home.roles;
  }

  get events() {
    return this.home.events;
  }

  get comments() {
    return this.home.comments;
  }

  /** Seconds since 1970. */
  seconds(): number {
    return Math.floor(this.#now() / 1000);
  }

  time(): string {
    return isoTime(this.seconds());
  }

  /** Ids grow over all kinds of things. */
  id(): number {
    return this.#nextId++;
  }

  /** Pulls and issues are counted together. */
  number(): number {
    return this.home.number();
  }

  addUser(login: string, more: { id?: number; isBot?: boolean; isSiteAdmin?: boolean; email?: string } = {}): User {
    const user: User = {
      id: more.id ?? Math.max(100, ...this.users.map(({ id }) => id)) + 1,
      login,
      email: more.email ?? `${login}@example.org`,
      isBot: more.isBot ?? false,
      isSiteAdmin: more.isSiteAdmin ?? false,
      createdAt: this.time(),
      gone: false,
    };
    this.users.push(user);
    return user;
  }

  /** The account of this name, in any case; throws a plain Error if there is none. */
  user(login: string): User {
    const found = this.findUser(login);
    if (found === null) throw new Error(`the fake forge has no user ${login}`);
    return found;
  }

  findUser(login: string): User | null {
    return this.users.find((user) => !user.gone && user.login.toLowerCase() === login.toLowerCase()) ?? null;
  }

  permission(user: User): Permission {
    return this.home.permission(user);
  }

  may(user: User, role: Role): boolean {
    return this.home.may(user, role);
  }

  pull(number: number): Pull {
    const found = this.pulls.find((pull) => pull.number === number);
    if (found === undefined) throw new ForgeRefusal('nothing-there');
    return found;
  }

  /** Where a branch stands: of the repository, or `login:branch` of a fork; null: there is none. */
  tip(branch: string): string | null {
    return branch.includes(':') ? (this.forks.get(branch) ?? null) : this.store.ref(`refs/heads/${branch}`);
  }

  move(branch: string, oid: string | null): void {
    if (!branch.includes(':')) {
      this.store.setRef(`refs/heads/${branch}`, oid);
      if (oid === null) this.seen.delete(branch);
      else this.seen.set(branch, oid);
    } else if (oid === null) this.forks.delete(branch);
    else this.forks.set(branch, oid);
  }

  /** Where the branch of a pull is now; null: it was deleted. */
  headTip(pull: Pull): string | null {
    return this.tip(branchOf(pull));
  }

  addEvent(...event: Parameters<IssueRepo['addEvent']>): number {
    return this.home.addEvent(...event);
  }

  addFeed(entry: Pick<FeedEntry, 'kind' | 'by' | 'pull' | 'push' | 'ref'>): void {
    this.feed.push({ ...entry, id: this.id(), at: this.time(), visible: !this.hold.feed });
  }

  /** The log's words for a push: the first one of a new branch has an empty entry before it, as seen. */
  addPushToFeed(by: User, branch: string, before: string | null, after: string): void {
    const ref = `refs/heads/${branch}`;
    const from = before ?? (branch === this.branch ? null : this.tip(this.branch));
    const commits = commitsBetween(this.store, from, after).map(({ oid }) => oid);
    if (before === null) this.addFeed({ kind: 'push', by, pull: null, push: null, ref });
    this.addFeed({ kind: 'push', by, pull: null, push: { before: from ?? '0'.repeat(40), after, commits }, ref });
  }
}

export function branchOf({ head }: Pull): string {
  return head.fork === null ? head.branch : `${head.fork}:${head.branch}`;
}

export function identityOf({ login, email }: User): Identity {
  return { name: login, email };
}

export function isoTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}
