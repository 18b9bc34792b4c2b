import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Oid } from '../../src/domain/ids.ts';
import type { OpsRepo } from '../../src/ports/ops-repo.ts';
import { createInForce, type InForceWalk } from '../../src/story/in-force.ts';
import { allRules } from '../fakes/approval-rules.ts';
import { formulaText, type PolicyPerson, policyText } from '../fakes/gated-files.ts';
import {
  createSigningKey,
  type FileContent,
  type SigningKey,
  temporaryFolder,
  type Writer,
} from '../fakes/git-repo.ts';
import { OpsRepoFixture } from '../fakes/ops-repo.ts';

const POLICY = 'vault/policy.toml';
const RELEASE = 'vault/formulas/release.toml';
const release = (version: string) => ({ [RELEASE]: formulaText('release', version) });

let jane: SigningKey;
let joe: SigningKey;
let people: readonly PolicyPerson[];
let fixture: OpsRepoFixture;
let writer: Writer;
let opsRepo: OpsRepo;
let trusted: Oid;

/** One repo for all tests: each begins at the trusted commit again. */
beforeAll(async () => {
  const { dir, remove } = await temporaryFolder('edge-keys-');
  [jane, joe] = [await createSigningKey(dir, 'jane'), await createSigningKey(dir, 'joe')];
  people = [
    { name: 'Jane', keys: [jane.publicKey] },
    { name: 'Joe', keys: [joe.publicKey] },
  ];
  fixture = await OpsRepoFixture.create({ [POLICY]: policyText(people.slice(0, 1)), ...release('v1') });
  fixture.onClose(remove);
  writer = fixture.writer;
  opsRepo = await fixture.open();
  trusted = (await opsRepo.refresh()).tip;
  await opsRepo.commit(trusted);
});
afterAll(() => fixture.close());

beforeEach(async () => {
  await writer.checkout('main');
  await writer.reset(trusted);
});

function walk(rule = 'signed-commit', trustedCommit: Oid | null = trusted): InForceWalk {
  return createInForce({
    opsRepo,
    rules: allRules(opsRepo),
    requirement: { all: [rule], any: [], atLeast: 0, selfApprove: false },
    trustedCommit,
    paths: { formulasDir: 'vault/formulas', policyFile: POLICY, projectFiles: [] },
  });
}

async function now(seen: InForceWalk) {
  await writer.push({ force: true });
  const found = await seen.at((await opsRepo.refresh()).tip);
  return {
    formulas: [...found.formulas.values()].map(({ formula }) => formula?.description),
    approvers: found.policy?.policy.approvers.map(({ name }) => name) ?? null,
    pending: found.pending.map(({ path: file, reason }) => `${path.posix.basename(file)} ${reason.code}`),
  };
}

const commit = (files: Readonly<Record<string, FileContent>>, key?: SigningKey) =>
  writer.commit(files, key === undefined ? {} : { signingKey: key.file });

