import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { oid } from '../../src/domain/ids.ts';
import type { Forge } from '../../src/ports/forge.ts';
import { actionOf, GitHubBench } from '../fakes/github-api-bench.ts';
import { mergeAsGitHub } from '../fakes/github-api-merge.ts';

/** What the adapter makes of GitHub's documented answers. */

let bench: GitHubBench;
let github: Forge;

beforeEach(async () => {
  bench = await GitHubBench.start();
  github = bench.adapter();
});
afterEach(() => bench.remove());

const WRITER = { name: 'dev1', email: 'dev1@example.org' };

describe('commit → change', () => {
  it.each(['merge', 'squash', 'rebase'] as const)(
    'a %s maps to its change, by whoever merged it (R2)',
    async (method) => {
      const { number, head } = bench.propose('a');
      const commit = oid(mergeAsGitHub(bench.forge, 'approver1', number, method));

      const change = await github.changeOf(commit);

      expect(change).toMatchObject({ number, state: 'merged', base: 'main', head, author: { id: 5, login: 'dev1' } });
      expect(change?.merge).toMatchObject({ commit, by: { id: 3, login: 'approver1' } });
      expect(change?.source).toEqual({ repo: 'ops/ops', branch: 'a' });
    },
  );

  it('every commit that a rebase made maps to the change, and its merge is the last of them', async () => {
    const { number } = bench.propose('a');
    const last = oid(mergeAsGitHub(bench.forge, 'approver1', number, 'rebase'));
    const first = oid(bench.forge.state.store.commit(last)?.parents[0] ?? '');

    expect(await github.changeOf(first)).toMatchObject({ number, merge: { commit: last } });
  });

  it('of two changes that brought a commit, the one into the branch of the ops repo is meant', async () => {
    bench.forge.push('owner1', 'ops');
    const into = bench.propose('a', 'ops');
    const aside = bench.forge.openPull('dev2', { head: 'a', base: 'main' });
    mergeAsGitHub(bench.forge, 'approver1', into.number, 'merge');
    mergeAsGitHub(bench.forge, 'approver2', aside.number, 'merge');

    expect(await bench.adapter({ branch: 'ops' }).changeOf(into.action)).toMatchObject({ base: 'ops' });
    expect(await bench.adapter({ branch: 'main' }).changeOf(into.action)).toMatchObject({ base: 'main' });
  });

  it('one of a fork, under a number of ours, is no change of this repository', async () => {
    const { number } = bench.propose('a');
    bench.knobs.hasForeignPull = true;
    expect(await github.changeOf(oid(bench.forge.tip()))).toBeNull();

    const commit = oid(mergeAsGitHub(bench.forge, 'approver1', number, 'merge'));
    expect(await github.changeOf(commit)).toMatchObject({ number, merge: { commit } });
  });

  it('an open change, a direct push and an unknown commit map to nothing', async () => {
    const { action } = bench.propose('a');
    const direct = oid(bench.forge.directPush('dev1', { files: { 'b.toml': 'b\n' } }));

    expect(await github.changeOf(action)).toBeNull();
    expect(await github.changeOf(direct)).toBeNull();
    expect(await github.changeOf(oid('1'.repeat(40)))).toBeNull();
    expect(await github.change(99)).toBeNull();
  });

  it('a push that holds an open change merges it in the name of whoever pushed (R2)', async () => {
    const { number, head } = bench.propose('a');
    const author = { name: 'approver1', email: 'approver1@example.org' };
    const tip = bench.forge.tip();
    const commit = oid(bench.forge.push('dev2', 'main', { parents: [tip, head], author }));

    const change = await github.changeOf(commit);

    expect(change).toMatchObject({ number, merge: { commit, by: { login: 'dev2' } } });
    expect(change === null ? null : await github.history(change)).toMatchObject({ landedBy: { login: 'dev2' } });
  });

  it('open changes into a branch are told by that branch, newest activity first', async () => {
    bench.forge.push('owner1', 'side');
    const [first, other, second] = [bench.propose('a'), bench.propose('b', 'side'), bench.propose('c')];
    mergeAsGitHub(bench.forge, 'approver1', bench.propose('d').number, 'merge');

    expect((await github.openChanges('main')).map(({ number }) => number)).toEqual([second.number, first.number]);
    expect(await github.openChanges('side')).toMatchObject([{ number: other.number, state: 'open', merge: null }]);
  });
});

