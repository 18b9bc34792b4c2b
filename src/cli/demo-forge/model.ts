import {
  addPull,
  closePull,
  type MergeOptions,
  mergeManually,
  mergePull,
  type PullInput,
  retargetPull,
  runScheduled,
  scheduleMerge,
} from './changing.ts';
import { type IssueInput, IssueRepo } from './issue-repo.ts';
import { landed, lookAgain, makeCommit, pushCommit } from './pushing.ts';
import {
  type Comment,
  type CommitInput,
  ForgeRefusal,
  type Issue,
  type MergeStyle,
  type Permission,
  type Protection,
  type Pull,
  type Review,
  type Status,
  type User,
} from './records.ts';
import {
  addDraft,
  addRequest,
  addReview,
  type ReviewInput,
  removeReview,
  sendDraft,
  setDismissed,
} from './reviewing.ts';
import { type ForgeOptions, ForgeState } from './state.ts';
import { addStatus, type StatusInput } from './talking.ts';

/**
 * A forge with one repository, as far as approvals go, and others that have issues only: it behaves as a live Forgejo was seen to, over a real bare git
 * repository. People are named by login, changes by number, branches of a fork as `login:branch`. Operations that the
 * forge refuses throw ForgeRefusal. `state` is what a dialect answers from.
 */
export class DemoForge {
  readonly state: ForgeState;
  /** Who is taken for the pusher of what arrived by git itself; null: nobody is told. */
  #servicePusher: User | null = null;

  constructor(options: ForgeOptions) {
    this.state = new ForgeState(options);
  }

  /** The bare repository. */
  get dir(): string {
    return this.state.store.dir;
  }

  // People

  addUser(
    login: string,
    more: { id?: number; role?: Permission; isBot?: boolean; isSiteAdmin?: boolean; email?: string } = {},
  ): User {
    const user = this.state.addUser(login, more);
    if (more.role !== undefined) this.state.roles.set(user.id, more.role);
    return user;
  }

  /** `owner` is also what administrators by a team and owners of the organisation are. */
  setPermission(login: string, role: Permission): void {
    this.state.roles.set(this.state.user(login).id, role);
  }

  /** What the account did stays, under the name of a ghost; its lines in the log of events go. */
  deleteUser(login: string): void {
    const user = this.state.user(login);
    user.gone = true;
    const kept = this.state.feed.filter(({ by }) => by !== user);
    this.state.feed.splice(0, this.state.feed.length, ...kept);
  }

  /** Whoever pushes by git itself (the dispatcher) is this account. */
  servePushesOf(login: string): void {
    this.#servicePusher = this.state.user(login);
    this.notice();
  }

  protect(branch: string, protection: Protection): void {
    this.state.protections.set(branch, protection);
  }

  // Git

  tip(branch: string = this.state.branch): string {
    const tip = this.state.tip(branch);
    if (tip === null) throw new Error(`the fake forge has no branch ${branch}`);
    return tip;
  }

  /** Makes a commit that is on no branch; `branch` says where its parent is looked for. */
  commit(login: string, branch: string, input: CommitInput): string {
    this.notice();
    return makeCommit(this.state, this.state.user(login), branch, input);
  }

  /** One commit on top of the branch (made from the default branch if it is new), pushed. Answers its id. */
  push(login: string, branch: string, input: CommitInput & { readonly force?: boolean } = {}): string {
    const commit = this.commit(login, branch, input);
    this.pushCommit(login, branch, commit, input.force);
    return commit;
  }

  /** Moves the branch to a commit that exists. */
  pushCommit(login: string, branch: string, commit: string, force = false): void {
    this.notice();
    pushCommit(this.state, this.state.user(login), branch, { commit, force });
  }

  /** A push to the default branch, without any change. */
  directPush(login: string, input: CommitInput & { readonly force?: boolean }): string {
    return this.push(login, this.state.branch, input);
  }

  deleteBranch(branch: string): void {
    this.state.move(branch, null);
  }

  // Changes

  openPull(login: string, input: PullInput): Pull {
    this.notice();
    return addPull(this.state, this.state.user(login), input);
  }

  closePull(login: string, number: number): void {
    closePull(this.state, this.state.user(login), this.state.pull(number));
  }

