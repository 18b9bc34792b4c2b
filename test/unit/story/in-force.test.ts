import { beforeEach, describe, expect, it } from 'vitest';
import { trustBranch } from '../../../src/approvals/trust-branch.ts';
import type { Oid } from '../../../src/domain/ids.ts';
import type { Requirement } from '../../../src/domain/verdict.ts';
import { InvalidError, TransientError } from '../../../src/errors.ts';
import type { ApprovalRule } from '../../../src/ports/approval.ts';
import { createInForce, type InForce, type InForceWalk } from '../../../src/story/in-force.ts';
import { allRules } from '../../fakes/approval-rules.ts';
import { formulaText, policyText, publicKey } from '../../fakes/gated-files.ts';
import { MemoryOpsRepo } from '../../fakes/memory-ops-repo.ts';

const POLICY = 'vault/policy.toml';
const RELEASE = 'vault/formulas/release.toml';
const DEPLOY = 'vault/formulas/deploy.toml';
const [JANE, JOE] = [publicKey('jane'), publicKey('joe')];
const byJane = { signedBy: JANE };
const byJoe = { signedBy: JOE };
const jane = { name: 'Jane', keys: [JANE] };
const joe = { name: 'Joe', keys: [JOE] };
const SIGNED: Requirement = { all: ['signed-commit'], any: [], atLeast: 0, selfApprove: false };
const TRUSTING: Requirement = { ...SIGNED, all: ['trust-branch'] };

let repo: MemoryOpsRepo;
let trusted: Oid;

beforeEach(() => {
  repo = new MemoryOpsRepo();
  trusted = repo.make([], { [POLICY]: policyText([jane]), [RELEASE]: formulaText('release', 'v1') });
});

function walk(
  requirement: Requirement | null = SIGNED,
  trustedCommit: Oid | null = trusted,
  more: ApprovalRule[] = [],
) {
  const rules = [...allRules(repo).values(), ...more];
  return createInForce({
    opsRepo: repo,
    rules: new Map(rules.map((rule) => [rule.name, rule])),
    requirement,
    trustedCommit,
    paths: { formulasDir: 'vault/formulas', policyFile: POLICY, projectFiles: [] },
  });
}

/** `release@v1` for each formula in force, the approvers' names, and what is pending. */
function shown(inForce: InForce) {
  return {
    formulas: [...inForce.formulas.values()].map(({ formula }) => `${formula?.name}@${formula?.description}`),
    approvers: inForce.policy?.policy.approvers.map(({ name }) => name) ?? null,
    pending: inForce.pending.map(({ path, reason }) => `${path} ${reason.code}`),
  };
}
const at = async (tip: Oid, seen: InForceWalk = walk()) => shown(await seen.at(tip));
const inForce = (formulas: string[], approvers: string[] | null = ['Jane'], pending: string[] = []) => ({
  formulas,
  approvers,
  pending,
});
const UNAPPROVED = [`${RELEASE} ERR_FORMULA_UNAPPROVED`];

describe('the trusted commit', () => {
  it('is in force with its policy and its formulas', async () => {
    const found = await walk().at(trusted);
    expect(shown(found)).toEqual(inForce(['release@v1']));
    const blob = repo.blobAt(trusted, RELEASE);
    expect(found.formulas.get('release')).toMatchObject({ blob, commit: trusted, path: RELEASE, problem: null });
    expect(found.policy).toMatchObject({ blob: repo.blobAt(trusted, POLICY), commit: trusted });
    expect(found.policyProblem).toBeNull();
  });

  it('stays in force however the branch moves on', async () => {
    expect(await at(repo.make([trusted], { README: 'more' }))).toEqual(inForce(['release@v1']));
  });

  it('says what it holds that cannot be read', async () => {
    const broken = repo.make([], { [POLICY]: 'tiers =', [RELEASE]: 'name =' });
    const found = await walk(SIGNED, broken).at(broken);
    expect(found).toMatchObject({ policy: null, policyProblem: { code: 'ERR_POLICY_INVALID' } });
    expect(found.formulas.get('release')).toMatchObject({ formula: null, problem: { code: 'ERR_FORMULA_INVALID' } });
    expect(found.pending.map(({ reason }) => reason.code)).toEqual(['ERR_POLICY_INVALID', 'ERR_FORMULA_INVALID']);
  });

  it.each<[string, () => [trustedCommit: Oid, tip: Oid]]>([
    ['on another line', () => [repo.make([], { README: 'else' }), trusted]],
    ['ahead of the branch', () => [repo.make([trusted], {}), trusted]],
    [
      'only on the merged side of a merge',
      () => {
        const side = repo.make([trusted], { README: 'side' });
        return [side, repo.merge(repo.make([trusted], { OTHER: 'x' }), side)];
      },
    ],
  ])('puts nothing in force when it is %s', async (_, make) => {
    const [trustedCommit, tip] = make();
    const found = await walk(SIGNED, trustedCommit).at(tip);
    expect(found).toMatchObject({ policy: null, policyProblem: { code: 'ERR_POLICY_MISSING' }, pending: [] });
    expect(found.policyProblem?.message).toContain('not on the first-parent line');
    expect(found.formulas.size).toBe(0);
  });

  it('puts nothing in force when the way to it cannot be read', async () => {
    const seen = walk();
    const tip = repo.make([trusted], {});
    repo.commit = () => Promise.reject(new InvalidError('ERR_FILE_SIZE', 'a commit of 9 MiB'));
    expect((await seen.at(tip)).policyProblem?.code).toBe('ERR_POLICY_MISSING');
  });
});

