import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Account } from '../../../src/domain/change.ts';
import {
  type ChangeEvidence,
  type Electorate,
  mergeVerdict,
  type ReviewEvidence,
  reviewVerdict,
} from '../../../src/domain/forge-verdict.ts';
import { oid } from '../../../src/domain/ids.ts';
import type { Approver } from '../../../src/domain/policy.ts';

const URL = 'https://forge.example';
const BLOB = oid('b'.repeat(40));
const OTHER = oid('c'.repeat(40));
const HEAD = oid('1'.repeat(40));
const MERGE = oid('2'.repeat(40));
const AT = '2026-03-31T12:00:00Z';

const account = (id: number | null, login: string, isBot = false): Account => ({ id, login, isBot });
const dev = account(5, 'dev');
const jane = account(3, 'jane');
const joe = account(4, 'joe');
const stranger = account(9, 'stranger');
const approver = (name: string, { id, login }: Account): Approver => {
  return { name, forge: { url: URL, id: id ?? 0, login }, keys: [] };
};
const approvers = [approver('Jane', jane), approver('Joe', joe)];
const electorate: Electorate = {
  blob: BLOB,
  forgeUrl: URL,
  approvers,
  bots: new Set(['edge-bot']),
  selfApprove: false,
};

const person = (name: string) => ({ name, email: `${name}@example.org` });
const COMMIT = { oid: HEAD, author: person('dev'), committer: person('dev'), coAuthors: [], accounts: [dev] };

function review(by: Account, given: Partial<ReviewEvidence> = {}): ReviewEvidence {
  const usual = { verdict: 'approved', dismissed: false, commit: HEAD, at: AT, url: `${URL}/review` } as const;
  return { by, ...usual, isKnown: true, isShown: true, blob: BLOB, formulaBlob: null, ...given };
}

function evidence(given: Partial<ChangeEvidence> = {}): ChangeEvidence {
  const merge = { commit: MERGE, by: dev, at: AT };
  return {
    change: {
      number: 1,
      url: `${URL}/pulls/1`,
      title: 'a change',
      author: dev,
      base: 'main',
      state: 'merged',
      head: HEAD,
      source: { repo: 'ops/ops', branch: 'topic' },
      merge,
      createdAt: AT,
    },
    merge,
    reviews: [],
    commits: [COMMIT],
    history: { pushes: [{ by: dev, at: '2026-03-31T11:00:00Z' }], landedBy: dev, scheduled: false, retargetedAt: null },
    makers: [],
    mergedBlob: BLOB,
    mergedFormulaBlob: null,
    admins: new Set(),
    ...given,
  };
}

const codeOf = (verdict: ReturnType<typeof reviewVerdict>) => (verdict.kind === 'met' ? 'met' : verdict.code);
const reviewed = (...reviews: ReviewEvidence[]) => reviewVerdict(evidence({ reviews }), electorate);

