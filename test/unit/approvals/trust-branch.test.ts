import { describe, expect, it } from 'vitest';
import { trustBranch } from '../../../src/approvals/trust-branch.ts';
import { MemoryOpsRepo } from '../../fakes/memory-ops-repo.ts';

const PATH = 'vault/actions/release.toml';

describe('trust-branch', () => {
  const repo = new MemoryOpsRepo();
  const rule = trustBranch.create({ opsRepo: repo });
  const set = repo.make([], { [PATH]: 'A' });
  const tip = repo.make([set], { README: 'more' });
  const subject = {
    path: PATH,
    blob: repo.blobAt(tip, PATH),
    tip,
    formulaPath: 'f',
    approvers: [],
    selfApprove: false,
  };

  it('trusts what lies on the branch, names no person and binds no formula', async () => {
    expect(rule.countsPeople).toBe(false);
    const { committedAt: at } = await repo.commit(set);
    expect(await rule.evaluate(subject)).toEqual({
      kind: 'met',
      evidence: [{ rule: 'trust-branch', by: 'branch', what: set, commit: set, at, person: null, formulaBlob: null }],
    });
  });

  it('does not trust other bytes (R1)', async () => {
    const edited = repo.make([tip], { [PATH]: 'B' });
    const gone = repo.make([tip], { [PATH]: null });
    const link = repo.make([tip], { [PATH]: { kind: 'symlink', content: 'A' } });
    for (const at of [edited, gone, link]) {
      expect(await rule.evaluate({ ...subject, tip: at })).toMatchObject({ kind: 'waiting' });
    }
    expect(await rule.evaluate({ ...subject, path: 'vault/actions/other.toml' })).toMatchObject({ kind: 'waiting' });
  });
});
