import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Change } from '../../src/domain/change.ts';
import { type Oid, oid } from '../../src/domain/ids.ts';
import type { Forge } from '../../src/ports/forge.ts';
import { actionOf, GitHubBench } from '../fakes/github-api-bench.ts';
import { mergeAsGitHub } from '../fakes/github-api-merge.ts';

/** Who pushed, landed and scheduled what, by GitHub's log of activities and its timelines. */

let bench: GitHubBench;
let github: Forge;

beforeEach(async () => {
  bench = await GitHubBench.start();
  github = bench.adapter();
});
afterEach(() => bench.remove());

const merged = async (number: number): Promise<Change> => {
  const change = await github.change(number);
  if (change === null) throw new Error('no such change');
  return change;
};
const deleteBranch = (branch: string): void => {
  const { state } = bench.forge;
  const [id, timestamp, by] = [state.id(), state.time(), state.owner];
  const move = { id, timestamp, by, before: state.tip(branch) ?? '', after: '0'.repeat(40) };
  bench.knobs.moreMoves.push({ ...move, ref: `refs/heads/${branch}`, activity_type: 'branch_deletion' });
  bench.forge.deleteBranch(branch);
};
const loginsOf = (pushes: readonly { readonly by: { readonly login: string } }[]): readonly string[] => [
  ...new Set(pushes.map(({ by }) => by.login)),
];

describe('history', () => {
  it('names who pushed to the branch, also before the change was opened, and who landed it (R2)', async () => {
    bench.forge.push('dev2', 'a', { files: { [actionOf('a')]: 'one\n' } });
    bench.forge.push('dev1', 'a', { files: { 'note.md': 'note\n' } });
    const { number } = bench.forge.openPull('dev1', { head: 'a' });
    mergeAsGitHub(bench.forge, 'approver1', number, 'merge');

    const { pushes, landedBy, scheduled } = await github.history(await merged(number));

    expect(loginsOf(pushes)).toEqual(['dev2', 'dev1']);
    expect(landedBy).toMatchObject({ id: 3, login: 'approver1' });
    expect(scheduled).toBe(false);
  });

  it('a force-push counts, whoever made it', async () => {
    const { number } = bench.propose('a');
    bench.forge.push('approver2', 'a', {
      parents: [bench.forge.tip()],
      files: { [actionOf('a')]: 'x\n' },
      force: true,
    });

    expect(loginsOf((await github.history(await merged(number))).pushes)).toEqual(['dev1', 'approver2']);
  });

  it('while the log lags, nobody is said to have landed it', async () => {
    const { number } = bench.propose('a');
    bench.forge.state.hold.feed = true;
    mergeAsGitHub(bench.forge, 'approver1', number, 'merge');
    const change = await merged(number);
    expect(await github.history(change)).toMatchObject({ landedBy: null });

    bench.forge.release();

    expect(await github.history(change)).toMatchObject({ landedBy: { login: 'approver1' } });
  });

  it('a merge that was scheduled is told as such', async () => {
    bench.forge.protect('main', { requiredApprovals: 1 });
    const { number } = bench.propose('a');
    bench.forge.scheduleMerge('approver1', number);
    bench.forge.review('approver2', number, { state: 'approved' });

    expect(await github.history(await merged(number))).toMatchObject({ scheduled: true });
  });

  it('a merge by a merge queue is a scheduled one', async () => {
    bench.knobs.hasQueue = true;
    const { number } = bench.propose('a');
    mergeAsGitHub(bench.forge, 'approver1', number, 'merge');

    expect(await github.history(await merged(number))).toMatchObject({ scheduled: true });
  });

  it.each([
    [['added_to_merge_queue', 'removed_from_merge_queue'], true],
    [['auto_squash_enabled'], true],
    [['auto_rebase_enabled', 'auto_merge_disabled'], false],
  ] as const)('after the events %j it is scheduled: %s', async (events, scheduled) => {
    bench.knobs.moreEvents.push(...events);
    const { number } = bench.propose('a');

    expect(await github.history(await merged(number))).toMatchObject({ scheduled });
  });

  it('tells when it was last moved to another branch: who reviewed before was shown another difference (R2)', async () => {
    const { number } = bench.propose('a');
    const change = await merged(number);
    expect(await github.history(change)).toMatchObject({ retargetedAt: null });
    bench.forge.push('dev1', 'side');
    bench.forge.retarget('dev1', number, 'side');
    bench.forge.retarget('dev1', number, 'main');
    const last = bench.forge.state.events.at(-1)?.at;

    expect(await github.history(change)).toMatchObject({ retargetedAt: last });
  });

  it.each(['automatic_base_change_succeeded', 'base_ref_force_pushed'])('%s moves it as well', async (event) => {
    const { number } = bench.propose('a');
    bench.knobs.moreEvents.push(event);

    const { retargetedAt } = await github.history(await merged(number));
    expect(retargetedAt).toBe(bench.forge.state.owner.createdAt);
  });

  it('a branch of the same name before and afterwards is another one', async () => {
    bench.forge.push('approver1', 'patch-1');
    deleteBranch('patch-1');
    const { number } = bench.propose('patch-1');
    mergeAsGitHub(bench.forge, 'approver2', number, 'merge');
    deleteBranch('patch-1');
    bench.forge.push('approver1', 'patch-1');

    expect(loginsOf((await github.history(await merged(number))).pushes)).toEqual(['dev1']);
  });

  it('of a fork that is hidden its owner counts as pusher, up to the merge; of one that is gone the opener', async () => {
    bench.forge.push('reader1', 'reader1:a', { files: { [actionOf('a')]: 'one\n' } });
    const { number } = bench.forge.openPull('dev1', { head: 'reader1:a' });
    const again = { files: { [actionOf('a')]: 'two\n' }, parents: [bench.forge.tip()], force: true };
    bench.forge.push('reader1', 'reader1:a', again);
    const forced = bench.forge.state.events.at(-1)?.at;
    mergeAsGitHub(bench.forge, 'approver1', number, 'merge');
    const change = await merged(number);

    const hidden = (await github.history(change)).pushes;
    expect(hidden.map(({ by, at }) => [by.login, at])).toEqual([
      ['reader1', forced],
      ['dev1', change.merge?.at],
      ['reader1', change.merge?.at],
    ]);

    bench.forge.deleteUser('reader1');
    const gone = await merged(number);
    expect(gone.source).toBeNull();
    expect(loginsOf((await github.history(gone)).pushes)).toEqual(['ghost', 'dev1']);
  });

  it('of a fork that may be read its own log counts', async () => {
    bench.knobs.areForksOpen = true;
    bench.forge.push('reader1', 'reader1:a', { files: { [actionOf('a')]: 'one\n' } });
    const { number } = bench.forge.openPull('dev1', { head: 'reader1:a' });

    expect(loginsOf((await github.history(await merged(number))).pushes)).toEqual(['reader1']);
  });
});

