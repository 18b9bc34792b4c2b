import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { type AnnouncedFile, type Announcement, markerOf } from '../../../src/domain/announcement.ts';
import { standingOf } from '../../../src/domain/announcement-standing.ts';
import { announcementText } from '../../../src/domain/announcement-text.ts';
import { policyDifference } from '../../../src/domain/gated-difference.ts';
import { codeSpan, link } from '../../../src/domain/markdown.ts';
import { emptyPlan } from '../../../src/domain/plan.ts';
import { unsafeCharacter } from '../../../src/domain/text.ts';
import { sampleAnnouncement, samplePlan } from '../../fakes/sample-plan.ts';

const MARKER = '<!-- edge-dispatcher:0123456789ab -->';

/** What is not code, by CommonMark's rules: blocks first, then spans that end at a run of just as many backticks. */
function outsideCode(markdown: string): string {
  const lines: string[] = [];
  let fence: string | null = null;
  for (const line of markdown.split('\n')) {
    const run = /^ {0,3}(`{3,})[^`]*$/.exec(line)?.[1];
    if (fence === null && run !== undefined) fence = run;
    else if (fence === null) lines.push(line);
    else if (run !== undefined && run.length >= fence.length && /^ {0,3}`+ *$/.test(line)) fence = null;
  }
  return lines.map(withoutSpans).join('\n');
}

function withoutSpans(line: string): string {
  let rest = line;
  let shown = '';
  for (let open = /`+/.exec(rest); open !== null; open = /`+/.exec(rest)) {
    const after = rest.slice(open.index + open[0].length);
    const close = [...after.matchAll(/`+/g)].find((run) => run[0].length === open?.[0].length);
    if (close === undefined) return `${shown}${rest}`;
    shown += `${rest.slice(0, open.index)}·`;
    rest = after.slice(close.index + close[0].length);
  }
  return `${shown}${rest}`;
}

const hostile = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '`',
        '``',
        '```\n',
        '~~~',
        '<!--',
        '-->',
        MARKER,
        '@ada',
        '#12',
        '!7',
        '|',
        '\n',
        '\r\n',
        '\r',
        ' ',
      ),
      fc.constantFrom('](http://x)', '[a]', '![', '<img src=x>', '# ', '- ', '\u202E', '\u2066', '\u200B', '\0', '\t'),
      fc.constantFrom('closes #1', 'https://evil.example', '\\', '&#64;', '\uD800', '**', '__', '$', ':tada:'),
      fc.string(),
      fc.integer({ min: 1, max: 9 }).map((count) => '`'.repeat(count)),
    ),
    { minLength: 1, maxLength: 12 },
  )
  .map((parts) => parts.join(''))
  .filter((text) => text !== '');

/** The two lines whose number depends on how long a text is. */
const frame = (text: string) => outsideCode(text).replaceAll('(empty)', '·');

describe('the comment on a change', () => {
  it('holds whatever others wrote in code only: no text of theirs can speak for us or call anybody (R23)', () => {
    const plain = frame(announcementText(sampleAnnouncement('x')));
    fc.assert(
      fc.property(hostile, (text) => {
        expect(frame(announcementText(sampleAnnouncement(text)))).toBe(plain);
      }),
      { numRuns: 100 },
    );
  });

  it('holds its marker exactly once, at its beginning, and no other HTML comment', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const body = announcementText(sampleAnnouncement(text));
        expect(body.startsWith(`${MARKER}\n`)).toBe(true);
        expect(body.split('<!--')).toHaveLength(2);
      }),
      { numRuns: 50 },
    );
  });

  it('shows no control, bidi or invisible character (R23)', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const announcement = sampleAnnouncement(text);
        expect(unsafeCharacter(announcementText(announcement))).toBeNull();
        expect(unsafeCharacter(standingOf(announcement).description)).toBeNull();
      }),
      { numRuns: 50 },
    );
  });

  it('fits into any forge, however long the texts and however many the actions', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 400 }),
        fc.constantFrom('`', '\u202E', 'x', '\n', '<!--'),
        (count, unit) => {
          const plan = samplePlan(unit.repeat(3000));
          const actions = Array.from({ length: count }, () => ({ plan, progress: { kind: 'proposed' as const } }));
          const announcement = { ...sampleAnnouncement(unit.repeat(3000)), actions };
          expect(announcementText(announcement).length).toBeLessThan(65_536);
          expect(standingOf(announcement).description.length).toBeLessThanOrEqual(140);
        },
      ),
      { numRuns: 15 },
    );
  });

  it('cuts the list of a change with 120 actions and says how many are left', () => {
    const planOf = (index: number) => samplePlan('something to tell about it '.repeat(20), { id: `action-${index}` });
    const actions = Array.from({ length: 120 }, (_, index) => {
      return { plan: planOf(index), progress: { kind: 'proposed' as const } };
    });
    const body = announcementText({ ...sampleAnnouncement('x'), files: [], actions, omitted: 5 });
    const told = new Set(body.match(/action-\d+/g)).size;
    expect(told).toBeGreaterThan(20);
    expect(body).toContain(`… and ${125 - told} more`);
  });

  it('says everything that a person needs to decide', () => {
    const plan = samplePlan('x', {
      id: 'release-1',
      context: 'Because\n```\nit is time',
      formula: { name: 'release', blob: 'c'.repeat(40) },
      access: {
        policies: ['edge-run', 'runner-NPM_TOKEN'],
        secrets: [{ name: 'NPM_TOKEN', state: 'present', place: 'kv/edge/runner/NPM_TOKEN, field value' }],
      },
      command: { kind: 'command', argv: ['bash', '-c', 'make `date`'], first_line: null, lines: 0 },
    });
    const body = announcementText({
      ...sampleAnnouncement('x'),
      files: [],
      actions: [{ plan, progress: { kind: 'proposed' } }],
    });
    for (const said of [
      '### action `release-1`',
      'formula `release`, file `cccccccccccc`',
      'tier **high**: `x`',
      'rule `x` **not met**: `x`',
      'whose approval counts: `x`, `x`',
      'secret `NPM_TOKEN` (`present`) at `kv/edge/runner/NPM_TOKEN, field value`',
      'runs ``bash -c "make `date`"``',
      '1 min for the command; over 13 min after its claim at the latest',
      'last run of this formula: `x`',
      '````\nBecause\n```\nit is time\n````',
    ]) {
      expect(body).toContain(said);
    }
  });
});

