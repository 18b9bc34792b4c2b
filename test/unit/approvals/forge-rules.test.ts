import { beforeEach, describe, expect, it } from 'vitest';
import type { Review } from '../../../src/domain/change.ts';
import type { Oid } from '../../../src/domain/ids.ts';
import type { Approver } from '../../../src/domain/policy.ts';
import { TransientError } from '../../../src/errors.ts';
import type { ApprovalRule, ApprovalSubject } from '../../../src/ports/approval.ts';
import { allRules } from '../../fakes/approval-rules.ts';
import { ManualClock } from '../../fakes/manual-clock.ts';
import { account, MemoryForge, openChange } from '../../fakes/memory-forge.ts';
import { MemoryOpsRepo } from '../../fakes/memory-ops-repo.ts';

const PATH = 'vault/actions/a.toml';
const FORMULA = 'vault/formulas/release.toml';
const jane = account(3, 'jane');
const dev = { name: 'dev', email: 'dev@example.org' };
const approvers: Approver[] = [
  { name: 'Jane', forge: { url: 'https://forge.example', id: 3, login: 'jane' }, keys: [] },
];

let repo: MemoryOpsRepo;
let forge: MemoryForge;
let clock: ManualClock;
let base: Oid;

beforeEach(() => {
  repo = new MemoryOpsRepo();
  forge = new MemoryForge();
  clock = new ManualClock();
  base = repo.make([], { [FORMULA]: 'v1', 'README.md': 'x' });
});

function rule(terms = {}, name = 'forge-review'): ApprovalRule {
  return allRules(repo, { forge, clock, terms: { graceMs: 600_000, ...terms } }).get(name) as ApprovalRule;
}

function approval(commit: string, given: Partial<Review> = {}): Review {
  const usual = { verdict: 'approved', dismissed: false, at: '2026-03-31T11:30:00Z', url: 'review' } as const;
  return { by: jane, commit, ...usual, ...given };
}

/** A change number 1 with the action, reviewed at its head and merged on top of `onto`. */
function proposed(content = 'bytes', onto = base): { head: Oid; merged: Oid } {
  const head = repo.make([base], { [PATH]: content }, { author: dev, committer: dev });
  const merged = repo.merge(onto, head);
  forge.put({ change: openChange(1, head), files: [PATH], reviews: [approval(head)] });
  forge.merge(1, merged, account(5, 'dev'));
  return { head, merged };
}

function about(tip: Oid, at: Oid, given: Partial<ApprovalSubject> = {}): ApprovalSubject {
  const path = given.path ?? PATH;
  return {
    path,
    blob: repo.blobAt(at, path),
    tip,
    formulaPath: FORMULA,
    approvers,
    selfApprove: false,
    ...given,
  };
}

const asked = (call: string) => forge.calls.filter((each) => each.startsWith(call)).length;

