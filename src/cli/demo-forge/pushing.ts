import { fileChanges, isAncestor, mergeBase, mergeFiles } from './git-history.ts';
import type { Files } from './git-store.ts';
import { type CommitInput, ForgeRefusal, type Pull, type User } from './records.ts';
import { branchOf, type ForgeState, identityOf } from './state.ts';

/** Makes a commit that no branch holds yet. Answers its id. */
export function makeCommit(state: ForgeState, user: User, branch: string, input: CommitInput): string {
  const { store } = state;
  const parents = input.parents ?? parentsOn(state, branch);
  const files = new Map(filesOf(state, parents));
  for (const [path, content] of Object.entries(input.files ?? {})) {
    if (content === null) files.delete(path);
    else files.set(path, { mode: '100644', oid: store.writeBlob(content) });
  }
  const author = input.author ?? identityOf(user);
  const trailers = (input.coAuthors ?? []).map(({ name, email }) => `Co-authored-by: ${name} <${email}>`);
  const message = input.message ?? `change ${Object.keys(input.files ?? {}).join(', ')}`;
  const at = state.seconds();
  const spec = { author, authoredAt: at, committer: input.committer ?? author, committedAt: at };
  const text = trailers.length === 0 ? message : `${message}\n\n${trailers.join('\n')}`;
  return store.writeCommit({ tree: store.writeTree(files), parents, ...spec, message: text }, input.signKey);
}

function parentsOn(state: ForgeState, branch: string): readonly string[] {
  const tip = state.tip(branch) ?? state.tip(state.branch);
  return tip === null ? [] : [tip];
}

function filesOf({ store }: ForgeState, parents: readonly string[]): Files {
  const [first, second] = parents;
  if (first === undefined) return new Map();
  if (second === undefined) return store.files(first);
  const base = mergeBase(store, first, second);
  const merged = mergeFiles(base === null ? new Map() : store.files(base), store.files(first), store.files(second));
  return merged ?? store.files(first);
}

/** Moves a branch as a push does: rights, log, pulls from and into it. */
export function pushCommit(
  state: ForgeState,
  user: User,
  branch: string,
  { commit, force }: { readonly commit: string; readonly force: boolean },
): void {
  const before = state.tip(branch);
  checkPush(state, user, branch, before !== null && !isAncestor(state.store, before, commit) ? force : null);
  state.move(branch, commit);
  landed(state, user, branch, { before, after: commit });
}

/** `forced`: null: no force is needed. */
function checkPush(state: ForgeState, user: User, branch: string, forced: boolean | null): void {
  const [fork] = branch.split(':');
  if (branch.includes(':')) {
    if (fork !== user.login) throw new ForgeRefusal('no-push');
  } else if (!state.may(user, 'write')) throw new ForgeRefusal('no-push');
  if (forced === false) throw new ForgeRefusal('not-fast-forward');
  const rules = state.protections.get(branch);
  if (rules === undefined) return;
  if (rules.pushers?.includes(user.login) === false) throw new ForgeRefusal('protected-branch');
  if (forced === true && rules.forcePushers?.includes(user.login) !== true) {
    throw new ForgeRefusal('protected-from-force');
  }
}

/** What the forge does after a branch has moved. */
export function landed(
  state: ForgeState,
  by: User,
  branch: string,
  { before, after }: { readonly before: string | null; readonly after: string },
): void {
  if (!branch.includes(':')) state.addPushToFeed(by, branch, before, after);
  for (const pull of state.pulls.filter((each) => each.state === 'open' && branchOf(each) === branch)) {
    addPushEvent(state, pull, by, before);
  }
  if (!state.hold.tasks) for (const pull of state.pulls) lookAgain(state, pull);
  if (state.autodetectManualMerge) detectManualMerges(state, branch);
}