const file = (standing: AnnouncedFile['standing']): AnnouncedFile => {
  return { path: 'vault/policy.toml', kind: 'policy', standing, message: null, differences: [] };
};
const base = { ...sampleAnnouncement('x'), files: [], actions: [] };
const good = {
  ...emptyPlan({ id: 'a', path: 'a.toml', blob: '', committed: true }),
  approval: { required: null, rules: [], approvers: [] },
};
const open = samplePlan('x', { id: 'a', checks: [] });
const ended = { kind: 'ended', exitCode: 0, reason: null, at: '', approvedBy: [], page: null, path: '' } as const;

test.each<[string, Partial<Announcement>, string, string]>([
  [
    'an open action with an open rule',
    { actions: [{ plan: open, progress: { kind: 'proposed' } }] },
    'pending',
    'waits for approval: a',
  ],
  [
    'one that needs nobody',
    { actions: [{ plan: good, progress: { kind: 'proposed' } }] },
    'pending',
    'runs once merged: a',
  ],
  [
    'an invalid one',
    { actions: [{ plan: samplePlan('x', { id: 'a' }), progress: { kind: 'proposed' } }] },
    'failure',
    'cannot run: a',
  ],
  [
    'one that runs',
    { state: 'merged', actions: [{ plan: good, progress: { kind: 'running', step: 'running' } }] },
    'pending',
    'under way: a',
  ],
  [
    'one that succeeded',
    { state: 'merged', actions: [{ plan: good, progress: { ...ended, outcome: 'succeeded' } }] },
    'success',
    'succeeded: a',
  ],
  [
    'one that failed',
    { state: 'merged', actions: [{ plan: good, progress: { ...ended, outcome: 'failed' } }] },
    'failure',
    'did not succeed: a',
  ],
  [
    'one that nobody knows of',
    { state: 'merged', actions: [{ plan: good, progress: { ...ended, outcome: 'unknown' } }] },
    'error',
    'with an end nobody knows: a',
  ],
  [
    'one that other bytes took the place of',
    {
      state: 'merged',
      actions: [{ plan: good, progress: { kind: 'replaced', by: { ...ended, outcome: 'succeeded' } } }],
    },
    'error',
    'replaced by other bytes: a',
  ],
  [
    'one that other bytes took the place of, which were refused',
    {
      state: 'merged',
      actions: [{ plan: good, progress: { kind: 'replaced', by: { ...ended, outcome: 'refused' } } }],
    },
    'failure',
    'replaced by bytes that did not succeed: a',
  ],
  ['an open policy', { files: [file('proposed')] }, 'pending', '1 gated file: approval at the high tier is needed'],
  ['a policy that can not be read', { files: [file('invalid')] }, 'failure', '1 gated file, 1 can not be read'],
  ['a policy in force', { state: 'merged', files: [file('in force')] }, 'success', '1 gated file'],
])('the status of %s', (_, part, state, description) => {
  expect(standingOf({ ...base, ...part })).toMatchObject({ state, description });
});

test('the worst of several decides the status', () => {
  const failed = { plan: { ...good, id: 'b' }, progress: { ...ended, outcome: 'failed' } };
  const done = { plan: good, progress: { ...ended, outcome: 'succeeded' } };
  expect(standingOf({ ...base, actions: [done, failed] })).toMatchObject({
    state: 'failure',
    description: 'did not succeed: b',
  });
});

