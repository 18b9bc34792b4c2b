import { beforeEach, describe, expect, it } from 'vitest';
import type { Oid } from '../../../src/domain/ids.ts';
import { StalledError, TransientError } from '../../../src/errors.ts';
import type { ApprovalRule } from '../../../src/ports/approval.ts';
import { createInForce, type InForceWalk } from '../../../src/story/in-force.ts';
import { formulaText, policyText } from '../../fakes/gated-files.ts';
import { MemoryOpsRepo } from '../../fakes/memory-ops-repo.ts';

const POLICY = 'vault/policy.toml';
const RELEASE = 'vault/formulas/release.toml';
const DEPLOY = 'vault/formulas/deploy.toml';
const away = new TransientError('ERR_FORGE_UNAVAILABLE', 'the forge is away');

let repo: MemoryOpsRepo;
let trusted: Oid;
/** Commits that the people of the forge approved. */
let approved: Set<Oid>;
let failure: Error | null;
let walk: InForceWalk;

beforeEach(() => {
  repo = new MemoryOpsRepo();
  const files = { [POLICY]: policyText([{ name: 'Jane' }]), [RELEASE]: formulaText('release', 'v1') };
  trusted = repo.make([], { ...files, [DEPLOY]: formulaText('deploy', 'v1') });
  approved = new Set();
  failure = null;
  walk = started();
});

/** As after a start: nothing is known of what was decided before. */
function started(): InForceWalk {
  const rule: ApprovalRule = {
    name: 'forge-review',
    countsPeople: true,
    evaluate({ tip: commit }) {
      if (failure !== null) return Promise.reject(failure);
      if (!approved.has(commit)) return Promise.resolve({ kind: 'waiting', code: 'ERR_NEEDS_APPROVAL', message: 'no' });
      const evidence = { rule: 'forge-review', by: 'Jane', what: 'x', commit, at: '2026-01-01T00:00:00Z' };
      return Promise.resolve({ kind: 'met', evidence: [{ ...evidence, person: 'Jane', formulaBlob: null }] });
    },
  };
  return createInForce({
    opsRepo: repo,
    rules: new Map([[rule.name, rule]]),
    requirement: { all: [rule.name], any: [], atLeast: 0, selfApprove: false },
    trustedCommit: trusted,
    paths: { formulasDir: 'vault/formulas', policyFile: POLICY, projectFiles: [] },
  });
}

async function shown(tip: Oid) {
  const { formulas, policy, policyProblem, pending } = await walk.at(tip);
  return {
    formulas: [...formulas.values()].map(({ formula }) => `${formula?.name}@${formula?.description}`),
    policy: policy?.policy.approvers.map(({ name }) => name) ?? null,
    problem: policyProblem?.code ?? null,
    pending: pending.map(({ path, reason }) => `${path} ${reason.code}`),
  };
}

describe('while the forge is away', () => {
  it.each([away, new StalledError('ERR_FORGE_DENIED', 'the token may not')])(
    'a formula that was never decided about is neither the old nor the new one, and the others go on (R20, R22): %s',
    async (error) => {
      const tip = repo.make([trusted], { [RELEASE]: formulaText('release', 'v2') });
      failure = error;
      expect(await shown(tip)).toEqual({
        formulas: ['deploy@v1'],
        policy: ['Jane'],
        problem: null,
        pending: [`${RELEASE} ${error.code}`],
      });
    },
  );

  it('a policy that was never decided about lets nothing be judged, neither by it nor by the one before (R20, R22)', async () => {
    const tip = repo.make([trusted], { [POLICY]: policyText([{ name: 'Joe' }], { release: 'low' }) });
    failure = away;
    expect(await shown(tip)).toEqual({
      formulas: [],
      policy: null,
      problem: 'ERR_FORGE_UNAVAILABLE',
      pending: [`${POLICY} ERR_FORGE_UNAVAILABLE`],
    });
  });

  it('what was found unapproved before stays so, and what was approved stays in force', async () => {
    const second = repo.make([trusted], { [RELEASE]: formulaText('release', 'v2') });
    const third = repo.make([second], { [DEPLOY]: formulaText('deploy', 'v2') });
    approved.add(second);
    const before = await shown(third);
    failure = away;
    expect(await shown(third)).toEqual(before);
    expect(before).toMatchObject({
      formulas: ['deploy@v1', 'release@v2'],
      pending: [`${DEPLOY} ERR_FORMULA_UNAPPROVED`],
    });
  });

  it('all goes on where it was once the forge is back', async () => {
    const tip = repo.make([trusted], { [RELEASE]: formulaText('release', 'v2') });
    approved.add(tip);
    failure = away;
    await shown(tip);
    failure = null;
    expect(await shown(tip)).toMatchObject({ formulas: ['deploy@v1', 'release@v2'], pending: [] });
  });
});

describe('an edit of the policy that was overtaken', () => {
  const P1 = policyText([{ name: 'Jane' }, { name: 'Mallory' }]);
  const P2 = policyText([{ name: 'Jane' }], { release: 'low' });

  it('takes no effect any more when somebody approves it later (R22)', async () => {
    const first = repo.make([trusted], { [POLICY]: P1 });
    const second = repo.make([first], { [POLICY]: P2 });
    approved.add(second);
    expect(await shown(second)).toMatchObject({ policy: ['Jane'], pending: [] });
    approved.add(first);
    expect(await shown(second)).toMatchObject({ policy: ['Jane'], pending: [] });
  });

  it('does not make everything wait while the forge is away', async () => {
    const first = repo.make([trusted], { [POLICY]: P1 });
    const second = repo.make([first], { [POLICY]: P2 });
    approved.add(second);
    await shown(second);
    failure = away;
    expect(await shown(second)).toMatchObject({ policy: ['Jane'], problem: null });
  });
});
