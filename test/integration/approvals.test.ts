import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { signedCommit } from '../../src/approvals/signed-commit.ts';
import { trustBranch } from '../../src/approvals/trust-branch.ts';
import type { Oid } from '../../src/domain/ids.ts';
import type { Approver } from '../../src/domain/policy.ts';
import { combine } from '../../src/domain/verdict.ts';
import type { ApprovalRule, ApprovalSubject } from '../../src/ports/approval.ts';
import type { OpsRepo } from '../../src/ports/ops-repo.ts';
import { createSigningKey, type SigningKey, type Writer, writeRawCommit } from '../fakes/git-repo.ts';
import { OpsRepoFixture } from '../fakes/ops-repo.ts';

const PATH = 'vault/actions/release.toml';
const FORMULA = 'vault/formulas/release.toml';
interface Who {
  readonly name: string;
  readonly email: string;
}

const who = (name: string): Who => ({ name, email: `${name.toLowerCase()}@example.org` });
const [ann, jane, joe] = [who('Ann'), who('Jane'), who('Joe')];

const names = ['jane', 'jane-2', 'joe', 'stranger'] as const;
const keys = new Map<string, SigningKey>();
let approvers: readonly Approver[];

let fixture: OpsRepoFixture;
let writer: Writer;
let root: Oid;
let opsRepo: OpsRepo;
let rule: ApprovalRule;
let trust: ApprovalRule;

/** One repo for all tests: each begins at the root again, with rules that know nothing yet. */
beforeAll(async () => {
  fixture = await OpsRepoFixture.create({ [FORMULA]: 'v1', README: 'ops' });
  for (const name of names) keys.set(name, await createSigningKey(path.join(fixture.dir, 'keys'), name));
  const of = (person: Who, ...its: string[]): Approver => ({
    name: person.name,
    forge: null,
    keys: its.map((name) => ({ principal: person.email, key: keys.get(name)?.publicKey ?? '' })),
  });
  approvers = [of(jane, 'jane', 'jane-2'), of(joe, 'joe')];
  writer = fixture.writer;
  opsRepo = await fixture.open();
  root = (await opsRepo.refresh()).tip;
  await opsRepo.commit(root);
});
afterAll(() => fixture.close());

beforeEach(async () => {
  await writer.checkout('main');
  await writer.reset(root);
  rule = signedCommit.create({ opsRepo });
  trust = trustBranch.create({ opsRepo });
});

const by = (key: string, author = ann, committer = author) => {
  const signingKey = keys.get(key)?.file;
  return { author, committer, ...(signingKey === undefined ? {} : { signingKey }) };
};

async function subject(changes: Partial<ApprovalSubject> = {}): Promise<ApprovalSubject> {
  await writer.push({ force: true });
  const { tip } = await opsRepo.refresh();
  const file = changes.path ?? PATH;
  const blob = changes.blob ?? (await writer.blobAt('HEAD', file));
  if (blob === null) throw new Error(`nothing lies at ${file}`);
  return { path: file, blob, tip, formulaPath: FORMULA, approvers, selfApprove: false, ...changes };
}

/** What signed-commit says of what lies at the tip. */
async function ask(changes: Partial<ApprovalSubject> = {}) {
  return rule.evaluate(await subject(changes));
}

const waiting = (message: string) => ({ kind: 'waiting', message: expect.stringContaining(message) });
const metBy = (person: string, commit: Oid) => ({ kind: 'met', evidence: [{ person, commit }] });