describe('an edit of a formula', () => {
  it('takes effect when an approver of the policy in force signed it (R22)', async () => {
    const tip = repo.make([trusted], { [RELEASE]: formulaText('release', 'v2') }, byJane);
    expect(await at(tip)).toEqual(inForce(['release@v2']));
  });

  it('changes nothing without approval, and is reported', async () => {
    const tip = repo.make([trusted], { [RELEASE]: formulaText('release', 'v2'), [DEPLOY]: formulaText('deploy') });
    const found = await walk().at(tip);
    expect(shown(found)).toEqual(
      inForce(['release@v1'], ['Jane'], [`${DEPLOY} ERR_FORMULA_UNAPPROVED`, ...UNAPPROVED]),
    );
    expect(found.pending[1]).toMatchObject({ path: RELEASE, commit: tip, blob: repo.blobAt(tip, RELEASE) });
    expect(found.pending[1]?.reason.message).toContain('is not signed');
  });

  it('that comes back with old bytes is a new edit (R22)', async () => {
    const v2 = repo.make([trusted], { [RELEASE]: formulaText('release', 'v2') }, byJane);
    const back = { [RELEASE]: formulaText('release', 'v1') };
    expect(await at(repo.make([v2], back))).toEqual(inForce(['release@v2'], ['Jane'], UNAPPROVED));
    expect(await at(repo.make([v2], back, byJane))).toEqual(inForce(['release@v1']));
  });

  it('that undoes an unapproved one leaves nothing to wait for', async () => {
    const v2 = repo.make([trusted], { [RELEASE]: formulaText('release', 'v2') });
    const back = repo.make([v2], { [RELEASE]: formulaText('release', 'v1') });
    const found = await walk().at(back);
    expect(shown(found)).toEqual(inForce(['release@v1']));
    expect(found.formulas.get('release')?.commit).toBe(trusted);
  });

  it('is passed over when a later one is approved', async () => {
    const v2 = repo.make([trusted], { [RELEASE]: formulaText('release', 'v2') });
    const v3 = repo.make([v2], { [RELEASE]: formulaText('release', 'v3') }, byJane);
    expect(await at(v3)).toEqual(inForce(['release@v3']));
    const v4 = repo.make([v3], { [RELEASE]: formulaText('release', 'v4') });
    expect(await at(v4)).toEqual(inForce(['release@v3'], ['Jane'], UNAPPROVED));
  });

  it('takes effect when a merge brings the commit that was signed', async () => {
    const side = repo.make([trusted], { [RELEASE]: formulaText('release', 'v2') }, byJane);
    expect(await at(repo.merge(repo.make([trusted], { README: 'x' }), side))).toEqual(inForce(['release@v2']));
  });

  it('that nobody can read changes nothing, whoever approved it', async () => {
    const tip = repo.make([trusted], { [RELEASE]: formulaText('other'), [DEPLOY]: 'x'.repeat(70_000) }, byJane);
    const found = await walk().at(tip);
    const codes = [`${DEPLOY} ERR_FORMULA_INVALID`, `${RELEASE} ERR_FORMULA_INVALID`];
    expect(shown(found)).toEqual(inForce(['release@v1'], ['Jane'], codes));
    expect(found.pending[1]?.reason.message).toContain('name is not the file name');
  });

  it('that is larger than the repo gives out changes nothing', async () => {
    const tip = repo.make([trusted], { [DEPLOY]: 'big' }, byJane);
    repo.tooLarge = repo.blobAt(tip, DEPLOY);
    expect(await at(tip)).toEqual(inForce(['release@v1'], ['Jane'], [`${DEPLOY} ERR_FORMULA_INVALID`]));
  });

  it.each(['symlink', 'submodule', 'tree'] as const)('that makes it a %s changes nothing', async (kind) => {
    const tip = repo.make([trusted], { [RELEASE]: { kind, content: formulaText('release', 'v1') } }, byJane);
    expect(await at(tip)).toEqual(inForce(['release@v1'], ['Jane'], [`${RELEASE} ERR_FORMULA_INVALID`]));
  });

  it('counts for what is named like a formula, directly in the folder', async () => {
    const files = {
      'vault/formulas/Bad Name.toml': formulaText('Bad Name'),
      'vault/formulas/deep/hidden.toml': formulaText('hidden'),
      'vault/formulas/README.md': 'text',
      'vault/formulas-old/other.toml': formulaText('other'),
      'vault/formulas.toml': formulaText('formulas'),
    };
    expect(await at(repo.make([trusted], files, byJane))).toEqual(
      inForce(['release@v1'], ['Jane'], ['vault/formulas/Bad Name.toml ERR_FORMULA_INVALID']),
    );
  });

  it('is not approved by who wrote it, even with a key of an approver (R23)', async () => {
    const author = { name: 'Jane', email: 'x@example.org' };
    const edit = { [RELEASE]: formulaText('release', 'v2') };
    const tip = repo.make([trusted], edit, { author, ...byJane });
    expect(await at(tip)).toEqual(inForce(['release@v1'], ['Jane'], UNAPPROVED));
    expect(await at(tip, walk({ ...SIGNED, selfApprove: true }))).toEqual(inForce(['release@v2']));
  });
});

