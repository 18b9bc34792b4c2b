import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type ApprovalEvidence,
  approvedAt,
  combine,
  type Requirement,
  type RuleVerdict,
} from '../../../src/domain/verdict.ts';

const V1 = '1'.repeat(40);
const V2 = '2'.repeat(40);
const here = { formulaInForce: V1 };

const need = (changes: Partial<Requirement>): Requirement => ({
  all: [],
  any: [],
  atLeast: 0,
  selfApprove: false,
  ...changes,
});

function given(rule: string, person: string | null, changes: Partial<ApprovalEvidence> = {}): ApprovalEvidence {
  const formulaBlob = person === null ? null : V1;
  const at = '2026-01-01T00:00:00Z';
  return { rule, by: person ?? 'branch', what: 'x', commit: 'c', at, person, formulaBlob, ...changes };
}

const met = (...evidence: ApprovalEvidence[]): RuleVerdict => ({ kind: 'met', evidence });
const waits: RuleVerdict = { kind: 'waiting', code: 'ERR_NEEDS_APPROVAL', message: 'nobody yet' };
const refuses: RuleVerdict = { kind: 'refused', code: 'ERR_APPROVAL_REFUSED', message: 'rejected' };
const verdicts = (found: Record<string, RuleVerdict>) => new Map(Object.entries(found));

describe('combine', () => {
  it('waits for ever where nothing is configured', () => {
    expect(combine(null, verdicts({ a: met(given('a', 'Jane')) }), here)).toMatchObject({
      kind: 'waiting',
      code: 'ERR_NO_RULE',
    });
  });

  it('lets an empty list pass, and names no evidence', () => {
    expect(combine(need({}), new Map(), here)).toEqual({ kind: 'allowed', required: [], evidence: [] });
  });

  it('needs all of a list', () => {
    const both = need({ all: ['a', 'b'] });
    const a = met(given('a', 'Jane'));
    expect(combine(both, verdicts({ a, b: met(given('b', 'Joe')) }), here)).toMatchObject({
      kind: 'allowed',
      required: ['a', 'b'],
      evidence: [{ by: 'Jane' }, { by: 'Joe' }],
    });
    expect(combine(both, verdicts({ a, b: waits }), here)).toEqual({
      kind: 'waiting',
      code: 'ERR_NEEDS_APPROVAL',
      message: 'approved by Jane; b: nobody yet',
    });
  });

  it('needs one of any, beside all', () => {
    const either = need({ all: ['a'], any: ['b', 'c'] });
    const a = met(given('a', 'Jane'));
    expect(combine(either, verdicts({ a, b: refuses, c: met(given('c', 'Joe')) }), here).kind).toBe('allowed');
    expect(combine(either, verdicts({ a: waits, b: met(given('b', 'Joe')), c: waits }), here).kind).toBe('waiting');
    expect(combine(either, verdicts({ a, b: refuses, c: waits }), here)).toMatchObject({
      kind: 'waiting',
      message: 'approved by Jane; b: rejected, or c: nobody yet',
    });
  });

  it('waits for a rule that this version has not got, and says which', () => {
    expect(combine(need({ all: ['forge-review'] }), new Map(), here)).toEqual({
      kind: 'waiting',
      code: 'ERR_NO_RULE',
      message: 'forge-review: the rule forge-review is not available in this version',
    });
  });

  it('does not take a rule for met that names no evidence', () => {
    expect(combine(need({ all: ['a'] }), verdicts({ a: met() }), here).kind).toBe('waiting');
  });

  it('ignores rules that the tier does not name', () => {
    const found = verdicts({ a: met(given('a', 'Jane')), b: met(given('b', 'Joe')) });
    expect(combine(need({ all: ['a'], atLeast: 2 }), found, here).kind).toBe('waiting');
  });
});

describe('counting people', () => {
  const two = need({ any: ['a', 'b'], atLeast: 2 });

  it('takes one person for one approval, whatever rules and spelling (R23)', () => {
    const found = verdicts({ a: met(given('a', 'Jane'), given('a', ' jane')), b: met(given('b', 'JANE')) });
    expect(combine(two, found, here)).toMatchObject({
      kind: 'waiting',
      message: expect.stringContaining('1 more of 2 people has to approve it'),
    });
  });

  it('takes two people for two, by one rule or by two', () => {
    expect(combine(two, verdicts({ a: met(given('a', 'Jane'), given('a', 'Joe')), b: waits }), here).kind).toBe(
      'allowed',
    );
    expect(combine(two, verdicts({ a: met(given('a', 'Jane')), b: met(given('b', 'Joe')) }), here).kind).toBe(
      'allowed',
    );
  });

  it('counts nobody for trust in a place', () => {
    const found = verdicts({ a: met(given('a', null)), b: met(given('b', 'Jane')) });
    expect(combine(two, found, here)).toMatchObject({
      kind: 'waiting',
      message: 'approved by Jane; 1 more of 2 people has to approve it',
    });
    expect(combine(need({ all: ['a'], atLeast: 2 }), verdicts({ a: met(given('a', null)) }), here)).toMatchObject({
      kind: 'waiting',
      message: '2 more of 2 people have to approve it',
    });
  });
});

