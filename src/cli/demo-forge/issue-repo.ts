import {
  type Comment,
  ForgeRefusal,
  type Issue,
  type Label,
  type Permission,
  type Role,
  type TimelineEvent,
  type User,
} from './records.ts';

/** What a repository needs of the forge that it lies on. */
export interface Ground {
  /** Throws where there is nobody of this name. */
  user(login: string): User;
  readonly users: readonly User[];
  /** Now, in ISO 8601. */
  time(): string;
  /** Ids grow over all kinds of things. */
  id(): number;
}

export interface IssueInput {
  readonly title: string;
  readonly body?: string;
  /** Names; they are made where they are missing. Dropped without a word where the author may not write. */
  readonly labels?: readonly string[];
}

const ORDER: readonly Permission[] = ['none', 'read', 'write', 'admin', 'owner'];

/**
 * The issues of one repository, with its own rights, labels, comments and log of events. `updatedAt` moves as on a live
 * Forgejo: with labels, comments made or deleted, title, text and state; not with an edited comment, nor when a label is
 * renamed or deleted. People are named by login, issues by number; what the forge refuses throws ForgeRefusal.
 */
export class IssueRepo {
  /** `owner/name` */
  readonly name: string;
  readonly roles = new Map<number, Permission>();
  readonly issues: Issue[] = [];
  readonly comments: Comment[] = [];
  /** Of changes, too. */
  readonly events: TimelineEvent[] = [];
  readonly labels: Label[] = [];
  /** Members of a team that may only read: the forge lists them with those who can be assigned. */
  readonly readingTeam: User[] = [];
  hasIssues = true;
  readonly #ground: Ground;
  readonly #isChange: (number: number) => boolean;
  #nextNumber = 1;

  /** `isChange`: whether this is the number of a change, which can be commented on like an issue. */
  constructor(name: string, ground: Ground, isChange: (number: number) => boolean = () => false) {
    this.name = name;
    this.#ground = ground;
    this.#isChange = isChange;
  }

  // People

