import { beforeEach, describe, expect, it } from 'vitest';
import { decisionLine } from '../../../src/domain/decision.ts';
import { type Oid, oid } from '../../../src/domain/ids.ts';
import type { Requirement } from '../../../src/domain/verdict.ts';
import { TransientError } from '../../../src/errors.ts';
import type { ApprovalRule } from '../../../src/ports/approval.ts';
import { createInForce, type InForceWalk } from '../../../src/story/in-force.ts';
import { allRules } from '../../fakes/approval-rules.ts';
import { formulaText, policyText } from '../../fakes/gated-files.ts';
import { MemoryDecisions } from '../../fakes/memory-decisions.ts';
import { MemoryOpsRepo } from '../../fakes/memory-ops-repo.ts';

const POLICY = 'vault/policy.toml';
const RELEASE = 'vault/formulas/release.toml';
const BY_PEOPLE: Requirement = { all: ['forge-review'], any: [], atLeast: 0, selfApprove: false };
const BY_PUSH: Requirement = { ...BY_PEOPLE, all: ['trust-branch'] };
const people = (...names: string[]) => ({ [POLICY]: policyText(names.map((name) => ({ name }))) });
const release = (version: string) => ({ [RELEASE]: formulaText('release', version) });

let repo: MemoryOpsRepo;
let trusted: Oid;
/** Commits whose approval the forge still shows. */
let approved: Set<Oid>;
let failure: Error | null;
let decisions: MemoryDecisions;

beforeEach(() => {
  repo = new MemoryOpsRepo();
  trusted = repo.make([], { ...people('Grace', 'Quinn', 'Mallory'), ...release('v1') });
  approved = new Set();
  failure = null;
  decisions = new MemoryDecisions();
});

/** As after a restart: only what was kept is known. */
function started(requirement: Requirement = BY_PEOPLE, trustedCommit: Oid | null = trusted): InForceWalk {
  const rule: ApprovalRule = {
    name: 'forge-review',
    countsPeople: true,
    async evaluate({ tip: commit }) {
      if (failure !== null) throw failure;
      if (!approved.has(commit)) return { kind: 'waiting', code: 'ERR_NEEDS_APPROVAL', message: 'nobody' };
      const evidence = { rule: 'forge-review', by: 'Quinn', what: 'x', commit, at: '2026-01-01T00:00:00Z' };
      return { kind: 'met', evidence: [{ ...evidence, person: 'Quinn', formulaBlob: null }] };
    },
  };
  return createInForce({
    opsRepo: repo,
    rules: new Map([...allRules(repo), [rule.name, rule]]),
    requirement,
    trustedCommit,
    paths: { formulasDir: 'vault/formulas', policyFile: POLICY, projectFiles: [] },
    decisions,
  });
}

async function shown(tip: Oid, walk = started()) {
  const { formulas, policy, pending } = await walk.at(tip);
  return {
    formulas: [...formulas.values()].map(({ formula }) => formula?.description),
    approvers: policy?.policy.approvers.map(({ name }) => name) ?? null,
    pending: pending.map(({ reason }) => reason.code),
  };
}

/** The policy leaves Mallory out, then a formula changes; both are approved. */
function edited(): Oid {
  const policy = repo.make([trusted], people('Grace'));
  const tip = repo.make([policy], release('v2'));
  approved = new Set([policy, tip]);
  return tip;
}

const NEW = { formulas: ['v2'], approvers: ['Grace'], pending: [] };