describe('a review', () => {
  it('counts when an approver approved a commit with exactly the bytes', () => {
    const verdict = reviewed(review(jane, { formulaBlob: OTHER }));
    expect(verdict).toEqual({
      kind: 'met',
      evidence: [
        {
          rule: 'forge-review',
          by: 'Jane',
          what: `${URL}/review`,
          commit: HEAD,
          at: AT,
          person: 'Jane',
          formulaBlob: OTHER,
        },
      ],
    });
  });

  it.each<[string, ReviewEvidence[], string]>([
    ['of somebody who is no approver', [review(stranger)], 'ERR_NEEDS_APPROVAL'],
    ['of an account that is gone', [review(account(null, 'jane'))], 'ERR_NEEDS_APPROVAL'],
    ['of a login that somebody else took over', [review(account(77, 'jane'))], 'ERR_NEEDS_APPROVAL'],
    ['of an id that was renamed', [review(account(3, 'janet'))], 'ERR_NEEDS_APPROVAL'],
    ['that was dismissed', [review(jane, { dismissed: true })], 'ERR_NEEDS_APPROVAL'],
    ['that is only a comment', [review(jane, { verdict: 'none' })], 'ERR_NEEDS_APPROVAL'],
    ['of other bytes', [review(jane, { blob: OTHER })], 'ERR_APPROVED_OTHER_BYTES'],
    ['of a commit that does not hold the file', [review(jane, { blob: null })], 'ERR_APPROVED_OTHER_BYTES'],
    [
      'that the same person took back',
      [review(jane), review(jane, { verdict: 'changes-requested' })],
      'ERR_CHANGES_REQUESTED',
    ],
    [
      'that another approver stands against',
      [review(jane, { verdict: 'changes-requested' }), review(joe)],
      'ERR_CHANGES_REQUESTED',
    ],
    [
      'that is older than a dismissed one of the same person',
      [review(jane), review(jane, { dismissed: true })],
      'ERR_NEEDS_APPROVAL',
    ],
    ['of a commit whose line did not bring the bytes', [review(jane, { isShown: false })], 'ERR_NEEDS_APPROVAL'],
    [
      'that an approver stands against whose reviewed commit is gone',
      [review(jane, { verdict: 'changes-requested', isKnown: false, blob: null }), review(joe)],
      'ERR_CHANGES_REQUESTED',
    ],
  ])('does not count: %s (R2)', (_, reviews, code) => {
    expect(codeOf(reviewed(...reviews))).toBe(code);
  });

  it.each<[string, ReviewEvidence[]]>([
    ['a rejection of other bytes', [review(joe, { verdict: 'changes-requested', blob: OTHER }), review(jane)]],
    ['a rejection by a stranger', [review(stranger, { verdict: 'changes-requested' }), review(jane)]],
    ['a rejection that was dismissed', [review(joe, { verdict: 'changes-requested', dismissed: true }), review(jane)]],
    ['an earlier rejection by the same person', [review(jane, { verdict: 'changes-requested' }), review(jane)]],
    ['a later comment', [review(jane), review(jane, { verdict: 'none', blob: null })]],
  ])('counts in spite of %s (R2)', (_, reviews) => {
    expect(codeOf(reviewed(...reviews))).toBe('met');
  });

  it.each<[string, Partial<ChangeEvidence>]>([
    ['opened it', { change: { ...evidence().change, author: jane } }],
    ['pushed to it', { history: { ...evidence().history, pushes: [{ by: jane, at: AT }] } }],
    ['is linked with a commit', { commits: [{ ...COMMIT, accounts: [jane] }] }],
    ['is named as co-author', { commits: [{ ...COMMIT, coAuthors: [{ name: 'x', email: 'jane@example.org' }] }] }],
    ['is named as committer', { commits: [{ ...COMMIT, committer: { name: 'Jane', email: 'x@x' } }] }],
    ['is named by git alone', { makers: [{ name: 'Jane', email: 'elsewhere@example.org' }] }],
  ])('of somebody who %s does not count, unless the tier lets people approve their own (R2, R23)', (_, given) => {
    const own = evidence({ reviews: [review(jane)], ...given });
    expect(codeOf(reviewVerdict(own, electorate))).toBe('ERR_NEEDS_APPROVAL');
    expect(codeOf(reviewVerdict(own, { ...electorate, selfApprove: true }))).toBe('met');
  });

  it('from before the change was moved to this branch does not count, one after it does (R1)', () => {
    const history = { ...evidence().history, retargetedAt: AT };
    const at = (time: string) =>
      codeOf(reviewVerdict(evidence({ reviews: [review(jane, { at: time })], history }), electorate));
    expect(['2026-03-31T11:59:59Z', AT, '2026-03-31T12:00:01Z'].map(at)).toEqual([
      'ERR_NEEDS_APPROVAL',
      'ERR_NEEDS_APPROVAL',
      'met',
    ]);
  });

  it('that asks for changes stands, even if somebody gave its author a part in the change (R2)', () => {
    const coAuthors = [{ name: 'x', email: 'jane@example.org' }];
    const reviews = [review(jane, { verdict: 'changes-requested' }), review(joe)];
    const given = evidence({ reviews, commits: [{ ...COMMIT, coAuthors }] });
    expect(codeOf(reviewVerdict(given, electorate))).toBe('ERR_CHANGES_REQUESTED');
  });

  it('of an approver who changed the login counts as an administrator only, and as the same person (R23)', () => {
    const renamed = account(3, 'jane-new');
    const given = evidence({ reviews: [review(renamed)], admins: new Set([3]) });
    expect(reviewVerdict(given, electorate)).toMatchObject({ kind: 'met', evidence: [{ person: 'Jane' }] });
    expect(codeOf(reviewVerdict({ ...given, admins: new Set() }, electorate))).toBe('ERR_NEEDS_APPROVAL');
    const own = { ...given, makers: [{ name: 'Jane', email: 'x@example.org' }] };
    expect(codeOf(reviewVerdict(own, electorate))).toBe('ERR_NEEDS_APPROVAL');
  });

  it('of a bot never counts, whoever says that it is one', () => {
    const bots = [account(3, 'jane', true), account(8, 'Edge-Bot')];
    const many = { ...electorate, approvers: [...approvers, approver('Bot', account(8, 'Edge-Bot'))] };
    for (const bot of bots) {
      expect(codeOf(reviewVerdict(evidence({ reviews: [review(bot)] }), many))).toBe('ERR_NEEDS_APPROVAL');
    }
  });

  it('of an approver of another forge does not count', () => {
    const elsewhere = { ...electorate, forgeUrl: 'https://other.example' };
    expect(codeOf(reviewVerdict(evidence({ reviews: [review(jane)] }), elsewhere))).toBe('ERR_NEEDS_APPROVAL');
  });

  it('of an administrator counts where these are entitled, under the name that the policy has for them (R23)', () => {
    const admins = new Set([9]);
    const verdict = reviewVerdict(evidence({ reviews: [review(stranger)], admins }), electorate);
    expect(verdict).toMatchObject({ kind: 'met', evidence: [{ person: 'stranger' }] });
    const keyOnly = { ...electorate, approvers: [{ name: 'Stranger', forge: null, keys: [] }] };
    const same = reviewVerdict(evidence({ reviews: [review(stranger)], admins }), keyOnly);
    expect(same).toMatchObject({ kind: 'met', evidence: [{ person: 'Stranger' }] });
  });

  it('says whose approval does not count, and why', () => {
    const verdict = reviewed(review(stranger), review(jane, { dismissed: true }));
    expect(verdict).toMatchObject({
      message:
        `nobody entitled has approved these bytes; the approval of stranger does not count: stranger is no approver; ` +
        `the approval of jane does not count: it was dismissed (${URL}/pulls/1)`,
    });
  });
});