describe('reviews', () => {
  it('come oldest first with the commit that they are of, comments as no verdict, drafts and requests not at all', async () => {
    const { number, head, action } = bench.propose('a');
    bench.forge.review('approver1', number, { state: 'approved', commit: action });
    bench.forge.requestReview('dev1', number, 'approver2');
    bench.forge.draft('edge-bot', number);
    bench.forge.review('approver2', number, { state: 'changes-requested' });
    bench.forge.review('reader1', number, { state: 'comment' });

    const told = (await github.reviews(number)).map(({ by, verdict, commit }) => [by.login, verdict, commit]);

    expect(told).toEqual([
      ['approver1', 'approved', action],
      ['approver2', 'changes-requested', head],
      ['reader1', 'none', head],
    ]);
  });

  it('a dismissed one is the last word of its author and counts neither way (R3)', async () => {
    const { number } = bench.propose('a');
    bench.forge.review('approver1', number, { state: 'changes-requested' });
    const { id } = bench.forge.review('approver1', number, { state: 'approved' });
    bench.forge.dismiss('owner1', id);

    const told = (await github.reviews(number)).map(({ verdict, dismissed }) => [verdict, dismissed]);

    expect(told).toEqual([
      ['changes-requested', false],
      ['approved', true],
    ]);
  });

  it.each([
    ['somebody who may write', 'dev1', ['changes-requested', false]],
    ['another administrator', 'approver2', ['approved', true]],
    ['its author, who may write only', 'dev2', ['approved', true]],
  ])('a rejection that was dismissed by %s is %j %j (R3)', async (_, dismisser, told) => {
    const { number } = bench.propose('a');
    const { id } = bench.forge.review('dev2', number, { state: 'changes-requested' });
    bench.forge.dismiss('owner1', id);
    bench.knobs.dismissers.set(id, dismisser);

    const [review] = await github.reviews(number);

    expect([review?.verdict, review?.dismissed]).toEqual(told);
  });

  it('an approval may be dismissed by whoever may write; while it is not told what was dismissed, it was a rejection (R3)', async () => {
    const { number } = bench.propose('a');
    const { id } = bench.forge.review('approver1', number, { state: 'approved' });
    bench.forge.dismiss('owner1', id);
    bench.knobs.dismissers.set(id, 'dev1');
    expect(await github.reviews(number)).toMatchObject([{ verdict: 'approved', dismissed: true }]);

    bench.knobs.hidesDismissals = true;
    expect(await github.reviews(number)).toMatchObject([{ verdict: 'changes-requested', dismissed: false }]);
  });

  it('of 120, the last one is read too', async () => {
    const { number } = bench.propose('a');
    for (let count = 1; count < 120; count += 1) bench.forge.review('reader1', number, { state: 'comment' });
    bench.forge.review('approver1', number, { state: 'changes-requested' });

    const reviews = await github.reviews(number);

    expect(reviews).toHaveLength(120);
    expect(reviews.at(-1)).toMatchObject({ verdict: 'changes-requested', by: { login: 'approver1' } });
  });

  it('one that disappears between two pages hides no other', async () => {
    const { number } = bench.propose('a');
    const own = bench.forge.review('dev2', number, { state: 'comment' });
    for (let count = 1; count < 100; count += 1) bench.forge.review('reader1', number, { state: 'comment' });
    bench.forge.review('approver1', number, { state: 'changes-requested' });
    bench.knobs.beforePage = (_, page) => {
      if (page === 2 && bench.forge.state.reviews.includes(own)) bench.forge.deleteReview('dev2', own.id);
    };

    expect((await github.reviews(number)).at(-1)).toMatchObject({ by: { login: 'approver1' } });
  });

  it('by a deleted account, an app and of a commit that is gone are told as such', async () => {
    const { number } = bench.propose('a');
    bench.forge.review('approver1', number, { state: 'approved' });
    bench.forge.review('edge-bot', number, { state: 'approved' });
    bench.forge.deleteUser('approver1');
    bench.forge.state.reviews.forEach((review) => {
      review.commit = '2'.repeat(40);
    });

    const reviews = await github.reviews(number);

    expect(reviews.map(({ by }) => by)).toEqual([
      { id: null, login: 'ghost', isBot: false },
      { id: 9, login: 'edge-bot', isBot: true },
    ]);
    expect(reviews.map(({ commit }) => commit)).toEqual(['', '']);
  });
});