describe('what was once decided, after a restart', () => {
  it('stays in force when the evidence is gone by then (R22)', async () => {
    const tip = edited();
    expect(await shown(tip)).toEqual(NEW);
    approved.clear();
    expect(await shown(tip)).toEqual(NEW);
    const next = repo.make([tip], people('Grace', 'Mallory'));
    expect(await shown(next)).toEqual({ ...NEW, pending: ['ERR_NEEDS_APPROVAL'] });
  });

  it('is in force at once, also while the forge is away (R20, R22)', async () => {
    const tip = edited();
    await shown(tip);
    failure = new TransientError('ERR_FORGE_UNAVAILABLE', 'the forge is away');
    expect(await shown(tip)).toEqual(NEW);
  });

  it('is judged anew where nothing was kept', async () => {
    const tip = edited();
    await shown(tip);
    approved.clear();
    decisions = new MemoryDecisions();
    expect(await shown(tip)).toMatchObject({ formulas: ['v1'], approvers: ['Grace', 'Quinn', 'Mallory'] });
  });

  it('stays when people have to do more from now on, because they did what was asked then', async () => {
    const tip = edited();
    await shown(tip);
    expect(await shown(tip, started({ ...BY_PEOPLE, atLeast: 2 }))).toEqual(NEW);
  });

  it('is judged anew when no person had approved it: pushing is not enough any more', async () => {
    const tip = edited();
    approved.clear();
    expect(await shown(tip, started(BY_PUSH))).toEqual(NEW);
    expect(await shown(tip, started(BY_PUSH, null))).toEqual(NEW);
    expect(decisions.lines.size).toBe(0);
    expect(await shown(tip)).toMatchObject({ formulas: ['v1'], approvers: ['Grace', 'Quinn', 'Mallory'] });
  });

  it('is another decision for another commit with the same bytes, and by another policy', async () => {
    const policy = repo.make([trusted], people('Grace'));
    const first = repo.make([policy], release('v2'));
    approved = new Set([first]);
    expect(await shown(first)).toMatchObject({ formulas: ['v2'] });
    approved = new Set([policy]);
    expect(await shown(first)).toMatchObject({ formulas: ['v1'], approvers: ['Grace'] });
    approved.clear();
    const back = repo.make([repo.make([first], release('v3'))], release('v2'));
    expect(await shown(back)).toMatchObject({ pending: ['ERR_FORMULA_UNAPPROVED'] });
  });
});

describe('a decision', () => {
  it('takes no effect that can not be kept, and does as soon as it can', async () => {
    const tip = edited();
    decisions.failure = new TransientError('ERR_STORE_UNAVAILABLE', 'the disk is full');
    const walk = started();
    await expect(shown(tip, walk)).rejects.toBe(decisions.failure);
    decisions.failure = null;
    decisions.keep = () => Promise.reject(new TransientError('ERR_STORE_UNAVAILABLE', 'full'));
    await expect(shown(tip, walk)).rejects.toThrow('full');
    await expect(shown(tip, walk)).rejects.toThrow('full');
    Reflect.deleteProperty(decisions, 'keep');
    expect(await shown(tip, walk)).toEqual(NEW);
    expect(decisions.lines.size).toBe(2);
  });

  it('names edit and policy by commit and bytes', async () => {
    const tip = edited();
    await shown(tip);
    const policy = (await repo.commit(tip)).parents[0] ?? tip;
    const judge = { commit: trusted, blob: repo.blobAt(trusted, POLICY) };
    const ofPolicy = { commit: policy, path: POLICY, blob: repo.blobAt(policy, POLICY) };
    const ofFormula = { commit: tip, path: RELEASE, blob: repo.blobAt(tip, RELEASE) };
    expect([...decisions.lines]).toEqual([
      decisionLine({ edit: ofPolicy, judge }),
      decisionLine({ edit: ofFormula, judge: { commit: policy, blob: ofPolicy.blob } }),
    ]);
  });

  it('about what is not on the line any more is thrown away when there are too many', async () => {
    const judge = { commit: trusted, blob: repo.blobAt(trusted, POLICY) };
    const old = Array.from({ length: 5_000 }, (_, index) => {
      const commit = oid(index.toString(16).padStart(40, '0'));
      return decisionLine({ edit: { commit, path: RELEASE, blob: commit }, judge });
    });
    decisions.lines = new Set(old.slice(2));
    const tip = edited();
    await shown(tip);
    expect(decisions.lines.size).toBe(2);
    approved.clear();
    expect(await shown(tip)).toEqual(NEW);
  });
});

it('an edit that nobody can tell about while the forge is away is named', async () => {
  const first = repo.make([trusted], people('Grace'));
  const second = repo.make([first], people('Grace', 'Quinn'));
  failure = new TransientError('ERR_FORGE_UNAVAILABLE', 'the forge is away');
  const { policyProblem } = await started().at(second);
  expect(policyProblem?.message).toContain(`${POLICY} of commit ${first.slice(0, 12)}`);
});