const byJane = { commit: MERGE, by: jane, at: AT };
const landed = { ...evidence().history, landedBy: jane };
const merged = (given: Partial<ChangeEvidence> = {}, quietMs = 60_000) =>
  mergeVerdict(evidence({ merge: byJane, history: landed, ...given }), { ...electorate, quietMs });

describe('a merge', () => {
  it('counts when an approver pushed the merge commit, by the log of the forge', () => {
    expect(merged({ mergedFormulaBlob: OTHER })).toMatchObject({
      kind: 'met',
      evidence: [{ rule: 'forge-merge', by: 'Jane', commit: MERGE, at: AT, formulaBlob: OTHER }],
    });
  });

  it.each<[string, Partial<ChangeEvidence>, string]>([
    ['nobody is named', { merge: { ...byJane, by: null } }, 'ERR_NEEDS_APPROVAL'],
    ['the merger is no approver', { merge: { ...byJane, by: stranger } }, 'ERR_NEEDS_APPROVAL'],
    ['the log names another', { history: { ...landed, landedBy: dev } }, 'ERR_NEEDS_APPROVAL'],
    ['the log names nobody', { history: { ...landed, landedBy: null } }, 'ERR_NEEDS_APPROVAL'],
    ['it was moved to this branch right before', { history: { ...landed, retargetedAt: AT } }, 'ERR_NEEDS_APPROVAL'],
    ['it was scheduled', { history: { ...landed, scheduled: true } }, 'ERR_NEEDS_APPROVAL'],
    ['other bytes were merged', { mergedBlob: OTHER }, 'ERR_APPROVED_OTHER_BYTES'],
    ['the merger wrote it', { change: { ...evidence().change, author: jane } }, 'ERR_NEEDS_APPROVAL'],
    [
      'an approver stands against it',
      { reviews: [review(joe, { verdict: 'changes-requested' })] },
      'ERR_CHANGES_REQUESTED',
    ],
  ])('does not count when %s (R2)', (_, given, code) => {
    expect(codeOf(merged(given))).toBe(code);
  });

  it('does not count when another pushed within the quiet time before it, nor when that push shows late (R1)', () => {
    const pushedAt = (seconds: number) => {
      const at = new Date(Date.parse(AT) + seconds * 1000).toISOString();
      return codeOf(merged({ history: { ...landed, pushes: [{ by: dev, at }] } }));
    };
    expect([-61, -60, -59, -1, 2].map(pushedAt)).toEqual([
      'met',
      'met',
      'ERR_NEEDS_APPROVAL',
      'ERR_NEEDS_APPROVAL',
      'ERR_NEEDS_APPROVAL',
    ]);
  });
});

describe('for any evidence', () => {
  const accounts = fc.constantFrom(dev, jane, joe, stranger, account(null, 'ghost'), account(8, 'edge-bot'));
  const reviews = fc.array(
    fc.record({
      by: accounts,
      verdict: fc.constantFrom('approved', 'changes-requested', 'none'),
      dismissed: fc.boolean(),
      blob: fc.constantFrom(BLOB, OTHER, null),
    }),
    { maxLength: 8 },
  );
  const all = (given: readonly Partial<ReviewEvidence>[]) => given.map(({ by = dev, ...rest }) => review(by, rest));

  it('only somebody entitled who approved exactly the bytes is ever named (R1, R2)', () => {
    fc.assert(
      fc.property(reviews, (given) => {
        const list = all(given);
        const verdict = reviewVerdict(evidence({ reviews: list }), electorate);
        const named = verdict.kind === 'met' ? verdict.evidence.map(({ by }) => by.toLowerCase()) : [];
        for (const name of named) {
          const last = list.filter(({ by, verdict: said }) => by.login === name && said !== 'none').at(-1);
          expect(last).toMatchObject({ verdict: 'approved', dismissed: false, blob: BLOB });
          expect(['jane', 'joe']).toContain(name);
        }
      }),
    );
  });

  it('what people say who are not entitled changes nothing (R2)', () => {
    fc.assert(
      fc.property(reviews, (given) => {
        const list = all(given);
        const entitled = list.filter(({ by }) => by === jane || by === joe);
        const kinds = [list, entitled].map((each) => codeOf(reviewVerdict(evidence({ reviews: each }), electorate)));
        expect(kinds[0]).toBe(kinds[1]);
      }),
    );
  });
});