describe('a deletion', () => {
  it('of a formula takes effect at once, and what comes back needs approval (R22)', async () => {
    const gone = repo.make([trusted], { [RELEASE]: null });
    expect(await at(gone)).toEqual(inForce([]));
    const back = { [RELEASE]: formulaText('release', 'v1') };
    expect(await at(repo.make([gone], back))).toEqual(inForce([], ['Jane'], UNAPPROVED));
    expect(await at(repo.make([gone], back, byJane))).toEqual(inForce(['release@v1']));
  });

  it('of an unapproved edit leaves nothing of it, and nothing of what was before', async () => {
    const edited = repo.make([trusted], { [RELEASE]: formulaText('release', 'v2') });
    expect(await at(repo.make([edited], { [RELEASE]: null }))).toEqual(inForce([]));
  });

  it('of the policy makes everything wait, until approvers of the version before approve another (R22)', async () => {
    const gone = repo.make([trusted], { [POLICY]: null });
    const found = await walk().at(gone);
    expect(found).toMatchObject({ policy: null, policyProblem: { code: 'ERR_POLICY_MISSING' } });
    const same = { [POLICY]: policyText([jane]) };
    const pending = [`${POLICY} ERR_NEEDS_APPROVAL`];
    expect(await at(repo.make([gone], same))).toEqual(inForce(['release@v1'], null, pending));
    expect(await at(repo.make([gone], same, byJoe))).toEqual(inForce(['release@v1'], null, pending));
    expect(await at(repo.make([gone], same, byJane))).toEqual(inForce(['release@v1']));
  });
});

