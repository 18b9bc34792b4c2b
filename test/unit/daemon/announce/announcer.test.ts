import { describe, expect, it } from 'vitest';
import { StalledError, TransientError } from '../../../../src/errors.ts';
import type { ApprovalRule } from '../../../../src/ports/approval.ts';
import { AnnounceBench } from '../../../fakes/announce-bench.ts';
import { account } from '../../../fakes/memory-forge.ts';
import { action } from '../../../fakes/story-bench.ts';

const PATH = 'vault/actions/a.toml';
const FILES = { [PATH]: action('a') };
const MINUTE = 60_000;

const statusOf = (bench: AnnounceBench, commit: string) => bench.people.statuses.get(`${commit} edge-dispatcher`);
const commentOf = (bench: AnnounceBench, change = 1) => bench.people.comments.get(change);
const asked = (bench: AnnounceBench, call: string) => bench.people.calls.filter((each) => each.startsWith(call)).length;

describe('what people see of an open change', () => {
  it('is one comment with the plan and one status, and nothing more while nothing changes', async () => {
    const bench = new AnnounceBench();
    const head = bench.propose(1, FILES);
    const { end } = bench.announcing();
    await bench.pass(20_000);
    const writes = bench.people.writes();
    await bench.pass(10 * MINUTE);
    await end();
    expect(commentOf(bench)).toMatchObject({ writes: 1, body: expect.stringContaining('### action `a`') });
    expect(commentOf(bench)?.body).toContain('formula `tidy`');
    expect(commentOf(bench)?.body).toContain('runs `true`');
    expect(statusOf(bench, head)).toMatchObject({ state: 'pending', description: 'runs once merged: a' });
    expect([writes, bench.people.writes()]).toEqual([2, 2]);
  });

  it('follows the head: the same comment is edited, the new commit gets the status', async () => {
    const bench = new AnnounceBench();
    bench.propose(1, FILES);
    const { end } = bench.announcing();
    await bench.pass(20_000);
    const head = bench.propose(1, { [PATH]: 'id = "b"' });
    await bench.pass(20_000);
    await end();
    expect(commentOf(bench)).toMatchObject({ writes: 2, body: expect.stringContaining('ERR_ACTION_ID') });
    expect(statusOf(bench, head)).toMatchObject({ state: 'failure', description: 'cannot run: a' });
  });

  it('tells a link, a folder and what is no formula apart from a plan', async () => {
    const bench = new AnnounceBench();
    const link = bench.propose(1, FILES, { kind: 'symlink' });
    const unknown = bench.propose(2, { [PATH]: action('a', { formula: 'nix' }) });
    const { end } = bench.announcing();
    await bench.pass(20_000);
    await end();
    expect([commentOf(bench)?.body, commentOf(bench, 2)?.body]).toEqual([
      expect.stringContaining('ERR_FILE_KIND'),
      expect.stringContaining('ERR_FORMULA_UNKNOWN'),
    ]);
    expect([statusOf(bench, link)?.state, statusOf(bench, unknown)?.state]).toEqual(['failure', 'failure']);
  });

  it('does not call an action wrong whose formula comes with the same change', async () => {
    const bench = new AnnounceBench();
    const formula = 'name = "new"\ndescription = "New"\ncommand = ["make", "it"]\nsecrets = ["NEW_TOKEN"]\n';
    const files = { [PATH]: action('a', { formula: 'new' }), 'vault/formulas/new.toml': formula };
    const head = bench.propose(1, files);
    const { end } = bench.announcing();
    await bench.pass(20_000);
    await end();
    expect(commentOf(bench)?.body).toContain('ERR_FORMULA_UNAPPROVED');
    expect(commentOf(bench)?.body).toContain('**added** field `secrets`: `["NEW_TOKEN"]`');
    expect(statusOf(bench, head)?.state).toBe('pending');
  });

  it('shows who could approve what after an edit of the policy', async () => {
    const bench = new AnnounceBench();
    const eve = '[[approvers]]\nname = "Eve"\nforge = { url = "https://forge.example", id = 6, login = "eve" }\n';
    bench.propose(1, { 'vault/policy.toml': `[tiers]\ntidy = "low"\nrelease = "low"\n${eve}` });
    const { end } = bench.announcing();
    await bench.pass(20_000);
    await end();
    const body = commentOf(bench)?.body;
    expect(body).toContain('**added** approver `Eve`: `eve (id 6) of https://forge.example`');
    expect(body).toContain('**added** tier of `release`: `low`');
    expect(body).toContain('approved at the high tier by the approvers in force');
  });

  it('is nothing where the change concerns no file of ours, which is looked into once', async () => {
    const bench = new AnnounceBench();
    bench.propose(1, { 'README.md': 'hello', 'vault/actions/a.result.json': '{}' });
    const { end } = bench.announcing();
    await bench.pass(5 * MINUTE);
    await end();
    expect([bench.people.writes(), asked(bench, 'files')]).toEqual([0, 1]);
  });

  it('asks the forge for the open changes no more than every 15 seconds (R17)', async () => {
    const bench = new AnnounceBench();
    const { end } = bench.announcing();
    await bench.pass(5 * MINUTE);
    await end();
    expect(asked(bench, 'openChanges')).toBeLessThanOrEqual(21);
    expect(asked(bench, 'openChanges')).toBeGreaterThanOrEqual(18);
  });

  it('tells whose review counts for exactly these bytes, and that other bytes were approved', async () => {
    const bench = new AnnounceBench();
    bench.rules.set('forge-review', waitingRule);
    const grace = '[[approvers]]\nname = "Grace"\nforge = { url = "https://forge.example", id = 7, login = "grace" }\n';
    bench.repo.commitFiles({ 'vault/policy.toml': `[tiers]\ntidy = "high"\n${grace}` });
    const review = { by: account(7, 'grace'), verdict: 'approved', dismissed: false, at: '', url: '' } as const;
    const head = bench.propose(1, FILES);
    bench.propose(1, FILES, { change: { head }, reviews: [{ ...review, commit: head }] });
    bench.propose(2, { 'vault/actions/b.toml': action('b') }, { reviews: [{ ...review, commit: head }] });
    const high = { all: ['forge-review'], any: [], atLeast: 0, selfApprove: false };
    const { end } = bench.announcing({ settings: { requirements: { low: high, medium: high, high } } });
    await bench.pass(20_000);
    await end();
    expect(commentOf(bench)?.body).toContain('rule `forge-review` **met**: `Grace approved these very bytes`');
    expect(statusOf(bench, head)?.description).toBe('runs once merged: a');
    expect(commentOf(bench, 2)?.body).toMatch(
      /rule `forge-review` \*\*not met\*\*: `Grace approved commit .* other bytes/,
    );
  });
});

/** Nobody has approved anything, as far as the branch tells. */
const waitingRule: ApprovalRule = {
  name: 'forge-review',
  countsPeople: true,
  evaluate: async () => ({ kind: 'waiting', code: 'ERR_NEEDS_APPROVAL', message: 'nobody entitled has approved it' }),
};

describe('what people see of a merged change', () => {
  it('is the outcome with a link in the same comment, and the status of head and merge (R20)', async () => {
    const bench = new AnnounceBench();
    bench.engine.behaviours.set('a', { runMs: 30_000 });
    const head = bench.propose(1, FILES);
    const { end } = bench.announcing();
    await bench.pass(20_000);
    const commit = bench.mergeChange(1, FILES);
    await bench.pass(20_000);
    expect(commentOf(bench)?.body).toContain('**under way**: running');
    expect(statusOf(bench, commit)?.state).toBe('pending');
    await bench.pass(2 * MINUTE);
    const writes = bench.people.writes();
    await bench.pass(5 * MINUTE);
    await end();
    expect(bench.result('a')?.outcome).toBe('succeeded');
    expect(commentOf(bench)?.body).toContain(
      '[result](https://forge.example/ops/ops/src/branch/main/vault/actions/a.result.json)',
    );
    expect([statusOf(bench, head), statusOf(bench, commit)]).toMatchObject([
      { state: 'success' },
      { state: 'success' },
    ]);
    expect(bench.people.comments.size).toBe(1);
    expect(bench.people.writes()).toBe(writes);
  });

  it('gives no good status to a head that was moved to other bytes after the merge (R1)', async () => {
    const bench = new AnnounceBench();
    bench.propose(1, FILES);
    const { end } = bench.announcing();
    await bench.pass(20_000);
    const other = bench.head({ [PATH]: action('a', { context: 'other bytes' }) });
    bench.propose(1, FILES, { change: { head: other } });
    const commit = bench.mergeChange(1, FILES);
    await bench.pass(MINUTE);
    await end();
    expect(statusOf(bench, commit)?.state).toBe('success');
    expect(statusOf(bench, other)).toBeUndefined();
  });

  it('says why an action waits, and that it failed', async () => {
    const bench = new AnnounceBench();
    bench.engine.behaviours.set('a', { exitCode: 3 });
    const files = { [PATH]: action('a'), 'vault/actions/b.toml': action('b', { not_before: '2026-04-01T00:00:00Z' }) };
    bench.propose(1, files);
    const { end } = bench.announcing();
    await bench.pass(20_000);
    const commit = bench.mergeChange(1, files);
    await bench.pass(2 * MINUTE);
    await end();
    const body = commentOf(bench)?.body;
    expect(body).toContain('**failed** with 3');
    expect(body).toContain('**waiting** `ERR_NOT_BEFORE`');
    expect(statusOf(bench, commit)).toMatchObject({ state: 'failure', description: 'did not succeed: a' });
  });

  it('is found again after a restart, and not repeated', async () => {
    const bench = new AnnounceBench();
    bench.propose(1, FILES);
    const first = bench.announcing();
    await bench.pass(20_000);
    bench.mergeChange(1, FILES);
    await bench.pass(4_000);
    await first.end();
    expect(commentOf(bench)?.body).not.toContain('**succeeded**');
    const second = bench.announcing();
    await bench.pass(2 * MINUTE);
    await second.end();
    const told = commentOf(bench);
    expect(told?.body).toContain('**succeeded**');
    const third = bench.announcing();
    await bench.pass(2 * MINUTE);
    await third.end();
    expect(commentOf(bench)).toEqual(told);
  });

  it('says of a change that was closed that nothing of it runs', async () => {
    const bench = new AnnounceBench();
    bench.propose(1, FILES);
    const { end } = bench.announcing();
    await bench.pass(20_000);
    bench.propose(1, FILES, { change: { state: 'closed' } });
    await bench.pass(MINUTE);
    await end();
    expect(commentOf(bench)?.body).toContain('closed without a merge, and nothing of it runs');
  });
});

describe('telling people', () => {
  it('holds up and changes nothing while the forge is away, is said now and then, and made up for later (R5)', async () => {
    const bench = new AnnounceBench();
    const { end, log } = bench.announcing();
    await bench.pass(10_000);
    bench.people.failure = new TransientError('ERR_FORGE_UNAVAILABLE', 'the forge does not answer');
    bench.propose(1, FILES);
    bench.mergeChange(1, FILES);
    await bench.pass(5 * MINUTE);
    expect(bench.result('a')?.outcome).toBe('succeeded');
    const lines = log.filter(({ message }) => message === 'cannot tell people on the forge');
    expect(lines.length).toBeGreaterThan(3);
    expect(lines.length).toBeLessThanOrEqual(11);
    bench.people.failure = null;
    await bench.pass(2 * MINUTE);
    await end();
    expect(commentOf(bench)?.body).toContain('**succeeded**');
  });

  it('leaves a change alone that it may not comment on, and goes on with the others', async () => {
    const bench = new AnnounceBench();
    const comment = bench.people.comment.bind(bench.people);
    bench.people.comment = async (change, marker, body) => {
      if (change === 2) throw new StalledError('ERR_FORGE_DENIED', 'the conversation is locked');
      await comment(change, marker, body);
    };
    bench.propose(1, FILES);
    bench.propose(2, { 'vault/actions/b.toml': action('b') });
    const { end } = bench.announcing();
    await bench.pass(MINUTE);
    await end();
    expect([...bench.people.comments.keys()]).toEqual([1]);
  });

  it('writes at most 30 times a minute, and everything in the end', async () => {
    const bench = new AnnounceBench();
    for (let index = 1; index <= 40; index += 1) {
      bench.propose(index, { [`vault/actions/a${index}.toml`]: action(`a${index}`) });
    }
    const { end } = bench.announcing();
    await bench.pass(50_000);
    expect(bench.people.writes()).toBe(30);
    await bench.pass(4 * MINUTE);
    await end();
    expect([bench.people.comments.size, bench.people.statuses.size]).toEqual([40, 40]);
  });
});