test('a link is made only of an address that can not end it early', () => {
  expect(link('result', 'https://forge.example/a/b%20c')).toBe('[result](https://forge.example/a/b%20c)');
  for (const url of [null, 'javascript:alert(1)', 'https://x/)(', 'https://x/ y', 'https://x/\n']) {
    expect(link('result', url)).toBe('result');
  }
});

test('a span of code shows the text as it is where it is harmless', () => {
  expect(codeSpan('a b')).toBe('`a b`');
  expect(codeSpan('`a`')).toBe('`` `a` ``');
  expect(codeSpan('')).toBe('(empty)');
  expect(codeSpan('a\u202Eb')).toBe(String.raw`${'`'}a\u{202E}b${'`'}`);
});

test('the marker names the repo', () => {
  expect(markerOf('f'.repeat(40))).toBe('<!-- edge-dispatcher:ffffffffffff -->');
});

describe('what a change could want to hide', () => {
  const account = (login: string) => ({ url: 'https://forge.example', id: 66, login });
  const formula = (index: number): AnnouncedFile => {
    const differences = Array.from({ length: 40 }, (_, field) => {
      return { what: 'field', name: `env${field}`, before: null, after: 'x'.repeat(199) };
    });
    return { path: `vault/formulas/a${index}.toml`, kind: 'formula', standing: 'proposed', message: null, differences };
  };

  it('is never an approver: they come before the tiers, however many of these there are', () => {
    const tiers = Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`f${index}`, 'low' as const]));
    const approvers = [{ name: 'mallory', forge: account('mallory'), keys: [] }];
    const differences = policyDifference(null, { tiers, approvers });
    const text = announcementText({ ...base, files: [{ ...file('proposed'), differences }] });
    expect(differences[0]).toMatchObject({ what: 'approver', name: 'mallory' });
    expect(text).toContain('**added** approver `mallory`');
    expect(text).toContain('… and 20 more differences');
    expect(text).toContain('not all of it is shown here');
  });

  it('is no approver behind many others, nor the last key of a long one', () => {
    const key = (index: number) => `key ssh-ed25519 ${'A'.repeat(68)}${index} of p${index}`;
    const after = Array.from({ length: 12 }, (_, index) => key(index)).join(', ');
    const differences = Array.from({ length: 45 }, (_, index) => {
      return { what: 'approver', name: `Anna${index}`, before: null, after };
    });
    const text = announcementText({ ...base, files: [{ ...file('proposed'), differences }] });
    expect(text.match(/\*\*added\*\* approver/g)).toHaveLength(45);
    expect(text.split(key(11))).toHaveLength(46);
    expect(text).not.toContain('not all of it is shown');
  });

  it('is not the policy behind formulas', () => {
    const differences = [{ what: 'approver', name: 'mallory', before: null, after: 'k'.repeat(400) }];
    const files = [1, 2, 3, 4, 5].map(formula);
    const text = announcementText({ ...base, files: [...files, { ...file('proposed'), differences }] });
    expect(text.indexOf('### policy')).toBeLessThan(text.indexOf('### formula'));
    expect(text).toContain('**added** approver `mallory`');
  });

  it('is said in the headline where the comment has no room for it, and the comment fits all the same', () => {
    const approver = { what: 'approver', name: 'A', before: null, after: '\u202E'.repeat(6_000) };
    const differences = [approver, { ...approver, name: 'B' }, { ...approver, name: 'C', after: 'key of mallory' }];
    const text = announcementText({
      ...base,
      files: [{ ...file('proposed'), differences }, ...[1, 2, 3].map(formula)],
    });
    const headline = text.split('\n')[2];
    expect(headline).toContain('not all of it is shown here');
    expect(text).toContain('`key of mallory`');
    expect(text.length).toBeLessThan(65_536);
  });

  it('is said in the headline where files were not looked at, or a value is too long', () => {
    const long = { what: 'field', name: 'command', before: null, after: 'x'.repeat(5_000) };
    const one = { ...formula(1), differences: [{ ...long, after: 'x' }] };
    const headline = (part: Partial<Announcement>) => announcementText({ ...base, ...part }).split('\n')[2];
    expect(headline({ files: [one] })).not.toContain('not all of it is shown here');
    expect(headline({ files: [one], omitted: 1 })).toContain('not all of it is shown here');
    expect(headline({ files: [{ ...one, differences: [long] }] })).toContain('not all of it is shown here');
  });
});

test('a status is never cut within a character', () => {
  for (let length = 100; length < 150; length += 1) {
    const path = `${'x'.repeat(length)}\u{1F600}\u{1F600}zzzzzzzzzzzzzzzzzzzzzzzzzzzz.toml`;
    const plan = { ...emptyPlan({ id: null, path, blob: '', committed: false }), approval: good.approval };
    const { description } = standingOf({ ...base, actions: [{ plan, progress: { kind: 'proposed' } }] });
    expect(description).not.toMatch(/\p{Surrogate}/u);
    expect(description).not.toContain(String.raw`\u{D83D}`);
    expect(description.length).toBeLessThanOrEqual(140);
  }
});