describe('an edit of the policy', () => {
  const both = { [POLICY]: policyText([jane, joe]) };
  const onlyJoe = { [POLICY]: policyText([joe]) };
  const v2 = { [RELEASE]: formulaText('release', 'v2') };
  const pending = [`${POLICY} ERR_NEEDS_APPROVAL`];

  it('takes effect when the version before approves it, not when its own approvers do (R22)', async () => {
    expect(await at(repo.make([trusted], both, byJane))).toEqual(inForce(['release@v1'], ['Jane', 'Joe']));
    expect(await at(repo.make([trusted], both, byJoe))).toEqual(inForce(['release@v1'], ['Jane'], pending));
  });

  it('lets its approvers judge what comes after it', async () => {
    const policy = repo.make([trusted], both, byJane);
    expect(await at(repo.make([policy], v2, byJoe))).toEqual(inForce(['release@v2'], ['Jane', 'Joe']));
  });

  it('does not judge what came before it, nor what comes with it', async () => {
    const formula = repo.make([trusted], v2, byJoe);
    expect(await at(repo.make([formula], both, byJane))).toEqual(inForce(['release@v1'], ['Jane', 'Joe'], UNAPPROVED));
    const together = repo.make([trusted], { ...onlyJoe, ...v2 }, byJane);
    expect(await at(together)).toEqual(inForce(['release@v2'], ['Joe']));
    const byNewcomer = repo.make([trusted], { ...onlyJoe, ...v2 }, byJoe);
    expect(await at(byNewcomer)).toEqual(inForce(['release@v1'], ['Jane'], [...pending, ...UNAPPROVED]));
  });

  it('that removes an approver leaves what they approved in force, and takes no more of them (R22)', async () => {
    const formula = repo.make([trusted], v2, byJane);
    const removed = repo.make([formula], onlyJoe, byJane);
    expect(await at(removed)).toEqual(inForce(['release@v2'], ['Joe']));
    const v3 = repo.make([removed], { [RELEASE]: formulaText('release', 'v3') }, byJane);
    expect(await at(v3)).toEqual(inForce(['release@v2'], ['Joe'], UNAPPROVED));
    const restored = repo.make([removed], { [POLICY]: policyText([jane]) }, byJane);
    expect(await at(restored)).toEqual(inForce(['release@v2'], ['Joe'], pending));
  });

  it('that nobody can read leaves the version before in force', async () => {
    const found = await walk().at(repo.make([trusted], { [POLICY]: 'approvers = 1' }, byJane));
    expect(shown(found)).toEqual(inForce(['release@v1'], ['Jane'], [`${POLICY} ERR_POLICY_INVALID`]));
    expect(found.policyProblem).toBeNull();
  });

  it('that only brings back what is in force leaves nothing to wait for', async () => {
    const edited = repo.make([trusted], both);
    expect(await at(repo.make([edited], { [POLICY]: policyText([jane]) }))).toEqual(inForce(['release@v1']));
  });
});

describe('without a trusted commit', () => {
  it('every pushed version is in force with trust-branch', async () => {
    const seen = walk(TRUSTING, null);
    expect(await at(trusted, seen)).toEqual(inForce(['release@v1']));
    const tip = repo.make([trusted], { [RELEASE]: formulaText('release', 'v2') });
    expect(await at(tip, seen)).toEqual(inForce(['release@v2']));
  });

  it('none is in force with a rule that asks for a person, whatever it would say', async () => {
    const tip = repo.make([], { [POLICY]: policyText([jane]), [RELEASE]: formulaText('release', 'v1') }, byJane);
    const lenient: ApprovalRule = {
      ...trustBranch.create({ opsRepo: repo }),
      name: 'forge-review',
      countsPeople: true,
    };
    for (const all of [['signed-commit'], ['forge-review'], ['trust-branch', 'forge-review']]) {
      const found = await walk({ ...SIGNED, all }, null, [lenient]).at(tip);
      expect(found).toMatchObject({ policy: null, policyProblem: { code: 'ERR_POLICY_MISSING' } });
      expect(found.policyProblem?.message).toContain('init --trust');
      expect(shown(found)).toEqual(inForce([], null, [`${POLICY} ERR_NEEDS_APPROVAL`, ...UNAPPROVED]));
    }
  });

  it('says that there is no policy where there is none', async () => {
    const found = await walk(TRUSTING, null).at(repo.make([], { [RELEASE]: formulaText('release') }));
    expect(found).toMatchObject({ policy: null, policyProblem: { message: 'no policy is in force' }, pending: [] });
  });
});

