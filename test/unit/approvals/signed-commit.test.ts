import { beforeEach, describe, expect, it } from 'vitest';
import { signedCommit } from '../../../src/approvals/signed-commit.ts';
import type { Oid } from '../../../src/domain/ids.ts';
import type { Approver } from '../../../src/domain/policy.ts';
import { InvalidError, TransientError } from '../../../src/errors.ts';
import type { ApprovalRule, ApprovalSubject } from '../../../src/ports/approval.ts';
import { MemoryOpsRepo } from '../../fakes/memory-ops-repo.ts';

const PATH = 'vault/actions/release.toml';
const FORMULA = 'vault/formulas/release.toml';
const person = (name: string) => ({ name, email: `${name.toLowerCase()}@example.org` });
const approver = (name: string, ...keys: string[]): Approver => ({
  name,
  forge: null,
  keys: keys.map((key) => ({ principal: `${name.toLowerCase()}@example.org`, key })),
});
const APPROVERS = [approver('Jane', 'jane-key', 'jane-other-key'), approver('Joe', 'joe-key')];

let repo: MemoryOpsRepo;
let rule: ApprovalRule;
let root: Oid;

beforeEach(() => {
  repo = new MemoryOpsRepo();
  rule = signedCommit.create({ opsRepo: repo });
  root = repo.make([], { [FORMULA]: 'v1', README: 'ops' });
});

/** What the rule says of the bytes that lie at the tip. */
function ask(tip: Oid, changes: Partial<ApprovalSubject> = {}) {
  const blob = changes.blob ?? repo.blobAt(tip, changes.path ?? PATH);
  const subject = { path: PATH, blob, tip, formulaPath: FORMULA, approvers: APPROVERS, selfApprove: false };
  return rule.evaluate({ ...subject, ...changes });
}

const waiting = (message: string) => ({
  kind: 'waiting',
  code: 'ERR_NEEDS_APPROVAL',
  message: expect.stringContaining(message),
});

describe('a commit on the branch', () => {
  it('that an approver signed approves the bytes that it sets, and names the formula beside them', async () => {
    const tip = repo.make(
      [root],
      { [PATH]: 'A' },
      { author: person('Ann'), committer: person('Jane'), signedBy: 'jane-key' },
    );
    expect(await ask(tip)).toEqual({
      kind: 'met',
      evidence: [
        {
          rule: 'signed-commit',
          by: 'Jane',
          person: 'Jane',
          what: tip,
          commit: tip,
          at: (await repo.commit(tip)).committedAt,
          formulaBlob: repo.blobAt(root, FORMULA),
        },
      ],
    });
  });

  it('tells which of the approvers signed, by any of their keys (R23)', async () => {
    const byJoe = repo.make([root], { [PATH]: 'A' }, { signedBy: 'joe-key' });
    expect(await ask(byJoe)).toMatchObject({ evidence: [{ person: 'Joe' }] });
    const byJane = repo.make([root], { [PATH]: 'B' }, { signedBy: 'jane-other-key' });
    expect(await ask(byJane)).toMatchObject({ evidence: [{ person: 'Jane' }] });
  });

  it('binds no formula where none stood beside, or where none is asked for', async () => {
    const tip = repo.make([], { [PATH]: 'A' }, { signedBy: 'jane-key' });
    expect(await ask(tip)).toMatchObject({ evidence: [{ formulaBlob: null }] });
    const beside = repo.make([root], { [PATH]: 'A' }, { signedBy: 'jane-key' });
    expect(await ask(beside, { formulaPath: null })).toMatchObject({ evidence: [{ formulaBlob: null }] });
  });

  it.each([
    ['is not signed', undefined, 'is not signed'],
    ['is signed by a key that nobody knows', 'stranger-key', 'is by no key of an approver'],
    ['has a broken signature', 'broken', 'is broken'],
  ])('that %s approves nothing, and says so', async (_, signedBy, message) => {
    const tip = repo.make([root], { [PATH]: 'A' }, signedBy === undefined ? {} : { signedBy });
    expect(await ask(tip)).toEqual(waiting(message));
  });

  it('that somebody signed who is no approver any more approves nothing', async () => {
    const tip = repo.make([root], { [PATH]: 'A' }, { signedBy: 'jane-key' });
    expect(await ask(tip, { approvers: APPROVERS.slice(1) })).toEqual(waiting('by no key of an approver'));
    expect(await ask(tip, { approvers: [] })).toEqual(waiting('by no key of an approver'));
    expect((await ask(tip)).kind).toBe('met');
  });

  it('that its author signed approves nothing, unless the tier says so (R23)', async () => {
    const tip = repo.make([root], { [PATH]: 'A' }, { author: person('Jane'), signedBy: 'jane-key' });
    expect(await ask(tip)).toEqual(waiting('signed by Jane, who is an author of the change'));
    expect(await ask(tip, { selfApprove: true })).toMatchObject({ kind: 'met', evidence: [{ person: 'Jane' }] });
  });

  it('that a co-author signed approves nothing (R23)', async () => {
    const tip = repo.make([root], { [PATH]: 'A' }, { coAuthors: [person('Jane')], signedBy: 'jane-key' });
    expect(await ask(tip)).toEqual(waiting('is an author'));
  });
});