describe('the change that brought some bytes', () => {
  it('is the one that the forge maps to the commit which set them, with the formula beside the reviewed commit (R1, R22)', async () => {
    const { head, merged } = proposed();
    const verdict = await rule().evaluate(about(merged, merged));
    const formulaBlob = repo.blobAt(base, FORMULA);
    expect(verdict).toMatchObject({ kind: 'met', evidence: [{ by: 'Jane', commit: head, formulaBlob }] });
  });

  it('is found at a later commit of the same change, as after a rebase, if it touches the path (R3)', async () => {
    const setter = repo.make([base], { [PATH]: 'bytes' }, { author: dev });
    const last = repo.make([setter], { 'notes.md': '1' }, { author: dev });
    forge.put({ change: openChange(1, last), files: [PATH, 'notes.md'], reviews: [approval(last)] });
    forge.merge(1, last);
    expect(await rule().evaluate(about(last, setter))).toMatchObject({ kind: 'met' });
  });

  it('is none when a direct push was followed by the merge of a change that does not touch the path (R1)', async () => {
    const pushed = repo.make([base], { [PATH]: 'bytes' }, { author: dev });
    const last = repo.make([pushed], { 'notes.md': '1' });
    forge.put({ change: openChange(1, last), files: ['notes.md'], reviews: [approval(last)] });
    forge.merge(1, last);
    expect(await rule({ graceMs: 0 }).evaluate(about(last, pushed))).toMatchObject({
      kind: 'refused',
      code: 'ERR_NO_CHANGE',
    });
  });

  it('is none when it was merged into another branch (R3)', async () => {
    const { head, merged } = proposed();
    const change = openChange(1, head, { base: 'side', state: 'merged', merge: { commit: merged, by: null, at: 'x' } });
    forge.put({ change, files: [PATH], reviews: [approval(head)] });
    expect(await rule({ graceMs: 0 }).evaluate(about(merged, merged))).toMatchObject({ code: 'ERR_NO_CHANGE' });
  });

  it('is none for bytes that were edited on the branch afterwards, nor for old bytes that came back (R1)', async () => {
    const { merged } = proposed();
    const edited = repo.make([merged], { [PATH]: 'other' });
    const back = repo.make([edited], { [PATH]: 'bytes' });
    const seen = [about(edited, edited), about(back, back)].map((subject) => rule({ graceMs: 0 }).evaluate(subject));
    expect(await Promise.all(seen)).toMatchObject([{ code: 'ERR_NO_CHANGE' }, { code: 'ERR_NO_CHANGE' }]);
  });
});

describe('bytes that the branch held once', () => {
  it('are not approved by a review of a line that never touched them (R1)', async () => {
    const planted = repo.make([base], { [PATH]: 'evil' }, { author: dev });
    const reviewed = repo.make([planted], { 'README.md': 'typo' }, { author: dev });
    const removed = repo.make([planted], { [PATH]: null });
    const head = repo.merge(reviewed, removed, { [PATH]: 'evil' });
    const merged = repo.merge(removed, head, { [PATH]: 'evil', 'README.md': 'typo' });
    forge.put({ change: openChange(1, head), files: ['README.md', PATH], reviews: [approval(reviewed)] });
    forge.merge(1, merged);
    const verdict = await rule().evaluate(about(merged, merged));
    expect(verdict).toMatchObject({ kind: 'waiting', code: 'ERR_NEEDS_APPROVAL' });
    expect(verdict).toHaveProperty('message', expect.stringContaining('nobody was shown it'));
  });

  it('are approved by a review of a line that brings them back (R1)', async () => {
    const first = repo.make([base], { [PATH]: 'bytes' });
    const second = repo.make([first], { [PATH]: 'other' });
    const back = repo.make([second], { [PATH]: 'bytes' }, { author: dev, committer: dev });
    const merged = repo.merge(second, back);
    forge.put({ change: openChange(1, back), files: [PATH], reviews: [approval(back)] });
    forge.merge(1, merged);
    expect(await rule().evaluate(about(merged, merged))).toMatchObject({ kind: 'met' });
  });
});

describe('a change that the forge maps, but that does not touch the file', () => {
  it('proves nothing, and refuses nothing: somebody may have marked it as merged by hand (R1)', async () => {
    const pushed = repo.make([base], { [PATH]: 'bytes' });
    const reviewed = repo.make([base], { 'README.md': 'typo' });
    forge.put({ change: openChange(1, reviewed), files: ['README.md'], reviews: [approval(pushed)] });
    forge.merge(1, pushed);
    const verdict = await rule({ graceMs: 0 }).evaluate(about(pushed, pushed));
    expect(verdict).toMatchObject({ kind: 'waiting', code: 'ERR_NEEDS_APPROVAL' });
  });
});

