import { describe, expect, it } from 'vitest';
import { type Oid, oid } from '../../../src/domain/ids.ts';
import type { Requirement, RuleVerdict } from '../../../src/domain/verdict.ts';
import { TransientError } from '../../../src/errors.ts';
import type { ApprovalRule, ApprovalSubject } from '../../../src/ports/approval.ts';
import { approveAction } from '../../../src/story/approve-action.ts';
import { readAction } from '../../../src/story/read-action.ts';
import { isWaiting } from '../../../src/story/waiting.ts';
import { MemoryForge } from '../../fakes/memory-forge.ts';
import { NOBODY, StoryBench } from '../../fakes/story-bench.ts';

const DAY_MS = 86_400_000;
const NEEDED: Requirement = { ...NOBODY, all: ['rule'] };
const settings = { requirements: { low: NEEDED, medium: NEEDED, high: NEEDED } };

interface Told extends ApprovalRule {
  readonly subjects: ApprovalSubject[];
}

function ruleOf(verdict: (subject: ApprovalSubject) => RuleVerdict | Error): Told {
  const subjects: ApprovalSubject[] = [];
  return {
    name: 'rule',
    countsPeople: true,
    subjects,
    evaluate: async (subject) => {
      subjects.push(subject);
      const told = verdict(subject);
      if (told instanceof Error) throw told;
      return told;
    },
  };
}

function setUp(verdict: (subject: ApprovalSubject) => RuleVerdict | Error) {
  const bench = new StoryBench();
  bench.addAction('a');
  const rule = ruleOf(verdict);
  bench.rules.set('rule', rule);
  return { bench, rule };
}

const met = (at: string, formulaBlob: string | null): RuleVerdict => {
  const evidence = { rule: 'rule', by: 'Jo', what: 'x', commit: 'c', at, person: 'Jo', formulaBlob };
  return { kind: 'met', evidence: [evidence] };
};

async function formulaBlob(bench: StoryBench) {
  return (await bench.process().watcher.look()).inForce.formulas.get('tidy')?.blob ?? '';
}

