import { expect, it } from 'vitest';
import { systemClock } from '../../src/adapters/clock.ts';
import { forges } from '../../src/adapters/forges/index.ts';
import { type FakeIssueStage, openFakeIssueStage } from '../fakes/forge-issue-stage.ts';
import { silentLog } from '../fakes/tools.ts';

/** Anybody who may read can write much: it hides nothing of what others wrote. */

/** Nine of them are more than an answer may have; one of the other is. */
const LONG = 'x'.repeat(9_000_000);
const ENDLESS = 'x'.repeat(65 * 1024 * 1024);
const MARKER = '<!-- m -->';

async function onStage(kind: 'forgejo' | 'gitea', act: (opened: FakeIssueStage) => Promise<void>): Promise<void> {
  const opened = await openFakeIssueStage(kind);
  try {
    await act(opened);
  } finally {
    await opened.close();
  }
}

it.each(['forgejo', 'gitea'] as const)(
  '%s: long issues hide no others; one too long even alone is left out',
  async (kind) => {
    await onStage(kind, async ({ repo, options }) => {
      const first = repo.open('dev1', { title: 'first', body: 'short', labels: ['bug'] });
      for (let count = 1; count <= 9; count += 1) repo.open('reader1', { title: `long ${count}`, body: LONG });
      repo.open('reader1', { title: 'endless', body: ENDLESS });
      repo.open('dev1', { title: 'last', body: 'short' });
      const tracker = forges[kind].issues(options('edge-bot'), { clock: systemClock, log: silentLog });
      for (const since of [null, first.updatedAt]) {
        const issues = await tracker.changedSince(since);
        expect(issues.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12]);
        expect(new Set(issues.map(({ body }) => body))).toEqual(new Set(['short', '']));
        expect(issues[0]?.labels).toEqual(['bug']);
      }
    });
  },
);

it.each(['forgejo', 'gitea'] as const)(
  '%s: long comments hide no others, no label and not our own comment',
  async (kind) => {
    await onStage(kind, async ({ repo, options }) => {
      const { number } = repo.open('dev1', { title: 'flooded' });
      const flood = () => {
        for (let count = 1; count <= 5; count += 1) repo.comment('reader1', number, LONG);
      };
      repo.comment('dev1', number, 'first');
      flood();
      repo.label('dev1', number, 'bug');
      const tracker = forges[kind].issues(options('edge-bot'), { clock: systemClock, log: silentLog });
      await tracker.comment(number, MARKER, `${MARKER} one`);
      flood();
      repo.label('dev2', number, 'late');
      repo.comment('dev1', number, 'last');
      await tracker.comment(number, MARKER, `${MARKER} two`);

      const bodies = (await tracker.comments(number)).map(({ body }) => body);
      const long = Array.from({ length: 5 }, () => '');
      expect(bodies).toEqual(['first', ...long, `${MARKER} two`, ...long, 'last']);
      const setters = await tracker.labelledBy(number);
      expect([...setters].map(([label, { login }]) => `${label} ${login}`)).toEqual(['bug dev1', 'late dev2']);
    });
  },
);