/** While the forge has not taken notice of a push, its event names no commits. */
function addPushEvent(state: ForgeState, pull: Pull, by: User, before: string | null): void {
  const { store } = state;
  const tip = state.headTip(pull);
  if (tip === null) return;
  const forced = before !== null && !isAncestor(store, before, tip);
  const from = forced ? mergeBase(store, before, tip) : before;
  const commits: string[] = [];
  for (let at: string | null = tip; at !== null && at !== from; at = store.commit(at)?.parents[0] ?? null) {
    commits.unshift(at);
  }
  const shown = state.hold.tasks ? [] : forced && before !== null ? [before, tip] : commits;
  state.addEvent({ kind: 'push', pull: pull.number, by, push: { commits: shown, forced } });
}

/** Open pulls only: their head as the forge knows it, the merge base, and which reviews are out of date. */
export function lookAgain(state: ForgeState, pull: Pull): void {
  if (pull.state !== 'open') return;
  const head = state.headTip(pull);
  const base = state.tip(pull.base);
  if (head === null || base === null) return;
  const known = pull.knownHead;
  pull.knownHead = head;
  state.store.setRef(`refs/pull/${pull.number}/head`, head);
  pull.mergeBase = mergeBase(state.store, base, head) ?? base;
  if (head !== known) reviewsAfterPush(state, pull, known);
}

/** A push that changes what is proposed makes every review stale but those of the new head. */
function reviewsAfterPush(state: ForgeState, pull: Pull, known: string): void {
  pull.updatedAt = state.time();
  const rows = state.reviews.filter(({ pull: number, state: said }) => number === pull.number && said !== 'requested');
  const isOther = proposesOther(state, pull, known);
  for (const review of rows) {
    if (isOther) review.stale = true;
    if (review.commit === pull.knownHead) review.stale = false;
  }
  if (state.protections.get(pull.base)?.dismissStaleApprovals !== true || !isOther) return;
  for (const review of rows) if (review.state === 'approved' && review.stale) review.dismissed = true;
}

/** Whether the change would bring other content if this commit were its head. */
export function proposesOther(state: ForgeState, pull: Pull, commit: string): boolean {
  const base = state.tip(pull.base) ?? pull.mergeBase;
  const brings = (head: string) => {
    const from = mergeBase(state.store, base, head) ?? base;
    return fileChanges(state.store, from, head)
      .map(({ path, after }) => `${path} ${after}`)
      .join('\n');
  };
  return commit !== pull.knownHead && brings(commit) !== brings(pull.knownHead);
}

/** Whoever the commit names as its author is taken for the merger; a name that nobody has: the owner of the repository. */
function detectManualMerges(state: ForgeState, branch: string): void {
  const tip = state.tip(branch);
  if (tip === null) return;
  for (const pull of state.pulls) {
    const head = state.headTip(pull);
    if (pull.state !== 'open' || pull.base !== branch || head === null) continue;
    if (!isAncestor(state.store, head, tip)) continue;
    const commit = state.store.commit(mergeCommitOf(state, head, tip));
    const email = commit?.author.email;
    const by = state.users.find((user) => user.email === email && !user.gone) ?? state.owner;
    markMerged(state, pull, { commit: commit?.oid ?? tip, by });
  }
}

/** The oldest first-parent commit above `head` that holds it; `head` itself where the branch was moved to it. */
function mergeCommitOf({ store }: ForgeState, head: string, tip: string): string {
  let found = head;
  for (let at: string | null = tip; at !== null && at !== head && isAncestor(store, head, at); ) {
    found = at;
    at = store.commit(at)?.parents[0] ?? null;
    if (at === head) found = head;
  }
  return found;
}

export function markMerged(
  state: ForgeState,
  pull: Pull,
  { commit, by, scheduled = false }: { readonly commit: string; readonly by: User; readonly scheduled?: boolean },
): void {
  const at = state.time();
  Object.assign(pull, { state: 'closed', closedAt: at, updatedAt: at });
  pull.merge = { commit, by, at, mapped: !state.hold.mapping };
  state.addEvent({ kind: 'merge', pull: pull.number, by });
  state.addFeed({ kind: scheduled ? 'scheduled-merge' : 'merge', by, pull, push: null, ref: '' });
}