describe('who pushed a commit', () => {
  const commits = (count: number, from: string): readonly Oid[] => {
    const made: Oid[] = [];
    for (let parent = from; made.length < count; parent = made.at(-1) ?? '') {
      made.push(oid(bench.forge.commit('dev1', 'main', { parents: [parent] })));
    }
    return made;
  };

  it('is found for the tip of a push and for what came with it', async () => {
    bench.forge.directPush('dev2', { files: { 'a.md': 'a\n' } });
    const [inner, last] = commits(2, bench.forge.tip());
    bench.forge.pushCommit('dev1', 'main', last ?? '');
    bench.forge.directPush('owner1', { files: { 'c.md': 'c\n' } });

    expect(await github.pusherOf(last ?? oid(''), 'main')).toMatchObject({ login: 'dev1' });
    expect(await github.pusherOf(inner ?? oid(''), 'main')).toMatchObject({ login: 'dev1' });
  });

  it('is whoever merged for a commit that a merge brought, and nobody for one that is not on the branch', async () => {
    const { number, action } = bench.propose('a');
    expect(await github.pusherOf(action, 'main')).toBeNull();

    mergeAsGitHub(bench.forge, 'approver1', number, 'merge');

    expect(await github.pusherOf(action, 'main')).toMatchObject({ login: 'approver1' });
  });

  it('is not whoever forced the branch back to it', async () => {
    const [target, later] = commits(2, bench.forge.tip());
    bench.forge.pushCommit('dev1', 'main', later ?? '');
    bench.forge.pushCommit('dev2', 'main', target ?? '', true);

    expect(await github.pusherOf(target ?? oid(''), 'main')).toBeNull();
  });
});

describe('who pushed a commit to a branch that was rewritten', () => {
  const chain = (from: string): readonly [Oid, Oid] => {
    const first = oid(bench.forge.commit('dev1', 'main', { parents: [from] }));
    return [first, oid(bench.forge.commit('dev1', 'main', { parents: [first] }))];
  };

  it('is not told by ancestry', async () => {
    const start = bench.forge.tip();
    const [first, second] = chain(start);
    bench.forge.pushCommit('dev1', 'main', second);
    bench.forge.pushCommit('owner1', 'main', start, true);
    bench.forge.push('dev2', 'main', { parents: [first] });

    expect(await github.pusherOf(first, 'main')).toBeNull();
  });

  it('is not whoever made it anew', async () => {
    const [first, second] = chain(bench.forge.tip());
    bench.forge.pushCommit('dev1', 'x', second);
    deleteBranch('x');
    bench.forge.pushCommit('dev2', 'x', first);

    expect(await github.pusherOf(first, 'x')).toBeNull();
    expect(await github.pusherOf(second, 'x')).toMatchObject({ login: 'dev1' });
  });
});
