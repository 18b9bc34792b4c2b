import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sidecarRuleSchema } from '../../../src/domain/config-sidecar.ts';
import { isActionId, isRunId, isSidecarId, sidecarId, sidecarNameOf } from '../../../src/domain/ids.ts';
import type { Issue } from '../../../src/domain/issue.ts';
import { coolDownMs, decomposedFrom, hasLabelsOf, issueDigest, pageOf } from '../../../src/domain/sidecar.ts';
import { sidecarRule } from '../../fakes/sidecar-bench.ts';

const author = { id: 1, login: 'dev', isBot: false };
const ISSUE: Issue = {
  number: 7,
  url: 'https://forge.example/ops/code/issues/7',
  title: 'it crashes',
  body: 'always',
  author,
  labels: ['bug-report'],
  state: 'open',
  updatedAt: '2026-01-01T00:00:00Z',
};

describe('the id of a sidecar', () => {
  const formulas = fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,127}$/);

  it('says formula, issue and number of the run, whatever the formula is named', () => {
    const names = fc.record({
      formula: formulas,
      issue: fc.integer({ min: 1, max: 1e8 }),
      n: fc.integer({ min: 1, max: 1e5 }),
    });
    fc.assert(
      fc.property(names, (name) => {
        expect(sidecarNameOf(sidecarId(name))).toEqual(name);
      }),
    );
  });

  it('is never the id of an action', () => {
    fc.assert(
      fc.property(formulas, (formula) => {
        const id = sidecarId({ formula, issue: 1, n: 1 });
        expect([isSidecarId(id), isRunId(id), isActionId(id)]).toEqual([true, true, false]);
      }),
    );
  });

  it.each([
    'sidecar/reproduce-12',
    'reproduce-12-1',
    'sidecar/reproduce-0-1',
    'sidecar/reproduce-1-01',
    'sidecar/../a-1-1',
  ])('is not %s', (text) => {
    expect([isSidecarId(text), sidecarNameOf(text)]).toEqual([false, null]);
  });
});

describe('a rule of the configuration', () => {
  const given = { repo: 'ops/code', project_toml: 'projects/code.toml' };

  it('has the labels of requirement S2.2 by the name of its formula', () => {
    const rules = ['reproduce', 'triage', 'verify'].map((formula) => sidecarRuleSchema.parse({ formula, ...given }));
    expect(rules.map(({ labels, without, when }) => ({ labels, without, when }))).toEqual([
      { labels: ['bug-report'], without: ['in-progress', 'in-triage', 'rejected', 'blocked'], when: null },
      { labels: ['bug-report', 'in-triage'], without: [], when: null },
      { labels: ['bug-report', 'in-progress'], without: [], when: 'sub-issues-closed' },
    ]);
  });

  it('has what is written in place of that', () => {
    const written = { labels: ['bug'], without: [], when: '', cool_down_minutes: 5, comment: true };
    expect(sidecarRuleSchema.parse({ formula: 'verify', ...given, ...written })).toMatchObject({
      labels: ['bug'],
      without: [],
      when: null,
      cool_down_minutes: 5,
      in_flight: 2,
      runs_per_day: 48,
      comment: true,
    });
  });
});

describe('the labels of an issue (S2.2)', () => {
  const rule = sidecarRule('reproduce');

  it.each<readonly [string, Partial<Issue>, boolean]>([
    ['all that are wanted', {}, true],
    ['others beside them', { labels: ['bug-report', 'ui'] }, true],
    ['none', { labels: [] }, false],
    ['one of another case', { labels: ['Bug-Report'] }, false],
    ['an excluded one', { labels: ['bug-report', 'blocked'] }, false],
    ['all, but closed', { state: 'closed' }, false],
  ])('%s', (_, change, expected) => {
    expect(hasLabelsOf(rule, { ...ISSUE, ...change })).toBe(expected);
  });
});

describe('what an issue says to be a part of', () => {
  it.each<readonly [string, readonly number[]]>([
    ['Decomposed from #12', [12]],
    ['text before\n\nDecomposed from #12.\nDecomposed from #13', [12, 13]],
    ['decomposed from #12', []],
    ['Decomposed from #012', []],
    ['NotDecomposed from #12', []],
    ['Decomposed from 12', []],
    ['Decomposed from #12345678901', []],
    ['', []],
  ])('%j', (body, expected) => {
    expect(decomposedFrom({ body })).toEqual(expected);
  });
});

describe('the page of an issue', () => {
  it.each([
    ['https://forge.example/ops/code/issues/7', true],
    ['http://127.0.0.1:3000/a/b/issues/7#x', true],
    ['javascript:alert(1)', false],
    ['https://forge.example/\u001b[31m', false],
    ['https://forge.example/a b', false],
    [`https://forge.example/${'a'.repeat(600)}`, false],
  ])('is %j only where it is an address of the web', (url, isPage) => {
    expect(pageOf({ url })).toBe(isPage ? url : '');
  });
});

describe('the rest after a run', () => {
  it('doubles with each, up to a day', () => {
    const minutes = [1, 2, 3, 6, 7, 8, 1000].map((n) => coolDownMs({ cool_down_minutes: 30 }, n) / 60_000);
    expect(minutes).toEqual([30, 60, 120, 960, 1440, 1440, 1440]);
  });
});

describe('the digest of an issue', () => {
  const part = { ...ISSUE, number: 8, state: 'closed' as const };
  const comment = { id: 3, author, body: 'try this' };
  const subject = { issue: ISSUE, subIssues: [part], comments: [comment] };
  const digest = issueDigest(subject);

  it('is another one for another title, text, label, state of a part, comment or its text', () => {
    const others = [
      { ...subject, issue: { ...ISSUE, title: 'it stops' } },
      { ...subject, issue: { ...ISSUE, body: '' } },
      { ...subject, issue: { ...ISSUE, labels: ['bug-report', 'ui'] } },
      { ...subject, subIssues: [{ ...part, state: 'open' as const }] },
      { ...subject, subIssues: [] },
      { ...subject, comments: [comment, { ...comment, id: 4 }] },
      { ...subject, comments: [{ ...comment, body: 'try that' }] },
    ].map(issueDigest);
    expect(new Set([digest, ...others]).size).toBe(others.length + 1);
  });

  it('is the same whatever the order is that a forge lists things in, and for a closed issue or another time', () => {
    const two = { ...subject, issue: { ...ISSUE, labels: ['a', 'b'] }, comments: [comment, { ...comment, id: 4 }] };
    const turned = { ...two, issue: { ...ISSUE, labels: ['b', 'a'] }, comments: two.comments.toReversed() };
    expect(issueDigest(turned)).toBe(issueDigest(two));
    const later = { ...ISSUE, state: 'closed' as const, updatedAt: '2027-01-01T00:00:00Z' };
    expect(issueDigest({ ...subject, issue: later })).toBe(digest);
  });
});