describe('what git says of a reviewed commit', () => {
  it('is asked of the server by id when the commit is on no branch (R1)', async () => {
    const { merged, head } = proposed();
    const pushedOver = repo.make([base], { [PATH]: 'first bytes' });
    repo.unfetched.add(pushedOver);
    forge.put({ change: openChange(1, head), files: [PATH], reviews: [approval(pushedOver)] });
    forge.merge(1, merged);
    expect(await rule().evaluate(about(merged, merged))).toMatchObject({ code: 'ERR_APPROVED_OTHER_BYTES' });
  });

  it.each(['', 'abbreviated', 'upper case'])('is nothing for an id that is no full one: %s (R1)', async (kind) => {
    const { merged, head } = proposed();
    const id = { '': '', abbreviated: head.slice(0, 12), 'upper case': head.toUpperCase() }[kind] ?? '';
    forge.put({ change: openChange(1, head), files: [PATH], reviews: [approval(id)] });
    forge.merge(1, merged);
    const verdict = await rule().evaluate(about(merged, merged));
    // Letters alone make a difference of case.
    expect(/[a-f]/.test(head)).toBe(true);
    expect(verdict).toMatchObject({ kind: 'waiting', code: 'ERR_APPROVED_OTHER_BYTES' });
  });
});

describe('a definite no', () => {
  it('is said only after the grace time, and only of what was read after it (R20)', async () => {
    const pushed = repo.make([base], { [PATH]: 'bytes' });
    const review = rule();
    const early = await review.evaluate(about(pushed, pushed));
    expect(early).toMatchObject({ kind: 'waiting', code: 'ERR_NO_CHANGE' });
    clock.advance(599_000);
    expect(await review.evaluate(about(pushed, pushed))).toMatchObject({ kind: 'waiting' });
    clock.advance(11_000);
    expect(await review.evaluate(about(pushed, pushed))).toMatchObject({ kind: 'refused', code: 'ERR_NO_CHANGE' });
  });

  it('is not said while the forge is away, however long that lasts (R20, E2)', async () => {
    const pushed = repo.make([base], { [PATH]: 'bytes' });
    const review = rule();
    forge.failure = new TransientError('ERR_FORGE_UNAVAILABLE', 'away');
    for (let minutes = 0; minutes < 60; minutes += 5) {
      await expect(review.evaluate(about(pushed, pushed))).rejects.toThrow('away');
      clock.advance(300_000);
    }
  });

  it('is not said by a forge that does not know the commit: a mirror that lags, or another repository (R20)', async () => {
    const pushed = repo.make([base], { [PATH]: 'bytes' });
    forge.unknown.add(pushed);
    const review = rule({ graceMs: 0 });
    await expect(review.evaluate(about(pushed, pushed))).rejects.toMatchObject({ code: 'ERR_FORGE_UNAVAILABLE' });
    forge.unknown.clear();
    clock.advance(5_000);
    expect(await review.evaluate(about(pushed, pushed))).toMatchObject({ kind: 'refused', code: 'ERR_NO_CHANGE' });
  });

  it('is not said where a change of more commits than are looked at may still map to it', async () => {
    const setter = repo.make([base], { [PATH]: 'bytes' }, { author: dev });
    let tip = setter;
    for (let at = 0; at < 120; at += 1) tip = repo.make([tip], { 'notes.md': `${at}` }, { author: dev });
    expect(await rule({ graceMs: 0 }).evaluate(about(tip, setter))).toMatchObject({ kind: 'waiting' });
  });

  it('is not said of a merge that the forge learns of late', async () => {
    const head = repo.make([base], { [PATH]: 'bytes' }, { author: dev });
    const merged = repo.merge(base, head);
    const review = rule();
    expect(await review.evaluate(about(merged, merged))).toMatchObject({ kind: 'waiting', code: 'ERR_NO_CHANGE' });
    forge.put({ change: openChange(1, head), files: [PATH], reviews: [approval(head)] });
    forge.merge(1, merged);
    clock.advance(5_000);
    expect(await review.evaluate(about(merged, merged))).toMatchObject({ kind: 'met' });
  });
});