describe('an approval', () => {
  it('is asked for of exactly this blob at this path, and shown in the result (R1)', async () => {
    const { bench, rule } = setUp(() => met('2026-03-31T11:00:00Z', blob));
    const blob = await formulaBlob(bench);
    await bench.once({ settings });
    expect(bench.result('a')).toMatchObject({
      outcome: 'succeeded',
      approval: {
        required: ['rule'],
        evidence: [{ rule: 'rule', by: 'Jo', what: 'x', commit: 'c', at: '2026-03-31T11:00:00Z' }],
      },
      times: { approved: '2026-03-31T11:00:00Z' },
    });
    expect(rule.subjects[0]).toMatchObject({
      path: 'vault/actions/a.toml',
      blob: bench.result('a')?.action.blob,
      formulaPath: 'vault/formulas/tidy.toml',
      selfApprove: false,
    });
  });

  it('is taken again when the claim is made: nothing is minted twice, and nothing runs after a change (R1)', async () => {
    const { bench, rule } = setUp(() => {
      const waits: RuleVerdict = { kind: 'waiting', code: 'ERR_NEEDS_APPROVAL', message: 'withdrawn' };
      return rule.subjects.length === 1 ? met('2026-03-31T11:00:00Z', blob) : waits;
    });
    const blob = await formulaBlob(bench);
    const { report } = await bench.once({ settings });
    expect(report.waiting).toMatchObject([{ id: 'a', reason: { code: 'ERR_NEEDS_APPROVAL' } }]);
    expect([bench.engine.known, bench.records.files.size, bench.access.loose]).toEqual([0, 0, 0]);
    expect(bench.journal.state.entries.size).toBe(0);
  });

  it('beside another formula than the one in force is waited for anew (R22)', async () => {
    const { bench } = setUp(() => met('2026-03-31T11:00:00Z', 'another'));
    const { report } = await bench.once({ settings });
    expect(report.waiting).toMatchObject([{ id: 'a', reason: { code: 'ERR_FORMULA_CHANGED' } }]);
    expect(bench.engine.executions).toEqual([]);
  });

  it('beside a version of its formula whose own edit is not approved yet waits for just that (R22)', async () => {
    const edited = oid('e'.repeat(40));
    const { bench } = setUp(() => met('2026-03-31T11:00:00Z', edited));
    const context = await bench.process({ settings }).context();
    const world = context.world();
    const [candidate] = world.candidates.values();
    const read = candidate && (await readAction(candidate, world, context.opsRepo));
    if (read === undefined || isWaiting(read)) throw new Error('it can not be read');
    const told = { code: 'ERR_NEEDS_APPROVAL', message: 'not yet' } as const;
    const beside = (path: string, blob: Oid) => {
      const pending = [{ path, blob, commit: read.candidate.commit, reason: told }];
      return approveAction(read, { ...world, inForce: { ...world.inForce, pending } }, context);
    };
    const early = 'the formula version that was approved with it is not in force yet';
    const reason = { code: 'ERR_FORMULA_CHANGED', message: expect.stringContaining('beside another version') };
    expect(await beside('vault/formulas/tidy.toml', edited)).toMatchObject({
      reason: { ...reason, message: early, hint: expect.stringContaining('edit of its formula') },
    });
    expect(await beside('vault/formulas/tidy.toml', oid('d'.repeat(40)))).toMatchObject({ reason });
    expect(await beside('vault/formulas/other.toml', edited)).toMatchObject({ reason });
  });

  it('that is denied for good is a refusal; one that can still come is not', async () => {
    const refused = setUp(() => ({ kind: 'refused', code: 'ERR_APPROVAL_REFUSED', message: 'Jo said no' }));
    await refused.bench.once({ settings });
    expect(refused.bench.result('a')).toMatchObject({ outcome: 'refused', reason: { code: 'ERR_APPROVAL_REFUSED' } });
    const waits = setUp(() => ({ kind: 'waiting', code: 'ERR_NEEDS_APPROVAL', message: 'nobody yet' }));
    expect((await waits.bench.once({ settings })).report.waiting).toMatchObject([
      { reason: { code: 'ERR_NEEDS_APPROVAL' } },
    ]);
  });

  it('is no verdict while its evidence can’t be read (E2)', async () => {
    const { bench } = setUp(() => new TransientError('ERR_GIT_UNAVAILABLE', 'away'));
    bench.clock.advance(30 * DAY_MS);
    const { report } = await bench.once({ settings });
    expect([bench.result('a'), report.unreachable[0]?.code]).toEqual([null, 'ERR_GIT_UNAVAILABLE']);
  });

  it('is not too old for a forge that may not have learned of it yet: a fast-forward brings old commits (R20)', async () => {
    const { bench } = setUp(() => ({ kind: 'waiting', code: 'ERR_NO_CHANGE', message: 'not yet' }));
    bench.forge = new MemoryForge();
    bench.clock.advance(8 * DAY_MS);
    const { report } = await bench.once({ settings: { ...settings, graceMs: 600_000 } });
    expect(report.waiting).toMatchObject([{ id: 'a', reason: { code: 'ERR_NO_CHANGE' } }]);
    await bench.once({ settings });
    expect(bench.result('a')).toMatchObject({ outcome: 'refused', reason: { code: 'ERR_APPROVAL_EXPIRED' } });
  });

  it('that does not come within approval_days is refused, one second later and not before', async () => {
    const { bench } = setUp(() => ({ kind: 'waiting', code: 'ERR_NEEDS_APPROVAL', message: 'nobody yet' }));
    bench.clock.advance(7 * DAY_MS);
    await bench.once({ settings });
    expect(bench.result('a')).toBeNull();
    bench.clock.advance(1000);
    await bench.once({ settings });
    expect(bench.result('a')).toMatchObject({ outcome: 'refused', reason: { code: 'ERR_APPROVAL_EXPIRED' } });
  });

  it('that is older than approval_days starts nothing, counted from not_before if that is later', async () => {
    const { bench } = setUp(() => met('2026-03-31T11:00:00Z', blob));
    bench.addAction('b', { not_before: '2026-04-06T00:00:00Z' });
    const blob = await formulaBlob(bench);
    bench.clock.advance(8 * DAY_MS);
    await bench.once({ settings });
    expect(bench.result('a')).toMatchObject({ outcome: 'refused', reason: { code: 'ERR_APPROVAL_EXPIRED' } });
    expect(bench.result('b')?.outcome).toBe('succeeded');
  });

  it('is waited for where nothing or nothing known is configured for the tier', async () => {
    const bench = new StoryBench();
    bench.addAction('a');
    const open = { requirements: { low: null, medium: null, high: null } };
    expect((await bench.once({ settings: open })).report.waiting).toMatchObject([{ reason: { code: 'ERR_NO_RULE' } }]);
    expect((await bench.once({ settings })).report.waiting).toMatchObject([{ reason: { code: 'ERR_NO_RULE' } }]);
  });

  it('is that of the highest tier: no field of an action lowers it (R3)', async () => {
    const bench = new StoryBench();
    bench.addFormula('guarded', { tier: 'high' });
    bench.addAction('a', { formula: 'guarded', blast_radius: 'low', dispatch_mode: 'direct' });
    bench.addAction('b', { blast_radius: 'high' });
    bench.addAction('c');
    const high = { requirements: { low: NOBODY, medium: NOBODY, high: null } };
    const { report } = await bench.once({ settings: high });
    expect(report.waiting.map(({ id }) => id)).toEqual(['a', 'b']);
    expect(bench.result('c')?.formula).toMatchObject({ tier: 'low' });
  });
});
