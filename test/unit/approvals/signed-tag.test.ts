import { beforeEach, describe, expect, it } from 'vitest';
import { signedTag } from '../../../src/approvals/signed-tag.ts';
import { tagText } from '../../../src/domain/approval-tag.ts';
import { type Oid, oid } from '../../../src/domain/ids.ts';
import type { Approver } from '../../../src/domain/policy.ts';
import { TransientError } from '../../../src/errors.ts';
import type { ApprovalRule, ApprovalSubject } from '../../../src/ports/approval.ts';
import { ManualClock } from '../../fakes/manual-clock.ts';
import { MemoryOpsRepo } from '../../fakes/memory-ops-repo.ts';

const PATH = 'vault/actions/release.toml';
const FORMULA = 'vault/formulas/release.toml';
const person = (name: string) => ({ name, email: `${name.toLowerCase()}@example.org` });
const approver = (name: string, ...keys: string[]): Approver => ({
  name,
  forge: null,
  keys: keys.map((key) => ({ principal: `${name.toLowerCase()}@example.org`, key })),
});
const APPROVERS = [approver('Jane', 'jane-key'), approver('Joe', 'joe-key')];

let repo: MemoryOpsRepo;
let clock: ManualClock;
let rule: ApprovalRule;
let root: Oid;
let tip: Oid;

beforeEach(() => {
  repo = new MemoryOpsRepo();
  clock = new ManualClock();
  rule = signedTag.create({ opsRepo: repo, clock });
  root = repo.make([], { [FORMULA]: 'v1', README: 'ops' });
  tip = repo.make([root], { [PATH]: 'A' }, { author: person('Ann'), committer: person('Jane') });
});

const blobOf = (commit: Oid) => repo.blobAt(commit, PATH);
const text = (blob = blobOf(tip), path = PATH, of = root) => tagText(of, path, blob);

function ask(changes: Partial<ApprovalSubject> = {}) {
  const at = changes.tip ?? tip;
  const subject = { path: PATH, blob: blobOf(at), tip: at, formulaPath: FORMULA, approvers: APPROVERS };
  return rule.evaluate({ ...subject, selfApprove: false, ...changes });
}

const waiting = (message: string) => ({
  kind: 'waiting',
  code: 'ERR_NEEDS_APPROVAL',
  message: expect.stringContaining(message),
});

describe('a tag on the server', () => {
  it('that an approver signed approves the bytes that it names, and the formula beside them', async () => {
    const { ref, taggedAt } = repo.tag('x', tip, `fine\n\n${text()}`, { signedBy: 'jane-key' });
    const formulaBlob = repo.blobAt(root, FORMULA);
    const by = { by: 'Jane', person: 'Jane' };
    const evidence = [{ rule: 'signed-tag', ...by, what: ref, commit: tip, at: taggedAt, formulaBlob }];
    expect(await ask()).toEqual({ kind: 'met', evidence });
    expect(await ask({ formulaPath: null })).toMatchObject({ evidence: [{ formulaBlob: null }] });
  });

  it('counts each signer, so that several people can approve the same bytes', async () => {
    repo.tag('x', tip, text(), { signedBy: 'jane-key' });
    repo.tag('y', tip, text(), { signedBy: 'joe-key' });
    repo.tag('z', tip, text(), { signedBy: 'unknown-key' });
    expect(await ask()).toMatchObject({ evidence: [{ person: 'Jane' }, { person: 'Joe' }] });
  });

  it.each([
    ['is not signed', undefined, 'tag approve/x is not signed'],
    ['has a broken signature', 'broken', 'the signature of tag approve/x is broken'],
    ['is signed by somebody else', 'mallory-key', 'by no key of an approver'],
  ])('that %s approves nothing, and it is said why', async (_, signedBy, words) => {
    repo.tag('x', tip, text(), signedBy === undefined ? {} : { signedBy });
    expect(await ask()).toEqual(waiting(words));
  });

  it.each([
    ['another blob', () => text(oid('9'.repeat(40)))],
    ['another path', () => text(blobOf(tip), 'vault/actions/other.toml')],
    ['another repo', () => text(blobOf(tip), PATH, oid('8'.repeat(40)))],
    ['two blobs', () => `${text()}blob: ${'9'.repeat(40)}\n`],
    ['nothing', () => 'looks good to me\n'],
  ])('that names %s is passed over', async (_, message) => {
    repo.tag('x', tip, message(), { signedBy: 'jane-key' });
    expect(await ask()).toEqual(waiting('no signed tag names these bytes'));
    expect(repo.calls).not.toContain('verifySignature');
  });

  it('of a commit that holds other bytes there approves nothing', async () => {
    repo.tag('x', root, text(), { signedBy: 'jane-key' });
    expect(await ask()).toEqual(waiting('tag approve/x holds other bytes'));
  });

  it('does not count for an author or co-author of the change, but for its committer (four eyes)', async () => {
    const coAuthors = [person('Joe')];
    tip = repo.make([root], { [PATH]: 'B' }, { author: person('Jane'), committer: person('Joe'), coAuthors });
    repo.tag('x', tip, text(), { signedBy: 'jane-key' });
    repo.tag('y', tip, text(), { signedBy: 'joe-key' });
    expect(await ask()).toEqual(waiting('signed by Jane, who is an author of the change'));
    expect(await ask()).toEqual(waiting('signed by Joe, who is an author of the change'));
    expect(await ask({ selfApprove: true })).toMatchObject({ evidence: [{ person: 'Jane' }, { person: 'Joe' }] });
  });
});

