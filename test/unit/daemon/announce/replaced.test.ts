import { describe, expect, it } from 'vitest';
import type { ApprovalRule } from '../../../../src/ports/approval.ts';
import { AnnounceBench } from '../../../fakes/announce-bench.ts';
import { openChange } from '../../../fakes/memory-forge.ts';
import type { ProcessOptions } from '../../../fakes/story-bench.ts';
import { action } from '../../../fakes/story-bench.ts';

const PATH = 'vault/actions/a.toml';
const FILES = { [PATH]: action('a') };
const OTHER = { [PATH]: action('a', { context: 'other bytes' }) };
const MINUTE = 60_000;

const statusOf = (bench: AnnounceBench, commit: string) => bench.people.statuses.get(`${commit} edge-dispatcher`);
const commentOf = (bench: AnnounceBench, change = 1) => bench.people.comments.get(change)?.body;

const NO_CHANGE: ApprovalRule = {
  name: 'forge-review',
  countsPeople: true,
  evaluate: async () => ({ kind: 'refused', code: 'ERR_NO_CHANGE', message: 'no change brought these bytes' }),
};
const NEEDS_REVIEW = { all: ['forge-review'], any: [], atLeast: 0, selfApprove: false };
const TERMS = { settings: { requirements: { low: NEEDS_REVIEW, medium: NEEDS_REVIEW, high: NEEDS_REVIEW } } };

/** By a daemon that has ended since. */
async function tellOpen(bench: AnnounceBench, options: ProcessOptions = {}): Promise<void> {
  const { end } = bench.announcing(options);
  await bench.pass(20_000);
  await end();
}

describe('a merged change whose bytes were replaced on the branch', () => {
  it('tells how the others ended, and that its own never run, also when nobody looked in between (R1, R20)', async () => {
    const bench = new AnnounceBench();
    bench.rules.set('forge-review', NO_CHANGE);
    const head = bench.propose(1, FILES);
    await tellOpen(bench, TERMS);
    const merged = bench.mergeChange(1, FILES);
    bench.repo.commitFiles(OTHER, 'a push without a change');
    const { end } = bench.announcing(TERMS);
    await bench.pass(MINUTE);
    await end();
    expect(bench.result('a')).toMatchObject({ outcome: 'refused', reason: { code: 'ERR_NO_CHANGE' } });
    expect(commentOf(bench)).toContain('**replaced**: other bytes than those of this change lie on the branch');
    expect(commentOf(bench)).toMatch(
      /\n- of the others: \*\*refused\*\* with 64 .*\n- of the others: `ERR_NO_CHANGE`: /,
    );
    const told = { state: 'failure', description: 'replaced by bytes that did not succeed: a' };
    expect([statusOf(bench, head), statusOf(bench, merged)]).toMatchObject([told, told]);
  });

  it('is told again after a restart once the others, which waited, have ended', async () => {
    const bench = new AnnounceBench();
    bench.propose(1, FILES);
    await tellOpen(bench);
    const merged = bench.mergeChange(1, FILES);
    bench.repo.commitFiles({ [PATH]: action('a', { not_before: '2026-03-31T12:10:00Z' }) });
    const first = bench.announcing();
    await bench.pass(MINUTE);
    expect(commentOf(bench)).toContain('of the others: **waiting** `ERR_NOT_BEFORE`');
    expect(statusOf(bench, merged)).toMatchObject({ state: 'error', description: 'replaced by other bytes: a' });
    await first.end();
    const second = bench.announcing();
    await bench.pass(20 * MINUTE);
    await second.end();
    expect(commentOf(bench)).toContain('of the others: **succeeded** with 0');
    expect(statusOf(bench, merged)).toMatchObject({ state: 'error', description: 'replaced by other bytes: a' });
  });

  it('is not called under way while the others run', async () => {
    const bench = new AnnounceBench();
    bench.engine.behaviours.set('a', { runMs: 5 * MINUTE });
    bench.propose(1, FILES);
    await tellOpen(bench);
    const merged = bench.mergeChange(1, FILES);
    bench.repo.commitFiles(OTHER);
    const { end } = bench.announcing();
    await bench.pass(MINUTE);
    expect(commentOf(bench)).toContain('of the others: **under way**: running');
    expect(statusOf(bench, merged)?.description).toBe('replaced by other bytes: a');
    await end();
  });

  it('is found also when it was opened, merged and edited while the forge was away from a daemon that runs', async () => {
    const bench = new AnnounceBench();
    bench.rules.set('forge-review', NO_CHANGE);
    const { end } = bench.announcing(TERMS);
    await bench.pass(20_000);
    bench.propose(1, FILES);
    bench.mergeChange(1, FILES);
    bench.repo.commitFiles(OTHER);
    await bench.pass(MINUTE);
    await end();
    expect(commentOf(bench)).toContain('of the others: **refused**');
  });
});