describe('the formula that stood beside (R22)', () => {
  const one = need({ all: ['a'] });

  it('has to be the one in force', () => {
    const found = verdicts({ a: met(given('a', 'Jane', { formulaBlob: V2 })) });
    expect(combine(one, found, here)).toEqual({
      kind: 'waiting',
      code: 'ERR_FORMULA_CHANGED',
      message: 'a: Jane approved it beside another version of its formula than is in force',
    });
    expect(combine(one, found, { formulaInForce: V2 }).kind).toBe('allowed');
  });

  it('cannot be missing: what was approved beside no formula is not approved for one that came later', () => {
    const found = verdicts({ a: met(given('a', 'Jane', { formulaBlob: null })) });
    expect(combine(one, found, here)).toMatchObject({ kind: 'waiting', code: 'ERR_FORMULA_CHANGED' });
  });

  it('does not matter to a file that has none', () => {
    const found = verdicts({ a: met(given('a', 'Jane', { formulaBlob: V2 })) });
    expect(combine(one, found, { formulaInForce: null }).kind).toBe('allowed');
  });

  it('does not matter to trust-branch and to an empty list: there the one in force at the claim counts', () => {
    expect(combine(one, verdicts({ a: met(given('a', null)) }), here).kind).toBe('allowed');
    expect(combine(need({}), new Map(), here).kind).toBe('allowed');
  });

  it('drops only the evidence that stood beside another', () => {
    const found = verdicts({ a: met(given('a', 'Jane', { formulaBlob: V2 }), given('a', 'Joe')) });
    expect(combine(one, found, here)).toMatchObject({ kind: 'allowed', evidence: [{ by: 'Joe' }] });
    expect(combine(need({ all: ['a'], atLeast: 2 }), found, here)).toMatchObject({
      kind: 'waiting',
      code: 'ERR_FORMULA_CHANGED',
    });
  });

  it('is not what it waits for where another approval is missing anyway', () => {
    const found = verdicts({ a: met(given('a', 'Jane', { formulaBlob: V2 })), b: waits });
    expect(combine(need({ all: ['b', 'a'] }), found, here)).toMatchObject({ code: 'ERR_NEEDS_APPROVAL' });
  });
});

describe('refusing', () => {
  it.each<[string, Partial<Requirement>, Record<string, RuleVerdict>]>([
    ['the only rule says no', { all: ['a'] }, { a: refuses }],
    ['one of all says no and the other is met', { all: ['a', 'b'] }, { a: refuses, b: met(given('b', 'Jane')) }],
    ['every choice says no', { any: ['a', 'b'] }, { a: refuses, b: refuses }],
    [
      'people are missing whom no rule can bring',
      { any: ['a', 'b'], atLeast: 1 },
      { a: refuses, b: met(given('b', null)) },
    ],
  ])('says no when %s', (_, requirement, found) => {
    expect(combine(need(requirement), verdicts(found), here)).toMatchObject({
      kind: 'refused',
      code: 'ERR_APPROVAL_REFUSED',
    });
  });

  it.each<[string, Partial<Requirement>, Record<string, RuleVerdict>]>([
    ['another choice waits', { any: ['a', 'b'] }, { a: refuses, b: waits }],
    ['another choice is not available yet', { any: ['a', 'b'] }, { a: refuses }],
    ['another of all waits', { all: ['a', 'b'] }, { a: refuses, b: waits }],
    [
      'more people can come by a rule that is met',
      { any: ['a', 'b'], atLeast: 2 },
      { a: refuses, b: met(given('b', 'J')) },
    ],
    ['only the formula changed', { any: ['a', 'b'] }, { a: refuses, b: met(given('b', 'J', { formulaBlob: V2 })) }],
    [
      'a rule brought somebody, but beside another formula',
      { any: ['a', 'b'], atLeast: 1 },
      { a: refuses, b: met(given('b', null), given('b', 'J', { formulaBlob: V2 })) },
    ],
    ['nobody said no', { all: ['a'], atLeast: 1 }, { a: met(given('a', null)) }],
  ])('waits when %s', (_, requirement, found) => {
    expect(combine(need(requirement), verdicts(found), here).kind).toBe('waiting');
  });
});

const RULES = ['a', 'b', 'c'];
const person = fc.constantFrom('Jane', 'Joe', 'Ann', null);
const anyEvidence = fc
  .tuple(fc.constantFrom(...RULES), person, fc.constantFrom(V1, V2))
  .map(([rule, who, formulaBlob]) => {
    return given(rule, who, who === null ? {} : { formulaBlob });
  });
const anyVerdict = fc.oneof(
  fc.constant(waits),
  fc.constant(refuses),
  fc.array(anyEvidence, { maxLength: 3 }).map((evidence) => met(...evidence)),
);
/** Evidence bears the name of the rule that found it. */
const anyVerdicts = fc
  .array(fc.tuple(fc.constantFrom(...RULES), anyVerdict), { maxLength: 4 })
  .map(
    (found) =>
      new Map(
        found.map(([rule, verdict]) => [
          rule,
          verdict.kind === 'met' ? met(...verdict.evidence.map((each) => ({ ...each, rule }))) : verdict,
        ]),
      ),
  );