describe('what a change holds', () => {
  it('its files and commits are those before the merge, with accounts and co-authors', async () => {
    const coAuthors = [{ name: 'Dev Two', email: 'dev2@example.org' }];
    const first = bench.forge.push('dev1', 'a', { files: { [actionOf('a')]: 'one\n' }, coAuthors });
    const { number } = bench.forge.openPull('dev1', { head: 'a' });
    mergeAsGitHub(bench.forge, 'approver1', number, 'squash');

    expect(await github.files(number)).toEqual([actionOf('a')]);
    expect(await github.commits(number)).toEqual([
      {
        oid: first,
        author: { name: 'dev1', email: 'dev1@example.org' },
        committer: { name: 'dev1', email: 'dev1@example.org' },
        coAuthors,
        accounts: [
          { id: 5, login: 'dev1', isBot: false },
          { id: 5, login: 'dev1', isBot: false },
        ],
      },
    ]);
  });

  it('commits beyond the 250 that GitHub lists are compared for', async () => {
    const { store } = bench.forge.state;
    const person = { author: WRITER, authoredAt: 0, committer: WRITER, committedAt: 0 };
    const tree = store.writeTree(new Map());
    let parent: string = bench.forge.tip();
    for (let count = 0; count < 251; count += 1) {
      parent = store.writeCommit({ ...person, tree, parents: [parent], message: `commit ${count}` });
    }
    bench.forge.pushCommit('dev2', 'many', parent);
    const { number } = bench.forge.openPull('dev1', { head: 'many' });

    const commits = await github.commits(number);

    expect(commits).toHaveLength(251);
    expect(commits.at(-1)?.oid).toBe(parent);
  });

  it('a change of more files than GitHub lists is not judged by some of them', async () => {
    const { number } = bench.propose('a');
    bench.knobs.moreFiles = 3_000;
    await expect(github.files(number)).rejects.toMatchObject({ name: 'StalledError', code: 'ERR_FORGE_DENIED' });
  });
});

describe('administrators', () => {
  it('are those whose permission is admin now, by id, asked with the one token or the other (R2)', async () => {
    const account = (id: number | null, login: string) => ({ id, login, isBot: false });
    const asked = [account(3, 'approver1'), account(2, 'owner1'), account(5, 'dev1'), account(77, 'approver1')];
    const withAdmin = bench.adapter({ as: 'reader1', admin: 'approver2' });

    for (const forge of [github, withAdmin]) {
      const found = await Promise.all(
        [...asked, account(null, 'ghost'), account(8, 'nobody')].map((each) => forge.isAdmin(each)),
      );
      expect(found).toEqual([true, true, false, false, false, false]);
    }
    bench.forge.setPermission('approver1', 'write');
    expect(await github.isAdmin(account(3, 'approver1'))).toBe(false);
  });

  it('a token that may not ask is a person’s matter, and no "no"', async () => {
    const reader = bench.adapter({ as: 'reader1' });
    const call = reader.isAdmin({ id: 3, login: 'approver1', isBot: false });
    await expect(call).rejects.toMatchObject({ name: 'StalledError', code: 'ERR_FORGE_DENIED' });
  });
});