describe('the status of commits that a change has left behind', () => {
  it('ends as soon as the head moves, also after a restart, and on the head only there is another', async () => {
    const bench = new AnnounceBench();
    const first = bench.propose(1, FILES);
    const running = bench.announcing();
    await bench.pass(20_000);
    const second = bench.propose(1, OTHER);
    await bench.pass(20_000);
    expect(statusOf(bench, first)).toMatchObject({ state: 'error', description: 'superseded: change 1 has gone on' });
    expect(statusOf(bench, second)?.state).toBe('pending');
    await running.end();
    const commits = [first, second].map((oid) => ({ ...PUSHED, oid }));
    const third = bench.propose(1, FILES, { commits });
    const again = bench.announcing();
    await bench.pass(20_000);
    await again.end();
    expect([first, second, third].map((commit) => statusOf(bench, commit)?.state)).toEqual([
      'error',
      'error',
      'pending',
    ]);
  });

  it('is not touched where none stood, where it is final, and where it is of another change', async () => {
    const bench = new AnnounceBench();
    const base = bench.propose(1, FILES);
    const [silent, final] = [bench.head(FILES), bench.head(FILES)];
    const done = { context: 'edge-dispatcher', state: 'success', description: 'succeeded: a', url: null } as const;
    await bench.people.setStatus(final, done);
    const commits = [base, silent, final].map((oid) => ({ ...PUSHED, oid }));
    bench.propose(2, { ...FILES, 'vault/actions/b.toml': action('b') }, { commits });
    const { end } = bench.announcing();
    await bench.pass(MINUTE);
    await end();
    expect(statusOf(bench, base)).toMatchObject({ state: 'pending', description: 'runs once merged: a' });
    expect([statusOf(bench, silent), statusOf(bench, final)]).toEqual([undefined, done]);
  });

  it('says how it went where the branch of the change moved on after the merge', async () => {
    const bench = new AnnounceBench();
    const seen = bench.propose(1, FILES);
    const { end } = bench.announcing();
    await bench.pass(20_000);
    const moved = bench.head(OTHER);
    bench.propose(1, FILES, { change: { head: moved }, commits: [{ ...PUSHED, oid: seen }] });
    bench.mergeChange(1, FILES);
    await bench.pass(MINUTE);
    await end();
    expect([statusOf(bench, seen)?.description, statusOf(bench, moved)]).toEqual(['succeeded: a', undefined]);
  });

  it('is final where the change was closed, or does not concern us any more', async () => {
    const bench = new AnnounceBench();
    const closed = bench.propose(1, FILES);
    const dropped = bench.propose(2, { 'vault/actions/b.toml': action('b') });
    const { end } = bench.announcing();
    await bench.pass(20_000);
    bench.people.put({ files: Object.keys(FILES), change: openChange(1, closed, { state: 'closed' }) });
    const left = bench.propose(2, { 'README.md': 'nothing of ours' });
    await bench.pass(MINUTE);
    await end();
    const states = [closed, dropped, left].map((commit) => statusOf(bench, commit));
    expect(states).toMatchObject([
      { state: 'error', description: 'closed without a merge: nothing of it runs' },
      { state: 'error', description: 'superseded: change 2 has gone on' },
      { state: 'success' },
    ]);
    expect(commentOf(bench, 2)).toContain('nothing of this change concerns it any more');
  });
});

const nobody = { name: 'Ada', email: 'ada@example.org' };
const PUSHED = { author: nobody, committer: nobody, coAuthors: [], accounts: [] };