  /** Moves it to another base branch. */
  retarget(login: string, number: number, base: string): void {
    this.notice();
    retargetPull(this.state, this.state.user(login), this.state.pull(number), base);
  }

  /** Answers the merge commit. */
  merge(login: string, number: number, style: MergeStyle = 'merge', options: MergeOptions = {}): string {
    this.notice();
    return mergePull(this.state, this.state.user(login), this.state.pull(number), { ...options, style });
  }

  /** Marks it as merged by a commit that is on the base branch already. */
  mergeManually(login: string, number: number, commit: string): void {
    this.notice();
    mergeManually(this.state, this.state.user(login), this.state.pull(number), commit);
  }

  /** It is merged by itself, in the name of who scheduled it, with the next review or status that lets it. */
  scheduleMerge(login: string, number: number, style: MergeStyle = 'merge'): void {
    scheduleMerge(this.state, this.state.user(login), this.state.pull(number), style);
  }

  // Reviews

  review(login: string, number: number, input: ReviewInput): Review {
    this.notice();
    const review = addReview(this.state, this.state.user(login), this.state.pull(number), input);
    runScheduled(this.state, this.state.pull(number));
    return review;
  }

  draft(login: string, number: number, body = ''): Review {
    this.notice();
    return addDraft(this.state, this.state.user(login), this.state.pull(number), body);
  }

  submitDraft(id: number, input: ReviewInput): Review {
    this.notice();
    return sendDraft(this.state, this.#review(id), input);
  }

  requestReview(login: string, number: number, reviewer: string): Review {
    return addRequest(this.state, this.state.user(login), this.state.pull(number), this.state.user(reviewer));
  }

  dismiss(login: string, id: number): void {
    setDismissed(this.state, this.state.user(login), this.#review(id), true);
  }

  undismiss(login: string, id: number): void {
    setDismissed(this.state, this.state.user(login), this.#review(id), false);
  }

  deleteReview(login: string, id: number): void {
    removeReview(this.state, this.state.user(login), this.#review(id));
  }

  #review(id: number): Review {
    const found = this.state.reviews.find((review) => review.id === id);
    if (found === undefined) throw new ForgeRefusal('nothing-there');
    return found;
  }

  // Talk

  comment(login: string, number: number, body: string): Comment {
    return this.state.home.comment(login, number, body);
  }

  editComment(login: string, id: number, body: string): Comment {
    return this.state.home.editComment(login, id, body);
  }

  /** `state` is any string, as on the real one. */
  setStatus(login: string, commit: string, status: StatusInput): Status {
    const set = addStatus(this.state, this.state.user(login), commit, status);
    for (const pull of this.state.pulls) if (pull.knownHead === commit) runScheduled(this.state, pull);
    return set;
  }

  /** More of its own issues is done by `state.home`. */
  openIssue(login: string, input: IssueInput): Issue {
    return this.state.home.open(login, input);
  }

  /** One more repository on this forge, `owner/name`, with nothing but issues and with rights of its own. */
  addIssueRepo(name: string, roles: Readonly<Record<string, Permission>> = {}): IssueRepo {
    const made = new IssueRepo(name, this.state);
    for (const [login, role] of Object.entries(roles)) made.setRole(login, role);
    this.state.issueRepos.push(made);
    return made;
  }

  // What happens by itself

  /** Lets happen what was held back. What merged meanwhile keeps the head and the flags that it had. */
  release(): void {
    Object.assign(this.state.hold, { tasks: false, feed: false, mapping: false });
    for (const entry of this.state.feed) entry.visible = true;
    for (const { merge } of this.state.pulls) if (merge !== null) merge.mapped = true;
    for (const pull of this.state.pulls) lookAgain(this.state, pull);
  }

  /** Sees what was pushed by git itself since; called before every operation and answer. */
  notice(): void {
    const { state } = this;
    for (const branch of state.store.branches()) {
      const [before, after] = [state.seen.get(branch) ?? null, state.tip(branch)];
      if (after === null || after === before) continue;
      state.seen.set(branch, after);
      if (this.#servicePusher !== null) landed(state, this.#servicePusher, branch, { before, after });
      else for (const pull of state.pulls) lookAgain(state, pull);
    }
  }
}