describe('the change that a tag is of', () => {
  it('may be tagged on its own branch, before it is merged', async () => {
    const topic = repo.make([root], { [PATH]: 'B' }, { author: person('Ann') });
    const head = repo.make([topic], { other: 'more' }, { author: person('Ann') });
    repo.tag('x', head, text(blobOf(head)), { signedBy: 'jane-key' });
    expect(await ask()).toMatchObject({ kind: 'waiting' });
    const merge = repo.merge(root, head, {}, { author: person('Jane') });
    expect(await ask({ tip: merge })).toMatchObject({ evidence: [{ person: 'Jane', commit: head }] });
  });

  it('is not the one that brings the same bytes back later', async () => {
    repo.tag('x', tip, text(), { signedBy: 'jane-key' });
    const gone = repo.make([tip], { [PATH]: 'B' });
    const back = repo.make([gone], { [PATH]: 'A' }, { author: person('Ann') });
    expect(await ask({ tip: gone, blob: blobOf(tip) })).toEqual(waiting('no commit of the branch sets exactly these'));
    expect(await ask({ tip: back })).toEqual(waiting('tag approve/x is of a commit without the change'));
    repo.tag('y', back, text(), { signedBy: 'jane-key' });
    expect(await ask({ tip: back, fresh: true })).toMatchObject({ evidence: [{ what: 'refs/tags/approve/y' }] });
  });
});

describe('what is asked of the server', () => {
  it('is asked once for many files in a row, and again some seconds later', async () => {
    await Promise.all([ask(), ask(), ask()]);
    const asked = () => repo.calls.filter((name) => name === 'approvalTags').length;
    expect(asked()).toBe(1);
    repo.tag('x', tip, text(), { signedBy: 'jane-key' });
    clock.advance(5_000);
    expect(await ask()).toMatchObject({ kind: 'met' });
    expect(asked()).toBe(2);
  });

  it('is asked anew for the claim: a tag that was deleted meanwhile approves nothing', async () => {
    repo.tag('x', tip, text(), { signedBy: 'jane-key' });
    expect(await ask()).toMatchObject({ kind: 'met' });
    repo.deleteTag('x');
    expect(await ask({ fresh: true })).toEqual(waiting('no signed tag names these bytes'));
  });

  it('is found out once about each tag and these approvers', async () => {
    repo.tag('x', tip, text(), { signedBy: 'jane-key' });
    await ask({ fresh: true });
    await ask({ fresh: true });
    expect(repo.calls.filter((name) => name === 'verifySignature')).toHaveLength(1);
    expect(await ask({ fresh: true, approvers: [approver('Joe', 'joe-key')] })).toEqual(waiting('by no key of an'));
  });

  it('is an outage while the server is away, never a verdict, and is asked again right after', async () => {
    repo.tag('x', tip, text(), { signedBy: 'jane-key' });
    repo.failure = new TransientError('ERR_GIT_UNAVAILABLE', 'away');
    await expect(ask()).rejects.toBe(repo.failure);
    repo.failure = null;
    expect(await ask()).toMatchObject({ kind: 'met' });
  });

  const verified = () => repo.calls.filter((name) => name === 'verifySignature').length;
  const junk = (prefix: string, count: number) => {
    for (let index = 0; index < count; index += 1)
      repo.tag(`${prefix}${index}`, tip, text(), { signedBy: 'mallory-key' });
  };

  it('is not looked at without end where somebody pushes tags without end', async () => {
    junk('x', 60);
    expect(await ask({ fresh: true })).toEqual(waiting('10 more tags name these bytes and are looked at next'));
    expect(verified()).toBe(50);
    expect(await ask({ fresh: true })).toEqual(
      waiting('50 more tags that name these bytes do not approve them either'),
    );
    await ask({ fresh: true });
    expect(verified()).toBe(60);
  });

  it('is found however many other tags name the same bytes, some looks later', async () => {
    junk('0-', 120);
    repo.tag('x', tip, text(), { signedBy: 'jane-key' });
    expect([await ask({ fresh: true }), await ask({ fresh: true })]).toMatchObject([
      { kind: 'waiting' },
      { kind: 'waiting' },
    ]);
    expect(await ask({ fresh: true })).toMatchObject({ kind: 'met' });
    expect(verified()).toBe(121);
    expect(await ask({ fresh: true })).toMatchObject({ kind: 'met' });
    expect(verified()).toBe(121);
  });

  it('has its turn before what is pushed after it, however often that happens', async () => {
    junk('0-', 50);
    repo.tag('x', tip, text(), { signedBy: 'jane-key' });
    expect(await ask({ fresh: true })).toMatchObject({ kind: 'waiting' });
    junk('00-', 60);
    expect(await ask({ fresh: true })).toMatchObject({ kind: 'met', evidence: [{ person: 'Jane' }] });
  });
});