describe('bytes other than those that were signed (R1)', () => {
  it('are not approved when they come after, and the old ones are not at the tip', async () => {
    const signed = repo.make([root], { [PATH]: 'A' }, { signedBy: 'jane-key' });
    const edited = repo.make([signed], { [PATH]: 'B' });
    expect(await ask(edited)).toEqual(waiting('is not signed'));
    expect(await ask(edited, { blob: repo.blobAt(signed, PATH) })).toEqual(waiting('sets exactly these bytes'));
  });

  it('that come back by a revert need a signature of their own', async () => {
    const signed = repo.make([root], { [PATH]: 'A' }, { signedBy: 'jane-key' });
    const edited = repo.make([signed], { [PATH]: 'B' });
    expect(await ask(repo.make([edited], { [PATH]: 'A' }))).toEqual(waiting('is not signed'));
    expect(await ask(repo.make([edited], { [PATH]: 'A' }, { signedBy: 'joe-key' }))).toMatchObject({ kind: 'met' });
  });

  it('that come back after a deletion need a signature of their own', async () => {
    const signed = repo.make([root], { [PATH]: 'A' }, { signedBy: 'jane-key' });
    const gone = repo.make([signed], { [PATH]: null });
    expect(await ask(repo.make([gone], { [PATH]: 'A' }))).toEqual(waiting('is not signed'));
  });

  it('are not approved at another path, by copy or rename', async () => {
    const signed = repo.make([root], { [PATH]: 'A' }, { signedBy: 'jane-key' });
    const other = 'vault/actions/other.toml';
    expect(await ask(repo.make([signed], { [other]: 'A' }), { path: other })).toEqual(waiting('is not signed'));
    expect(await ask(repo.make([signed], { [PATH]: null, [other]: 'A' }), { path: other })).toEqual(
      waiting('is not signed'),
    );
  });

  it('stay approved while later commits, signed by whomever, leave them alone', async () => {
    const signed = repo.make([root], { [PATH]: 'A' }, { signedBy: 'jane-key' });
    expect((await ask(repo.make([signed], { README: 'more' }))).kind).toBe('met');
  });

  it('are not approved by a later signed commit whose tree merely holds them', async () => {
    const unsigned = repo.make([root], { [PATH]: 'A' });
    const signed = repo.make([unsigned], { README: 'more' }, { signedBy: 'jane-key' });
    expect(await ask(signed)).toEqual(waiting('is not signed'));
  });

  it('are no bytes at all where a link points to them', async () => {
    const tip = repo.make([root], { [PATH]: { kind: 'symlink', content: 'A' } }, { signedBy: 'jane-key' });
    expect(await ask(tip)).toEqual(waiting('sets exactly these bytes'));
  });

  it('are nowhere where nothing ever was', async () => {
    expect(await ask(root, { blob: repo.blobAt(root, 'README') })).toEqual(waiting('sets exactly these bytes'));
  });
});

describe('a merge', () => {
  it('brings the approval of the commit on its side that introduced the bytes', async () => {
    const side = repo.make([root], { [PATH]: 'A' }, { author: person('Ann'), signedBy: 'jane-key' });
    const tip = repo.merge(repo.make([root], { README: 'more' }), side);
    expect(await ask(tip)).toMatchObject({ kind: 'met', evidence: [{ commit: side, person: 'Jane' }] });
  });

  it('that an approver signed approves what it brings, unless it is theirs (R23)', async () => {
    const by = (name: string) => repo.make([root], { [PATH]: 'A' }, { author: person(name) });
    const merge = (name: string) => repo.merge(root, by(name), {}, { author: person('Jane'), signedBy: 'jane-key' });
    const tip = merge('Ann');
    expect(await ask(tip)).toMatchObject({ kind: 'met', evidence: [{ commit: tip, person: 'Jane' }] });
    expect(await ask(merge('Jane'))).toEqual(waiting('is an author'));
  });

  it('counts both who signed the merge and who signed what it brings', async () => {
    const side = repo.make([root], { [PATH]: 'A' }, { author: person('Ann'), signedBy: 'joe-key' });
    const tip = repo.merge(root, side, {}, { author: person('Jane'), signedBy: 'jane-key' });
    expect(await ask(tip)).toMatchObject({ evidence: [{ person: 'Jane' }, { person: 'Joe' }] });
  });

  it('never counts an author of either of two sides that brought the same bytes (R23)', async () => {
    const one = repo.make([root], { [PATH]: 'A' }, { author: person('Jane'), signedBy: 'joe-key' });
    const two = repo.make([root], { [PATH]: 'A' }, { author: person('Joe'), signedBy: 'jane-key' });
    expect(await ask(repo.merge(root, repo.merge(one, two)))).toEqual(waiting('is an author'));
  });

  it('of a side that changed after it was signed brings nothing (R1)', async () => {
    const signed = repo.make([root], { [PATH]: 'A' }, { signedBy: 'jane-key' });
    const after = repo.make([signed], { [PATH]: 'B' });
    expect(await ask(repo.merge(root, after))).toEqual(waiting('is not signed'));
    const back = repo.make([after], { [PATH]: 'A' });
    expect(await ask(repo.merge(root, back))).toEqual(waiting('is not signed'));
  });

  it('that makes bytes of its own is their author (R1, R23)', async () => {
    const side = repo.make([root], { [PATH]: 'A' }, { signedBy: 'jane-key' });
    expect(await ask(repo.merge(root, side, { [PATH]: 'evil' }))).toEqual(waiting('is not signed'));
    const own = repo.merge(root, side, { [PATH]: 'evil' }, { author: person('Jane'), signedBy: 'jane-key' });
    expect(await ask(own)).toEqual(waiting('is an author'));
    const fine = repo.merge(root, side, { [PATH]: 'mended' }, { author: person('Ann'), signedBy: 'jane-key' });
    expect((await ask(fine)).kind).toBe('met');
  });

  it('that brings back what the branch had replaced does so by itself (R1)', async () => {
    const signed = repo.make([root], { [PATH]: 'A' }, { signedBy: 'jane-key' });
    const replaced = repo.make([signed], { [PATH]: 'B' });
    const tip = repo.merge(replaced, repo.make([signed], { README: 'side' }), { [PATH]: 'A' });
    expect(await ask(tip)).toEqual(waiting('is not signed'));
  });

  it('binds the formula of the tree that was signed, not of the tree that it came into (R22)', async () => {
    const side = repo.make([root], { [PATH]: 'A' }, { signedBy: 'jane-key' });
    const tip = repo.merge(repo.make([root], { [FORMULA]: 'v2' }), side);
    expect(await ask(tip)).toMatchObject({ evidence: [{ formulaBlob: repo.blobAt(root, FORMULA) }] });
  });
});