describe('signed-commit on real git', () => {
  it('takes the signature of an approver by any key, who may be the committer, but no other (R23)', async () => {
    const byJane = await writer.commit({ [PATH]: 'A' }, by('jane', ann, jane));
    expect(await ask()).toMatchObject(metBy('Jane', byJane));
    const byOther = await writer.commit({ [PATH]: 'B' }, by('jane-2'));
    expect(await ask()).toMatchObject(metBy('Jane', byOther));
    const byJoe = await writer.commit({ [PATH]: 'C' }, by('joe'));
    expect(await ask()).toMatchObject(metBy('Joe', byJoe));
    await writer.commit({ [PATH]: 'D' }, by('stranger'));
    expect(await ask()).toMatchObject(waiting('by no key of an approver'));
    await writer.commit({ [PATH]: 'E' }, { author: jane });
    expect(await ask()).toMatchObject(waiting('is not signed'));
  });

  it('writes evidence that an auditor can check', async () => {
    const date = new Date('2026-02-03T04:05:06Z');
    const tip = await writer.commit({ [PATH]: 'A' }, { ...by('jane'), date });
    const formulaBlob = await writer.blobAt(tip, FORMULA);
    const at = '2026-02-03T04:05:06.000Z';
    expect(await ask()).toEqual({
      kind: 'met',
      evidence: [{ rule: 'signed-commit', by: 'Jane', person: 'Jane', what: tip, commit: tip, at, formulaBlob }],
    });
  });

  it('never counts the author, by name, address or co-authorship (R23)', async () => {
    await writer.commit({ [PATH]: 'A' }, by('jane', jane));
    expect(await ask()).toMatchObject(waiting('signed by Jane, who is an author of the change'));
    await writer.commit({ [PATH]: 'B' }, by('jane', { name: 'X', email: 'JANE@example.org' }));
    expect(await ask()).toMatchObject(waiting('an author'));
    await writer.commit({ [PATH]: 'C' }, { ...by('jane'), message: 'add\n\nCo-authored-by: J <jane@example.org>\n' });
    expect(await ask()).toMatchObject(waiting('an author'));
    expect(await ask({ selfApprove: true })).toMatchObject({ kind: 'met', evidence: [{ person: 'Jane' }] });
  });

  it('takes no signature that was made of another commit (R1)', async () => {
    const signed = await writer.commit({ [PATH]: 'A' }, by('jane'));
    const raw = await writer.git(['cat-file', 'commit', signed]);
    await writer.commit({ [PATH]: 'B' });
    const tree = (await writer.git(['rev-parse', 'HEAD^{tree}'])).trim();
    const forged = await writeRawCommit(writer, raw.replace(/^tree .*$/m, `tree ${tree}`));
    await writer.reset(forged);
    expect(await ask()).toMatchObject(waiting('is broken'));
  });

  it('does not follow an edit after the approval, a direct push of other bytes, a revert, or a return (R1)', async () => {
    await writer.commit({ [PATH]: 'A' }, by('jane'));
    expect((await ask()).kind).toBe('met');
    await writer.commit({ [PATH]: 'B' });
    expect(await ask()).toMatchObject(waiting('is not signed'));
    await writer.commit({ [PATH]: 'A' });
    expect(await ask()).toMatchObject(waiting('is not signed'));
    await writer.commit({ [PATH]: null });
    await writer.commit({ [PATH]: 'A' });
    expect(await ask()).toMatchObject(waiting('is not signed'));
    await writer.commit({ [PATH]: null });
    const again = await writer.commit({ [PATH]: 'A' }, by('joe'));
    expect(await ask()).toMatchObject(metBy('Joe', again));
  });

  it('does not follow bytes that went and came back within one push (R1)', async () => {
    await writer.commit({ [PATH]: 'A' }, by('jane'));
    expect((await ask()).kind).toBe('met');
    await writer.commit({ [PATH]: 'B' });
    await writer.commit({ [PATH]: 'A' });
    expect(await ask()).toMatchObject(waiting('is not signed'));
  });

  it('does not follow the same bytes to another path, by copy or rename (R1)', async () => {
    await writer.commit({ [PATH]: 'A' }, by('jane'));
    const other = 'vault/actions/other.toml';
    await writer.commit({ [other]: 'A' });
    expect(await ask({ path: other })).toMatchObject(waiting('is not signed'));
    const third = 'vault/actions/third.toml';
    await writer.commit({ [PATH]: null, [third]: 'A' });
    expect(await ask({ path: third })).toMatchObject(waiting('is not signed'));
  });

  it('does not follow a cherry-pick, but takes it when an approver signed it (R1)', async () => {
    await writer.checkout('picked-from');
    await writer.commit({ [PATH]: 'A' }, by('jane'));
    await writer.checkout('main');
    await writer.commit({ [PATH]: 'A' }, { author: ann, committer: joe });
    expect(await ask()).toMatchObject(waiting('is not signed'));
    await writer.commit({ [PATH]: null });
    const picked = await writer.commit({ [PATH]: 'A' }, by('joe', ann, joe));
    expect(await ask()).toMatchObject(metBy('Joe', picked));
  });

  it('takes a file as it is, never a link with the same text (R1)', async () => {
    await writer.commit({ [PATH]: { mode: '120000', content: 'A' } }, by('jane'));
    expect(await ask()).toMatchObject(waiting('sets exactly these bytes'));
    const file = await writer.commit({ [PATH]: 'A' }, by('joe'));
    expect(await ask()).toMatchObject(metBy('Joe', file));
  });
});

