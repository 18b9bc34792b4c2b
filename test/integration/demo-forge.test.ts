import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { commitsBetween } from '../../src/cli/demo-forge/git-history.ts';
import type { MergeStyle } from '../../src/cli/demo-forge/records.ts';
import { type ForgeBench, makeForgeBench, propose, readRecorded } from '../fakes/forge-bench.ts';

/** The fake forge is held to the recordings of a real one: the same steps, the same answers. */

interface PullBody {
  readonly merge_commit_sha: string;
  readonly merged_by: { readonly login: string };
  readonly merge_base: string;
  readonly head: { readonly sha: string; readonly ref: string };
  readonly base: { readonly sha: string };
}

const recorded = readRecorded();
const ACTION = 'vault/actions/a.toml';

let bench: ForgeBench;

beforeEach(async () => {
  bench = await makeForgeBench();
});
afterEach(() => bench.remove());

async function pullBody(number: number): Promise<PullBody> {
  return (await bench.ask('edge-bot', `/pulls/${number}`)).body as PullBody;
}

describe('merges', () => {
  it.each(recorded.flows)('$style: commit → pull answers for the recorded commits only', async (flow) => {
    const { forge } = bench;
    const { action, head, pull } = propose(forge, 'flow');
    const tip = forge.merge('approver1', pull.number, flow.style);
    const git = (...args: string[]) =>
      execFileSync('git', [
        '-C',
        forge.dir,
        'log',
        '-1',
        '--format=%H',
        ...args,
        'main',
        '--',
        'vault/actions/flow.toml',
      ])
        .toString()
        .trim();
    const asked = {
      'tip of main right after the merge': tip,
      'commit on main that added the file (git log)': git(),
      'commit on main that added the file (git log --first-parent -m)': git('--first-parent', '-m'),
      'adding commit as pushed to the branch (before any rebase)': action,
      'head of the branch as pushed': head,
    };
    const answers = Object.entries(asked).map(async ([what, sha]) => [
      what,
      (await bench.ask('edge-bot', `/commits/${sha}/pull`)).status,
    ]);
    expect(Object.fromEntries(await Promise.all(answers))).toEqual(flow.lookups);
    expect(tip === head ? 'head' : 'other').toBe(flow.merge_commit_is);
    expect(forge.state.store.commit(tip)?.parents).toHaveLength(flow.parents);
    expect(await pullBody(pull.number)).toMatchObject({
      merge_commit_sha: tip,
      merged_by: { login: 'approver1' },
      head: { sha: head },
      base: { sha: tip },
    });
  });

  it.each(recorded.moved.filter((flow) => 'author | committer of the tip' in flow))(
    '$style onto a main that moved: authors, committers and messages are the recorded ones',
    (flow) => {
      const { forge } = bench;
      const style = flow['style'] as MergeStyle;
      const expected = String(flow['author | committer of the tip']);
      // Numbers that other changes had taken.
      for (let taken = Number(/#(\d+)/.exec(expected)?.[1] ?? 1) - 1; taken > 0; taken -= 1) forge.state.number();
      const { pull } = propose(forge, `moved-${style}`, `flow-moved-${style}`);
      forge.directPush('dev2', { files: { 'notes/other.md': 'other\n' } });
      const tip = forge.state.store.commit(forge.merge('approver2', pull.number, style));
      const line = [tip?.author, tip?.committer].map((who) => `${who?.name} <${who?.email}>`).join(' | ');
      expect(`${line} | ${tip?.message.trim().replaceAll(/\n+/g, ' ')}`).toBe(expected);
    },
  );

  it('what was merged keeps files, commits and merge base, while head.sha follows the branch until it is deleted', async () => {
    const { forge } = bench;
    const { head, pull } = propose(forge, 'later');
    const before = await pullBody(pull.number);
    forge.merge('approver1', pull.number);
    const after = forge.push('dev1', 'later', { files: { [ACTION]: 'more\n' } });
    expect(await pullBody(pull.number)).toMatchObject({ head: { sha: after }, merge_base: before.merge_base });
    const { body: files } = await bench.ask('edge-bot', `/pulls/${pull.number}/files`);
    expect(files).toMatchObject([
      { filename: 'notes/later.md', status: 'added' },
      { filename: 'vault/actions/later.toml' },
    ]);
    const { body: commits } = await bench.ask('edge-bot', `/pulls/${pull.number}/commits`);
    expect(commits).toMatchObject([{ sha: head }, { commit: { message: 'add later\n' } }]);
    forge.deleteBranch('later');
    expect(await pullBody(pull.number)).toMatchObject({ head: { ref: `refs/pull/${pull.number}/head`, sha: head } });
  });

  it('R1: a push and a merge in one breath: merged with the other bytes, and the flags say for good that all is well', async () => {
    const { forge } = bench;
    forge.protect('main', { requiredApprovals: 1, dismissStaleApprovals: true });
    const { head, pull } = propose(forge, 'race');
    forge.review('approver1', pull.number, { state: 'approved' });
    forge.state.hold.tasks = true;
    const other = forge.push('dev1', 'race', { files: { 'vault/actions/race.toml': 'other\n' } });
    const tip = forge.merge('dev1', pull.number);
    forge.release();
    const { body } = await bench.ask('edge-bot', `/pulls/${pull.number}/reviews`);
    expect(body).toMatchObject([{ commit_id: head, official: true, stale: false, dismissed: false }]);
    expect(await pullBody(pull.number)).toMatchObject({ head: { sha: other } });
    expect(forge.state.store.ref(`refs/pull/${pull.number}/head`)).toBe(head);
    expect(execFileSync('git', ['-C', forge.dir, 'show', `${tip}:vault/actions/race.toml`]).toString()).toBe('other\n');
  });

  it('a merge is refused as it was: conflict, no right, no fast-forward, head out of date, missing approvals, twice', () => {
    const { forge } = bench;
    const { action, pull } = propose(forge, 'no');
    const code = (operation: () => unknown) => {
      try {
        operation();
      } catch (error) {
        return (error as { readonly code: string }).code;
      }
      return 'done';
    };
    forge.directPush('dev2', { files: { 'vault/actions/no.toml': 'else\n' } });
    expect(code(() => forge.merge('approver1', pull.number))).toBe('conflict');
    expect(code(() => forge.merge('approver1', pull.number, 'fast-forward-only'))).toBe('cannot-fast-forward');
    expect(code(() => forge.merge('reader1', pull.number))).toBe('no-merge-right');
    expect(code(() => forge.merge('approver1', pull.number, 'merge', { head: action }))).toBe('head-out-of-date');
    const fine = propose(forge, 'fine').pull.number;
    forge.protect('main', { requiredApprovals: 1 });
    expect(code(() => forge.merge('dev1', fine))).toBe('not-enough-approvals');
    expect(code(() => forge.merge('approver1', fine, 'merge', { force: true }))).toBe('done');
    expect(code(() => forge.merge('approver1', fine))).toBe('merged-already');
  });

  it('R2: a scheduled merge happens with the approval that it waited for, in the name of who scheduled it', async () => {
    const { forge } = bench;
    forge.protect('main', { requiredApprovals: 1 });
    const { pull } = propose(forge, 'auto');
    forge.scheduleMerge('approver2', pull.number);
    forge.review('approver1', pull.number, { state: 'approved' });
    expect(await pullBody(pull.number)).toMatchObject({ merged: true, merged_by: { login: 'approver2' } });
    const { body } = await bench.ask('edge-bot', `/issues/${pull.number}/timeline`);
    expect((body as { type: string }[]).map(({ type }) => type)).toEqual([
      'pull_push',
      'pull_scheduled_merge',
      'review',
      'merge_pull',
    ]);
  });
});

describe('who is named', () => {
  it('with autodetected merges anybody who may push makes an admin the merger; the log of events names the pusher', async () => {
    await bench.remove();
    bench = await makeForgeBench({ autodetectManualMerge: true });
    const { forge } = bench;
    const forged = (title: string, author?: string) => {
      const head = forge.push('dev1', title, { files: { [`${title}.toml`]: 'x\n' } });
      forge.openPull('dev1', { head: title, title });
      const who = { name: author ?? 'x', email: `${author ?? 'nobody'}@example.org` };
      forge.directPush('dev1', { parents: [forge.tip(), head], author: who });
    };
    forged('spoof', 'approver1');
    const { body } = await bench.ask('edge-bot', '/activities/feeds?limit=5');
    const lines = (body as { op_type: string; act_user: { login: string }; ref_name: string }[]).map(
      ({ op_type, act_user, ref_name }) => `${op_type} ${act_user.login} ${ref_name}`.trim(),
    );
    expect(lines.toSorted()).toEqual([...recorded.manual_feed].toSorted());
    forged('spoof2');
    const head = forge.push('dev1', 'spoof3', {
      files: { 'spoof3.toml': 'x\n' },
      author: { name: 'approver2', email: 'approver2@example.org' },
    });
    forge.openPull('dev1', { head: 'spoof3' });
    forge.pushCommit('dev1', 'main', head);
    const pulls = await Promise.all([1, 2, 3].map(pullBody));
    expect(pulls.map((pull) => pull.merged_by.login)).toEqual(recorded.manual.map(({ merged_by }) => merged_by));
  });

  it('a deleted account becomes a ghost in reviews, is nobody for permissions, and leaves the log of events', async () => {
    const { forge } = bench;
    const { pull } = propose(forge, 'gone');
    forge.review('approver2', pull.number, { state: 'approved' });
    forge.merge('approver2', pull.number);
    forge.deleteUser('approver2');
    const { body } = await bench.ask('approver1', `/pulls/${pull.number}/reviews`);
    expect(body).toMatchObject([
      { user: { id: -1, login: 'Ghost' }, state: 'APPROVED', official: true, dismissed: false },
    ]);
    expect((await bench.ask('approver1', '/collaborators/Ghost/permission')).status).toBe(404);
    const { body: feed } = await bench.ask('approver1', '/activities/feeds');
    expect((feed as { op_type: string }[]).map(({ op_type }) => op_type)).not.toContain('merge_pull_request');
  });

  it('a fork is pushed to by its owner alone and is named as the head', async () => {
    const { forge } = bench;
    forge.push('reader1', 'reader1:forked', { files: { [ACTION]: 'x\n' } });
    const pull = forge.openPull('reader1', { head: 'reader1:forked' });
    expect(await pullBody(pull.number)).toMatchObject({
      head: { label: 'forked', ref: 'forked', repo: { full_name: 'reader1/ops', fork: true } },
    });
    expect(() => forge.push('dev1', 'reader1:forked', {})).toThrow('no-push');
    forge.merge('approver2', pull.number);
    expect(commitsBetween(forge.state.store, null, forge.tip())).toHaveLength(3);
  });

  it('pushes that arrive by git are the dispatcher account’s, and protected branches hold for people', async () => {
    const { forge } = bench;
    forge.servePushesOf('edge-bot');
    const outside = forge.commit('edge-bot', 'main', { files: { 'result.json': '{}\n' } });
    execFileSync('git', ['-C', forge.dir, 'update-ref', 'refs/heads/main', outside]);
    const { body } = await bench.ask('edge-bot', '/activities/feeds?limit=1');
    expect(body).toMatchObject([
      { op_type: 'commit_repo', act_user: { login: 'edge-bot' }, ref_name: 'refs/heads/main' },
    ]);
    expect(() => forge.directPush('reader1', {})).toThrow('no-push');
    expect(() => forge.push('dev1', 'main', { parents: [], files: {} })).toThrow('not-fast-forward');
    forge.protect('main', { pushers: ['edge-bot', 'dev1'], forcePushers: ['dev1'] });
    expect(() => forge.directPush('dev2', {})).toThrow('protected-branch');
    expect(() => forge.push('edge-bot', 'main', { parents: [], force: true })).toThrow('protected-from-force');
    expect(forge.push('dev1', 'main', { parents: [], force: true })).toBe(forge.tip());
  });
});

it('what it wrote without git is a sound repository to git itself, with the same ids at every start', async () => {
  const { forge } = bench;
  const { pull } = propose(forge, 'sound');
  forge.directPush('dev2', { files: { 'a/b/c': 'deep\n', 'a.b': 'dot\n', 'a/b.c': 'both\n' } });
  const tip = forge.merge('approver1', pull.number);
  const git = (...args: string[]) => execFileSync('git', ['-C', forge.dir, ...args], { stdio: 'pipe' }).toString();
  expect(git('fsck', '--strict', '--full')).toBe('');
  expect(git('rev-list', '--count', '--all').trim()).toBe('5');
  expect(git('merge-base', 'main^1', 'main^2').trim()).toBe(pull.mergeBase);
  await bench.remove();
  bench = await makeForgeBench();
  const again = propose(bench.forge, 'sound').pull;
  bench.forge.directPush('dev2', { files: { 'a/b/c': 'deep\n', 'a.b': 'dot\n', 'a/b.c': 'both\n' } });
  expect(bench.forge.merge('approver1', again.number)).toBe(tip);
});