describe('the high tier', () => {
  const v2 = { [RELEASE]: formulaText('release', 'v2') };

  it.each<[string, Requirement | null, string]>([
    ['nothing is configured', null, 'no rule is configured'],
    ['its rule is not there yet', { ...SIGNED, all: ['forge-review'] }, 'not available in this version'],
  ])('lets no edit take effect when %s', async (_, requirement, message) => {
    const found = await walk(requirement).at(repo.make([trusted], v2, byJane));
    expect(shown(found)).toEqual(inForce(['release@v1'], ['Jane'], UNAPPROVED));
    expect(found.pending[0]?.reason.message).toContain(message);
  });

  it('can ask for two people (R23)', async () => {
    const start = repo.make([], { [POLICY]: policyText([jane, joe]), [RELEASE]: formulaText('release', 'v1') });
    const two = { ...SIGNED, atLeast: 2 };
    const side = repo.make([start], v2, byJoe);
    const one = repo.merge(start, side, {}, byJoe);
    expect(await at(one, walk(two, start))).toEqual(inForce(['release@v1'], ['Jane', 'Joe'], UNAPPROVED));
    const both = repo.merge(start, side, {}, byJane);
    expect(await at(both, walk(two, start))).toEqual(inForce(['release@v2'], ['Jane', 'Joe']));
  });

  it('takes an approval that comes later, and takes it for good', async () => {
    let says = false;
    const late: ApprovalRule = {
      name: 'forge-review',
      countsPeople: true,
      async evaluate({ blob, tip }) {
        if (!says) return { kind: 'refused', code: 'ERR_APPROVAL_REFUSED', message: 'rejected' };
        const evidence = { rule: 'forge-review', by: 'Jane', what: blob, commit: tip, at: '2026-01-01T00:00:00Z' };
        return { kind: 'met', evidence: [{ ...evidence, person: 'Jane', formulaBlob: null }] };
      },
    };
    const seen = walk({ ...SIGNED, all: ['forge-review'] }, trusted, [late]);
    const tip = repo.make([trusted], { ...v2, [POLICY]: policyText([joe]) });
    const pending = [`${POLICY} ERR_NEEDS_APPROVAL`, ...UNAPPROVED];
    expect(await at(tip, seen)).toEqual(inForce(['release@v1'], ['Jane'], pending));
    says = true;
    expect(await at(tip, seen)).toEqual(inForce(['release@v2'], ['Joe']));
    says = false;
    expect(await at(tip, seen)).toEqual(inForce(['release@v2'], ['Joe']));
  });
});

describe('looking again', () => {
  it('answers the same object and asks nothing while nothing changes', async () => {
    const seen = walk();
    const tip = repo.make([trusted], { [RELEASE]: formulaText('release', 'v2') });
    const first = await seen.at(tip);
    repo.calls.length = 0;
    expect(await seen.at(tip)).toBe(first);
    expect(repo.calls).toEqual([]);
    expect(await seen.at(repo.make([tip], { README: 'more' }))).toBe(first);
  });

  it('reads only what is new of the branch', async () => {
    const seen = walk();
    let tip = trusted;
    for (let n = 0; n < 20; n += 1) tip = repo.make([tip], { [RELEASE]: formulaText('release', `v${n}`) }, byJane);
    await seen.at(tip);
    repo.calls.length = 0;
    tip = repo.make([tip], { [RELEASE]: formulaText('release', 'last') }, byJane);
    expect(await at(tip, seen)).toEqual(inForce(['release@last']));
    const count = (name: string) => repo.calls.filter((call) => call === name).length;
    expect([count('list'), count('lastChanged'), count('verifySignature'), count('read')]).toEqual([0, 1, 1, 1]);
    expect(repo.calls.length).toBeLessThan(15);
  });

  it('says of every tip what a fresh look says, also after the branch was rewritten', async () => {
    const seen = walk();
    const v2 = repo.make([trusted], { [RELEASE]: formulaText('release', 'v2') }, byJane);
    const policy = repo.make([v2], { [POLICY]: policyText([joe]) }, byJane);
    const rewritten = repo.make([trusted], { [DEPLOY]: formulaText('deploy', 'v1') }, byJane);
    const foxtrot = repo.merge(rewritten, policy);
    for (const tip of [trusted, v2, policy, rewritten, foxtrot, v2]) expect(await at(tip, seen)).toEqual(await at(tip));
  });

  it('is no answer while evidence cannot be read, and goes on from where it was', async () => {
    const seen = walk();
    await seen.at(trusted);
    const tip = repo.make([trusted], { [RELEASE]: formulaText('release', 'v2') }, byJane);
    repo.failure = new TransientError('ERR_GIT_UNAVAILABLE', 'away');
    await expect(seen.at(tip)).rejects.toBe(repo.failure);
    repo.failure = null;
    expect(await at(tip, seen)).toEqual(inForce(['release@v2']));
  });

  it('can be asked for two tips at the same time', async () => {
    const seen = walk();
    const v2 = repo.make([trusted], { [RELEASE]: formulaText('release', 'v2') }, byJane);
    const both = await Promise.all([at(v2, seen), at(trusted, seen), at(v2, seen)]);
    expect(both.map(({ formulas }) => formulas)).toEqual([['release@v2'], ['release@v1'], ['release@v2']]);
  });

  it('ends when its caller has stopped', async () => {
    await expect(walk().at(trusted, AbortSignal.abort())).rejects.toThrow('aborted');
  });
});