describe('policy and formulas on real git (R22)', () => {
  it('follow signed edits only, in the order of the branch', async () => {
    const seen = walk();
    expect(await now(seen)).toEqual({ formulas: ['v1'], approvers: ['Jane'], pending: [] });
    await commit(release('v2'));
    const waits = { formulas: ['v1'], approvers: ['Jane'], pending: ['release.toml ERR_FORMULA_UNAPPROVED'] };
    expect(await now(seen)).toEqual(waits);
    await commit(release('v3'), joe);
    expect(await now(seen)).toEqual(waits);
    await commit({ [POLICY]: policyText(people) }, jane);
    expect(await now(seen)).toEqual({ ...waits, approvers: ['Jane', 'Joe'] });
    await commit(release('v4'), joe);
    const later = { formulas: ['v4'], approvers: ['Jane', 'Joe'], pending: [] };
    expect(await now(seen)).toEqual(later);
    expect(await now(walk())).toEqual(later);
  });

  it('leave what a removed approver approved in force, and take old bytes only with a new approval', async () => {
    const seen = walk();
    await commit(release('v2'), jane);
    await commit({ [POLICY]: policyText(people.slice(1)) }, jane);
    expect(await now(seen)).toEqual({ formulas: ['v2'], approvers: ['Joe'], pending: [] });
    await commit({ [POLICY]: policyText(people.slice(0, 1)), ...release('v1') }, jane);
    const pending = ['policy.toml ERR_NEEDS_APPROVAL', 'release.toml ERR_FORMULA_UNAPPROVED'];
    expect(await now(seen)).toEqual({ formulas: ['v2'], approvers: ['Joe'], pending });
    await writer.git(['update-ref', 'HEAD', 'HEAD^']);
    await commit(release('v1'), joe);
    expect(await now(seen)).toEqual({ formulas: ['v1'], approvers: ['Joe'], pending: [] });
  });

  it('are gone at once when they are deleted', async () => {
    const seen = walk();
    await commit({ [RELEASE]: null });
    expect(await now(seen)).toEqual({ formulas: [], approvers: ['Jane'], pending: [] });
    await commit({ [POLICY]: null });
    expect(await now(seen)).toEqual({ formulas: [], approvers: null, pending: [] });
    await commit({ [POLICY]: policyText(people.slice(0, 1)), ...release('v1') }, jane);
    expect(await now(seen)).toEqual({ formulas: ['v1'], approvers: ['Jane'], pending: [] });
  });

  it('stay as they were when a link or a folder takes the place of a formula, or it can no longer be read', async () => {
    const seen = walk();
    const invalid = ['release.toml ERR_FORMULA_INVALID'];
    await commit({ [RELEASE]: { mode: '120000', content: 'other.toml' } }, jane);
    expect(await now(seen)).toEqual({ formulas: ['v1'], approvers: ['Jane'], pending: invalid });
    await commit({ [RELEASE]: 'name =' }, jane);
    expect(await now(seen)).toEqual({ formulas: ['v1'], approvers: ['Jane'], pending: invalid });
    await commit({ [RELEASE]: null, [`${RELEASE}/inner.toml`]: formulaText('inner') }, jane);
    expect(await now(seen)).toEqual({ formulas: ['v1'], approvers: ['Jane'], pending: invalid });
    await commit({ [`${RELEASE}/inner.toml`]: null, ...release('v2') }, jane);
    expect(await now(seen)).toEqual({ formulas: ['v2'], approvers: ['Jane'], pending: [] });
  });

  it('come by merges that bring signed commits', async () => {
    await writer.checkout('side');
    await commit(release('v2'), jane);
    await writer.checkout('main');
    await commit({ README: 'main went on' });
    await writer.merge('side');
    expect(await now(walk())).toEqual({ formulas: ['v2'], approvers: ['Jane'], pending: [] });
  });

  it('are none when the trusted commit is only on the merged side of a merge', async () => {
    const seen = walk();
    await commit(release('v2'), jane);
    expect((await now(seen)).formulas).toEqual(['v2']);
    const side = await writer.resolve('HEAD');
    await writer.checkout('other', trusted);
    await commit({ README: 'other' });
    await writer.merge(String(side));
    const merged = walk('signed-commit', side);
    const tip = await writer.resolve('HEAD');
    await writer.checkout('main');
    await writer.reset(String(tip));
    expect(await now(merged)).toEqual({ formulas: [], approvers: null, pending: [] });
    expect(await now(seen)).toEqual({ formulas: ['v2'], approvers: ['Jane'], pending: [] });
  });

  it('are all in force with trust-branch, from an empty tree on, and none with another rule', async () => {
    await commit(release('v2'));
    expect(await now(walk('trust-branch', null))).toEqual({ formulas: ['v2'], approvers: ['Jane'], pending: [] });
    await commit(release('v3'), jane);
    const pending = ['policy.toml ERR_NEEDS_APPROVAL', 'release.toml ERR_FORMULA_UNAPPROVED'];
    expect(await now(walk('signed-commit', null))).toEqual({ formulas: [], approvers: null, pending });
  });
});