describe('asking the forge', () => {
  it('is done now and then while something waits, less often the longer that lasts (R20)', async () => {
    const { merged, head } = proposed();
    forge.put({ change: openChange(1, head), files: [PATH] });
    forge.merge(1, merged);
    const review = rule();
    const during = async (seconds: number) => {
      const before = asked('reviews');
      for (let at = 0; at < seconds; at += 5) {
        await review.evaluate(about(merged, merged));
        clock.advance(5_000);
      }
      return asked('reviews') - before;
    };
    expect(await during(60)).toBe(12);
    await during(7_200);
    expect(await during(600)).toBeLessThanOrEqual(5);
  });

  it('is shared out when many wait: each is asked about less often (R20)', async () => {
    const paths = Array.from({ length: 100 }, (_, at) => `vault/actions/a${at}.toml`);
    const tip = repo.make([base], Object.fromEntries(paths.map((path) => [path, path])));
    const review = rule({ graceMs: 3_600_000 });
    const look = () => Promise.all(paths.map((path) => review.evaluate(about(tip, tip, { path }))));
    await look();
    const first = asked('changeOf');
    for (let at = 0; at < 90; at += 5) {
      clock.advance(5_000);
      await look();
    }
    expect(asked('changeOf')).toBe(first);
  });

  it('is done at once for the claim, whatever was said before (R1)', async () => {
    const { merged, head } = proposed();
    const review = rule();
    expect(await review.evaluate(about(merged, merged))).toMatchObject({ kind: 'met' });
    forge.put({ change: openChange(1, head), files: [PATH], reviews: [approval(head, { dismissed: true })] });
    forge.merge(1, merged);
    expect(await review.evaluate(about(merged, merged))).toMatchObject({ kind: 'met' });
    expect(await review.evaluate(about(merged, merged, { fresh: true }))).toMatchObject({ code: 'ERR_NEEDS_APPROVAL' });
  });

  it('goes on for others when one of those who asked stops waiting', async () => {
    const { merged } = proposed();
    const review = rule();
    const stop = new AbortController();
    const first = review.evaluate(about(merged, merged), stop.signal);
    const second = review.evaluate(about(merged, merged));
    stop.abort(new Error('we are stopping'));
    await expect(first).rejects.toThrow('we are stopping');
    expect(await second).toMatchObject({ kind: 'met' });
  });

  it('is done once for all rules that want to know', async () => {
    const { merged } = proposed();
    const rules = allRules(repo, { forge, clock });
    const subject = about(merged, merged);
    const both = [rules.get('forge-review'), rules.get('forge-merge')].filter((each) => each !== undefined);
    await Promise.all(both.map((each) => each.evaluate(subject)));
    expect(both).toHaveLength(2);
    expect([asked('changeOf'), asked('reviews'), asked('history')]).toEqual([1, 1, 1]);
  });

  it('is done again for the log of pushes until that names who pushed the merge', async () => {
    const { merged, head } = proposed();
    const merge = rule({}, 'forge-merge');
    forge.merge(1, merged, jane);
    expect(await merge.evaluate(about(merged, merged))).toMatchObject({ kind: 'waiting' });
    const history = { pushes: [], landedBy: jane, scheduled: false, retargetedAt: null };
    forge.put({ change: openChange(1, head), files: [PATH], history });
    forge.merge(1, merged, jane);
    clock.advance(5_000);
    expect(await merge.evaluate(about(merged, merged))).toMatchObject({ kind: 'met', evidence: [{ by: 'Jane' }] });
  });

  it('is asked who administers the repository only where administrators are entitled (R2)', async () => {
    const { merged } = proposed();
    forge.admins.add(3);
    const subject = about(merged, merged, { approvers: [] });
    expect(await rule().evaluate(subject)).toMatchObject({ kind: 'waiting' });
    expect(asked('isAdmin')).toBe(0);
    expect(await rule({ forgeAdmins: true }).evaluate(subject)).toMatchObject({
      kind: 'met',
      evidence: [{ person: 'jane' }],
    });
  });
});