describe('signed-commit and merges on real git', () => {
  let side = 'side';

  /** Works on a new branch, then goes back to main, which has moved on. */
  async function onSide(work: () => Promise<unknown>): Promise<void> {
    side = `${side}+`;
    await writer.checkout(side);
    await work();
    await writer.checkout('main');
    await writer.commit({ README: 'main went on' });
  }

  it('takes the signed commit that a merge brings, and the signed merge (R23)', async () => {
    let brought: Oid | undefined;
    await onSide(async () => (brought = await writer.commit({ [PATH]: 'A' }, by('joe'))));
    const merge = await writer.merge(side, {}, by('jane', jane));
    const evidence = [
      { person: 'Jane', commit: merge },
      { person: 'Joe', commit: brought },
    ];
    expect(await ask()).toMatchObject({ kind: 'met', evidence });
  });

  it('does not take the signed merge of what its signer wrote (R23)', async () => {
    await onSide(() => writer.commit({ [PATH]: 'A' }, { author: jane }));
    await writer.merge(side, {}, by('jane', jane));
    expect(await ask()).toMatchObject(waiting('an author of the change'));
  });

  it('does not take a branch whose bytes changed after it was signed, nor one that changed them back (R1)', async () => {
    await onSide(async () => {
      await writer.commit({ [PATH]: 'A' }, by('jane'));
      await writer.commit({ [PATH]: 'B' });
    });
    await writer.merge(side);
    expect(await ask()).toMatchObject(waiting('is not signed'));
    await writer.checkout(side);
    await writer.commit({ [PATH]: 'A' });
    await writer.checkout('main');
    await writer.merge(side);
    expect(await ask()).toMatchObject(waiting('is not signed'));
  });

  it('does not take what a merge made up by itself, unless another approver signed the merge (R1)', async () => {
    await onSide(() => writer.commit({ [PATH]: 'A' }, by('jane')));
    const before = await writer.resolve('HEAD');
    await writer.merge(side, { [PATH]: 'evil' });
    expect(await ask()).toMatchObject(waiting('is not signed'));
    await writer.reset(String(before));
    const merge = await writer.merge(side, { [PATH]: 'mended' }, by('joe'));
    expect(await ask()).toMatchObject(metBy('Joe', merge));
  });

  it('does not take old bytes that a merge brings back (R1)', async () => {
    await writer.commit({ [PATH]: 'A' }, by('jane'));
    await onSide(() => writer.commit({ OTHER: 'x' }));
    await writer.commit({ [PATH]: 'B' });
    await writer.merge(side, { [PATH]: 'A' });
    expect(await ask()).toMatchObject(waiting('is not signed'));
  });

  it('follows merges within merges', async () => {
    let inner: Oid | undefined;
    await onSide(async () => {
      await writer.checkout('inner');
      inner = await writer.commit({ [PATH]: 'A' }, by('jane'));
      await writer.checkout(side);
      await writer.commit({ OTHER: 'x' });
      await writer.merge('inner');
    });
    await writer.merge(side);
    expect(await ask()).toMatchObject({ kind: 'met', evidence: [{ person: 'Jane', commit: inner }] });
  });
});

describe('the formula that stood beside, on real git (R22)', () => {
  const requirement = { all: ['signed-commit'], any: [], atLeast: 0, selfApprove: false };
  const verdict = async (name: string, of: ApprovalRule) => {
    const found = await of.evaluate(await subject());
    const formulaInForce = await writer.blobAt('HEAD', FORMULA);
    return combine({ ...requirement, all: [name] }, new Map([[name, found]]), { formulaInForce });
  };

  it('makes the action wait when it changed after the approval, until it is approved again', async () => {
    await writer.commit({ [PATH]: 'A' }, by('jane'));
    expect(await verdict('signed-commit', rule)).toMatchObject({ kind: 'allowed' });
    await writer.commit({ [FORMULA]: 'v2' }, by('joe'));
    expect(await verdict('signed-commit', rule)).toMatchObject({ kind: 'waiting', code: 'ERR_FORMULA_CHANGED' });
    await writer.commit({ [PATH]: null });
    await writer.commit({ [PATH]: 'A' }, by('jane'));
    expect(await verdict('signed-commit', rule)).toMatchObject({ kind: 'allowed' });
  });

  it('is the one in force at the claim with trust-branch', async () => {
    await writer.commit({ [PATH]: 'A' });
    await writer.commit({ [FORMULA]: 'v2' });
    const found = await verdict('trust-branch', trust);
    expect(found).toMatchObject({ kind: 'allowed', evidence: [{ by: 'branch', person: null, formulaBlob: null }] });
  });
});