const anyRequirement = fc.record({
  all: fc.subarray(RULES),
  any: fc.subarray(RULES),
  atLeast: fc.integer({ min: 0, max: 3 }),
  selfApprove: fc.boolean(),
});

describe('whatever the rules say', () => {
  it('more evidence never turns allowed into anything else', () => {
    fc.assert(
      fc.property(anyRequirement, anyVerdicts, anyEvidence, (requirement, found, more) => {
        const before = combine(requirement, found, here);
        const old = found.get(more.rule);
        const richer = new Map(found).set(more.rule, met(...(old?.kind === 'met' ? old.evidence : []), more));
        return before.kind !== 'allowed' || combine(requirement, richer, here).kind === 'allowed';
      }),
      { numRuns: 500 },
    );
  });

  it('allowed means: all met, one of any met, and so many people beside this very formula (R22, R23)', () => {
    fc.assert(
      fc.property(anyRequirement, anyVerdicts, (requirement, found) => {
        const counts = (name: string) => {
          const verdict = found.get(name);
          const evidence = verdict?.kind === 'met' ? verdict.evidence : [];
          return evidence.filter((each) => each.person === null || each.formulaBlob === V1);
        };
        const people = new Set(
          [...requirement.all, ...requirement.any].flatMap(counts).flatMap((each) => each.person ?? []),
        );
        const enough =
          requirement.all.every((name) => counts(name).length > 0) &&
          (requirement.any.length === 0 || requirement.any.some((name) => counts(name).length > 0)) &&
          people.size >= requirement.atLeast;
        expect(combine(requirement, found, here).kind === 'allowed').toBe(enough);
      }),
      { numRuns: 500 },
    );
  });

  it('no is said only when no rule that is named can still be met', () => {
    fc.assert(
      fc.property(anyRequirement, anyVerdicts, (requirement, found) => {
        if (combine(requirement, found, here).kind !== 'refused') return;
        const named = new Map([...requirement.all, ...requirement.any].map((name) => [name, found.get(name)]));
        expect([...named.values()].some((verdict) => verdict?.kind === 'refused')).toBe(true);
        expect([...named.values()].filter((verdict) => verdict === undefined || verdict.kind === 'waiting')).toEqual(
          [],
        );
        const crowded = [...named.values()].flatMap((verdict) =>
          verdict?.kind === 'met' ? [withMorePeople(verdict)] : [],
        );
        expect(combine(requirement, new Map([...found, ...crowded]), here).kind).not.toBe('allowed');
      }),
      { numRuns: 500 },
    );
  });

  /** The most that a rule which is met may still bring: people, if it brought one at all. */
  function withMorePeople(verdict: RuleVerdict & { kind: 'met' }): [string, RuleVerdict] {
    const [rule = ''] = verdict.evidence.map((each) => each.rule);
    const brings = verdict.evidence.some((each) => each.person !== null);
    const more = brings ? ['X', 'Y', 'Z'].map((who) => given(rule, who)) : [];
    return [rule, met(...verdict.evidence, ...more)];
  }
});

describe('approvedAt', () => {
  const day = (number: number) => `2026-01-0${number}T00:00:00Z`;
  const by = (rule: string, who: string | null, on: number) => given(rule, who, { at: day(on) });

  it('is null where no approval was needed', () => {
    expect(approvedAt([])).toBeNull();
    expect(approvedAt([], need({}))).toBeNull();
  });

  it('is the latest of the evidence when nothing is said of what was needed', () => {
    expect(approvedAt([by('a', 'Jane', 3), by('b', 'Joe', 5), by('b', null, 4)])).toBe(day(5));
  });

  it.each<[string, Partial<Requirement>, ApprovalEvidence[], number]>([
    ['the last of all', { all: ['a', 'b'] }, [by('a', 'Jane', 3), by('b', 'Joe', 5)], 5],
    ['the first of any', { any: ['a', 'b'] }, [by('a', 'Jane', 3), by('b', 'Joe', 5)], 3],
    ['the first of a rule', { all: ['a'] }, [by('a', 'Joe', 5), by('a', 'Jane', 3)], 3],
    [
      'the person who made it enough',
      { any: ['a'], atLeast: 2 },
      [by('a', 'J', 3), by('a', 'J', 4), by('a', 'K', 6), by('a', 'L', 7)],
      6,
    ],
  ])('is the time of %s', (_, requirement, evidence, on) => {
    expect(approvedAt(evidence, need(requirement))).toBe(day(on));
  });

  it('compares moments, not texts', () => {
    const offset = given('a', 'Jane', { at: '2026-01-02T00:30:00+02:00' });
    expect(approvedAt([offset, given('a', 'Joe', { at: '2026-01-01T23:00:00Z' })])).toBe('2026-01-01T23:00:00Z');
  });
});
