import { commitsBetween, mergeBase, mergeFiles } from '../../src/cli/demo-forge/git-history.ts';
import type { Identity } from '../../src/cli/demo-forge/git-store.ts';
import type { DemoForge } from '../../src/cli/demo-forge/model.ts';
import { landed, markMerged } from '../../src/cli/demo-forge/pushing.ts';
import { identityOf } from '../../src/cli/demo-forge/state.ts';

const WEB: Identity = { name: 'GitHub', email: 'noreply@github.com' };

/**
 * Merges as GitHub does: what it makes itself (a merge, a squash) it commits in its own name, and a rebase makes every
 * commit anew, also where the base branch has not moved. Answers the merge commit.
 */
export function mergeAsGitHub(
  { state }: DemoForge,
  login: string,
  number: number,
  method: 'merge' | 'squash' | 'rebase',
): string {
  const { store } = state;
  const by = state.user(login);
  const pull = state.pull(number);
  const [before, head] = [state.tip(pull.base), state.headTip(pull)];
  if (before === null || head === null) throw new Error('nothing to merge');
  const make = (
    [onto, source, from]: readonly [string, string, string | null],
    made: { readonly parents: readonly string[]; readonly author: Identity; readonly committer: Identity },
    message: string,
  ): string => {
    const files = mergeFiles(from === null ? new Map() : store.files(from), store.files(onto), store.files(source));
    if (files === null) throw new Error('a conflict');
    const at = state.seconds();
    return store.writeCommit({ tree: store.writeTree(files), ...made, authoredAt: at, committedAt: at, message });
  };
  const whole = [before, head, mergeBase(store, before, head)] as const;
  const title = `${pull.title} (#${number})`;
  const byMethod = {
    merge: () =>
      make(whole, { parents: [before, head], author: identityOf(by), committer: WEB }, `Merge pull request #${number}`),
    squash: () => make(whole, { parents: [before], author: identityOf(pull.opener), committer: WEB }, title),
    rebase: () =>
      commitsBetween(store, before, head)
        .toReversed()
        .reduce((tip, { oid, parents, author, message }) => {
          const made = { parents: [tip], author, committer: identityOf(by) };
          return make([tip, oid, parents[0] ?? null], made, message);
        }, before),
  };
  const after = byMethod[method]();
  state.move(pull.base, after);
  markMerged(state, pull, { commit: after, by });
  landed(state, by, pull.base, { before, after });
  return after;
}