  setRole(login: string, role: Permission): void {
    this.roles.set(this.#ground.user(login).id, role);
  }

  addToReadingTeam(login: string): void {
    const user = this.#ground.user(login);
    this.readingTeam.push(user);
    if (!this.may(user, 'read')) this.roles.set(user.id, 'read');
  }

  permission(user: User): Permission {
    if (user.gone) return 'none';
    return user.isSiteAdmin ? 'owner' : (this.roles.get(user.id) ?? 'none');
  }

  may(user: User, role: Role): boolean {
    return ORDER.indexOf(this.permission(user)) >= ORDER.indexOf(role);
  }

  /** Who can be assigned, as the forge lists them: administrators of the site only where they have a right of their own. */
  assignees(): readonly User[] {
    const writes = ({ id }: User) => ORDER.indexOf(this.roles.get(id) ?? 'none') >= ORDER.indexOf('write');
    return this.#ground.users.filter((user) => !user.gone && (writes(user) || this.readingTeam.includes(user)));
  }

  // Issues

  /** Changes and issues are counted together. */
  number(): number {
    return this.#nextNumber++;
  }

  open(login: string, { title, body = '', labels = [] }: IssueInput): Issue {
    const author = this.#allowed(login, 'read');
    const at = this.#ground.time();
    const numbers = { id: this.#ground.id(), number: this.number() };
    const issue: Issue = {
      ...numbers,
      author,
      title,
      body,
      labels: [],
      state: 'open',
      isChange: false,
      createdAt: at,
      updatedAt: at,
    };
    this.issues.push(issue);
    if (this.may(author, 'write')) for (const name of labels) this.#setLabel(author, issue, this.#labelOf(name));
    return issue;
  }

  /** A change in nothing but its name: the forge lists it with the issues. */
  openChange(login: string, title: string): Issue {
    const made = this.open(login, { title });
    made.isChange = true;
    return made;
  }

  /** Throws where there is none. */
  issue(number: number): Issue {
    const found = this.issues.find((issue) => issue.number === number);
    if (found === undefined) throw new ForgeRefusal('nothing-there');
    return found;
  }

  close(login: string, number: number): void {
    this.#setState(login, number, 'closed');
  }

  reopen(login: string, number: number): void {
    this.#setState(login, number, 'open');
  }

  /** By its author, or whoever may write. */
  edit(login: string, number: number, changes: { readonly title?: string; readonly body?: string }): void {
    const [by, issue] = [this.#ground.user(login), this.issue(number)];
    if (by !== issue.author) this.#allowed(login, 'write');
    if (changes.title !== undefined && changes.title !== issue.title) {
      this.addEvent({ kind: 'title', pull: number, by });
    }
    Object.assign(issue, changes);
    this.#touch(issue);
  }

  /** With its comments and events. */
  remove(number: number): void {
    this.issues.splice(this.issues.indexOf(this.issue(number)), 1);
    keep(this.comments, (comment) => comment.number !== number);
    keep(this.events, ({ pull }) => pull !== number);
  }

  // Labels

  /** Makes the label where it is missing. Nothing happens where the issue has it already. */
  label(login: string, number: number, name: string): void {
    this.#setLabel(this.#allowed(login, 'write'), this.issue(number), this.#labelOf(name));
  }

  unlabel(login: string, number: number, name: string): void {
    const [by, issue] = [this.#allowed(login, 'write'), this.issue(number)];
    const label = issue.labels.find((each) => each.name === name);
    if (label === undefined) return;
    issue.labels.splice(issue.labels.indexOf(label), 1);
    this.addEvent({ kind: 'label', pull: number, by, label: { label, name, isAdded: false } });
    this.#touch(issue);
  }

  renameLabel(from: string, to: string): void {
    const found = this.labels.find(({ name }) => name === from);
    if (found === undefined) throw new ForgeRefusal('nothing-there');
    found.name = to;
  }

  /** Takes it from all issues; its events go as well. */
  deleteLabel(name: string): void {
    const isIt = (label: Label) => label.name === name;
    keep(this.events, ({ label }) => label === null || !isIt(label.label));
    for (const { labels } of this.issues) keep(labels, (label) => !isIt(label));
    keep(this.labels, (label) => !isIt(label));
  }

  // Talk

  comment(login: string, number: number, body: string): Comment {
    const by = this.#allowed(login, 'read');
    if (!this.#isChange(number)) this.issue(number);
    // A comment is a line of the timeline, so both have one id.
    const id = this.addEvent({ kind: 'comment', pull: number, by, body });
    const at = this.#ground.time();
    const comment: Comment = { id, number, by, body, createdAt: at, updatedAt: at };
    this.comments.push(comment);
    this.#touchAt(number, at);
    return comment;
  }

  editComment(login: string, id: number, body: string): Comment {
    const by = this.#ground.user(login);
    const comment = this.#comment(id);
    if (comment.by !== by && !this.may(by, 'admin')) throw new ForgeRefusal('no-repo-admin');
    const event = this.events.find((each) => each.id === id);
    if (event !== undefined) event.body = body;
    return Object.assign(comment, { body, updatedAt: this.#ground.time() });
  }

  deleteComment(id: number): void {
    const { number } = this.#comment(id);
    keep(this.comments, (comment) => comment.id !== id);
    keep(this.events, (event) => event.id !== id);
    this.#touchAt(number, this.#ground.time());
  }

  addEvent(event: Pick<TimelineEvent, 'kind' | 'pull' | 'by'> & Partial<TimelineEvent>): number {
    const id = this.#ground.id();
    this.events.push({ at: this.#ground.time(), body: '', push: null, review: 0, label: null, ...event, id });
    return id;
  }

  #allowed(login: string, role: Role): User {
    const user = this.#ground.user(login);
    if (!this.may(user, 'read')) throw new ForgeRefusal('no-access');
    if (!this.may(user, role)) throw new ForgeRefusal('no-push');
    return user;
  }

  #comment(id: number): Comment {
    const found = this.comments.find((comment) => comment.id === id);
    if (found === undefined) throw new ForgeRefusal('nothing-there');
    return found;
  }

  #labelOf(name: string): Label {
    const found = this.labels.find((label) => label.name === name);
    if (found !== undefined) return found;
    const made = { id: this.#ground.id(), name };
    this.labels.push(made);
    return made;
  }

  #setLabel(by: User, issue: Issue, label: Label): void {
    if (issue.labels.includes(label)) return;
    issue.labels.push(label);
    this.addEvent({ kind: 'label', pull: issue.number, by, label: { label, name: label.name, isAdded: true } });
    this.#touch(issue);
  }

  #setState(login: string, number: number, state: Issue['state']): void {
    const [by, issue] = [this.#ground.user(login), this.issue(number)];
    if (by !== issue.author) this.#allowed(login, 'write');
    if (issue.state === state) return;
    issue.state = state;
    this.addEvent({ kind: state === 'open' ? 'reopen' : 'close', pull: number, by });
    this.#touch(issue);
  }

  #touch(issue: Issue): void {
    issue.updatedAt = this.#ground.time();
  }

  #touchAt(number: number, at: string): void {
    const issue = this.issues.find((each) => each.number === number);
    if (issue !== undefined) issue.updatedAt = at;
  }
}

function keep<T>(list: T[], fits: (item: T) => boolean): void {
  list.splice(0, list.length, ...list.filter(fits));
}