describe('what the rule asks for', () => {
  it('is asked once, whoever asks and however the branch moves on', async () => {
    const signed = repo.make([root], { [PATH]: 'A' }, { signedBy: 'jane-key' });
    await Promise.all([ask(signed), ask(signed)]);
    repo.calls.length = 0;
    expect((await ask(signed)).kind).toBe('met');
    expect(repo.calls).toEqual([]);
    expect((await ask(repo.make([signed], { README: 'more' }))).kind).toBe('met');
    expect(repo.calls).not.toContain('verifySignature');
    expect(repo.calls).not.toContain('lastChanged');
  });

  it('need not be asked of who set the bytes where the caller knows, and they are still looked at (R1)', async () => {
    const signed = repo.make([root], { [PATH]: 'A' }, { signedBy: 'jane-key' });
    const tip = repo.make([signed], { README: 'more' });
    const setBy = { commit: signed, committedAt: '2026-01-01T00:00:00Z' };
    expect((await ask(tip, { setBy })).kind).toBe('met');
    expect(repo.calls).not.toContain('lastChanged');
    expect(await ask(repo.make([tip], { [PATH]: 'B' }), { setBy })).toEqual(waiting('sets exactly these bytes'));
  });

  it('is asked again when the bytes went and came back between two looks (R1)', async () => {
    const signed = repo.make([root], { [PATH]: 'A' }, { signedBy: 'jane-key' });
    expect((await ask(signed)).kind).toBe('met');
    const back = repo.make([repo.make([signed], { [PATH]: 'B' })], { [PATH]: 'A' });
    expect(await ask(back)).toEqual(waiting('is not signed'));
  });

  it('is asked again when the branch was put on another line', async () => {
    const signed = repo.make([root], { [PATH]: 'A' }, { signedBy: 'jane-key' });
    expect((await ask(signed)).kind).toBe('met');
    const unsigned = repo.make([root], { [PATH]: 'A' });
    expect(await ask(unsigned)).toEqual(waiting('is not signed'));
    expect((await ask(repo.merge(unsigned, signed))).kind).toBe('waiting');
  });

  it('is no verdict while it cannot be read, and is asked again', async () => {
    const tip = repo.make([root], { [PATH]: 'A' }, { signedBy: 'jane-key' });
    repo.failure = new TransientError('ERR_GIT_UNAVAILABLE', 'away');
    await expect(ask(tip)).rejects.toBe(repo.failure);
    repo.failure = null;
    expect((await ask(tip)).kind).toBe('met');
  });

  it('waits when a commit is too large to be read', async () => {
    const tip = repo.make([root], { [PATH]: 'A' }, { signedBy: 'jane-key' });
    repo.commit = () => Promise.reject(new InvalidError('ERR_FILE_SIZE', 'a commit of 9 MiB'));
    expect(await ask(tip)).toEqual(waiting('a commit of 9 MiB'));
  });

  it('is not asked for once its caller has stopped', async () => {
    const tip = repo.make([root], { [PATH]: 'A' });
    const blob = repo.blobAt(tip, PATH);
    const subject = { path: PATH, blob, tip, formulaPath: null, approvers: APPROVERS, selfApprove: false };
    await expect(rule.evaluate(subject, AbortSignal.abort())).rejects.toThrow('aborted');
    expect(repo.calls).toEqual([]);
  });
});
