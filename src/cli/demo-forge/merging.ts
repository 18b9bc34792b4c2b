import { commitsBetween, isAncestor, mergeBase, mergeFiles } from './git-history.ts';
import type { Identity, StoredCommit } from './git-store.ts';
import { ForgeRefusal, type MergeStyle, type Pull, type User } from './records.ts';
import { type ForgeState, identityOf } from './state.ts';

/** What a merge is made of, besides the pull itself. */
interface Sides {
  readonly state: ForgeState;
  readonly pull: Pull;
  readonly by: Identity;
  readonly base: string;
  readonly head: string;
}

/** The commit that the base branch is to stand on after this merge. Nothing is moved. */
export function mergedTip(state: ForgeState, pull: Pull, merger: User, style: MergeStyle): string {
  const [base, head] = [state.tip(pull.base), state.headTip(pull)];
  if (base === null || head === null) throw new ForgeRefusal('nothing-there');
  const sides: Sides = { state, pull, by: identityOf(merger), base, head };
  switch (style) {
    case 'merge':
      return mergeCommit(sides, head);
    case 'rebase':
      return rebased(sides);
    case 'rebase-merge':
      return mergeCommit(sides, rebased(sides));
    case 'squash':
      return squashed(sides);
    case 'fast-forward-only':
      if (isAncestor(state.store, base, head)) return head;
      throw new ForgeRefusal('cannot-fast-forward');
  }
}

function mergeCommit(sides: Sides, second: string): string {
  const { pull, base, by } = sides;
  const from = pull.head.fork === null ? pull.head.branch : `${pull.head.fork}:${pull.head.branch}`;
  const message = `Merge pull request '${pull.title}' (#${pull.number}) from ${from} into ${pull.base}`;
  return commitOf(sides, { onto: second, parents: [base, second], author: by, message });
}

/** Whoever opened it is its author; the merger, if it is another, commits it and the opener is named in two lines. */
function squashed(sides: Sides): string {
  const { pull, base, by, head } = sides;
  const author = identityOf(pull.opener);
  const who = `${author.name} <${author.email}>`;
  const trailers = author.email === by.email ? '' : `\n\nCo-authored-by: ${who}\nCo-committed-by: ${who}`;
  return commitOf(sides, {
    onto: head,
    parents: [base],
    author,
    message: `${pull.title} (#${pull.number})${trailers}`,
  });
}

function commitOf(
  { state, base, by }: Sides,
  made: {
    readonly onto: string;
    readonly parents: readonly string[];
    readonly author: Identity;
    readonly message: string;
  },
): string {
  const { onto, ...rest } = made;
  const files = combine(state, mergeBase(state.store, base, onto), base, onto);
  const at = state.seconds();
  const times = { authoredAt: at, committer: by, committedAt: at };
  return state.store.writeCommit({ tree: state.store.writeTree(files), ...rest, ...times });
}

/** Its commits one by one on top of the base, authors kept; nothing is made anew where the base has not moved. */
function rebased({ state, by, base, head }: Sides): string {
  const { store } = state;
  if (isAncestor(store, base, head)) return head;
  const own = commitsBetween(store, base, head).filter(({ parents }) => parents.length === 1);
  return own.toReversed().reduce((tip, commit) => picked(state, tip, commit, by), base);
}

function picked(state: ForgeState, tip: string, commit: StoredCommit, by: Identity): string {
  const files = combine(state, commit.parents[0] ?? null, tip, commit.oid);
  const { author, authoredAt, message } = commit;
  const made = { author, authoredAt, committer: by, committedAt: state.seconds(), message };
  return state.store.writeCommit({ tree: state.store.writeTree(files), parents: [tip], ...made });
}

function combine({ store }: ForgeState, base: string | null, ours: string, theirs: string) {
  const files = mergeFiles(base === null ? new Map() : store.files(base), store.files(ours), store.files(theirs));
  if (files === null) throw new ForgeRefusal('conflict');
  return files;
}
