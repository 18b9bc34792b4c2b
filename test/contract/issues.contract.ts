import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Account } from '../../src/domain/change.ts';
import type { Issue } from '../../src/domain/issue.ts';
import type { IssueTracker } from '../../src/ports/issues.ts';
import { askedAgain, failureOf, STALLED } from '../fakes/forge-failures.ts';
import type { IssueStage } from '../fakes/forge-issue-stage.ts';

/** More than two of Forgejo's pages, more than one of GitHub's. */
const MANY = 120;
const ANYTHING_BUT_ASCII = 'Größe 📦 \u{1F469}\u{200D}\u{1F4BB} \u202Eabc\u202C 日本語 <b>&amp;';
/** Of a body, as anybody who may read can write it; and more than is read of any text. */
const LONG = 'x'.repeat(9_000_000);
const TOO_LONG = 'x'.repeat(600_000);

export interface OpenIssues {
  readonly stage: IssueStage;
  /** As edge-bot, who may write; with a token of an administrator. Each time as after a restart. */
  readonly tracker: () => IssueTracker;
  readonly close: () => Promise<void>;
}

interface IssuesUnderTest {
  readonly kind: 'memory' | 'forgejo' | 'gitea' | 'github';
  /** What they are over. */
  readonly name: string;
  readonly open: () => Promise<OpenIssues>;
  /** For each case, in milliseconds. */
  readonly timeout?: number;
}

/** The cases that every implementation of ports/issues.ts passes. */
export function issuesContract({ kind, name, open, timeout = 30_000 }: IssuesUnderTest): void {
  describe(`issues of ${kind}, over ${name}`, { timeout }, () => {
    let opened: OpenIssues;
    let stage: IssueStage;
    let tracker: IssueTracker;

    beforeAll(async () => {
      opened = await open();
      ({ stage } = opened);
      tracker = opened.tracker();
    }, timeout * 4);

    afterAll(() => opened.close(), timeout * 4);

    const account = async (person: string): Promise<Pick<Account, 'id' | 'login'>> => {
      return { id: await stage.idOf(person), login: stage.login(person) };
    };
    const found = async (number: number): Promise<Issue> => {
      const issue = await tracker.issue(number);
      if (issue === null) throw new Error(`no issue ${number}`);
      return issue;
    };
    const numbersSince = async (since: string | null): Promise<readonly number[]> => {
      return (await tracker.changedSince(since)).map(({ number }) => number);
    };

    describe('the list', () => {
      it('is read to its last page, each issue once, by number, open and closed (S2.2)', async () => {
        const made: number[] = [];
        for (let index = 1; index <= MANY; index += 1) made.push(await stage.open('dev1', { title: `bulk ${index}` }));
        const closed = made[60] ?? 0;
        await stage.close('dev1', closed);

        const issues = (await tracker.changedSince(null)).filter(({ title }) => title.startsWith('bulk '));

        expect(issues.map(({ number }) => number)).toEqual(made);
        expect(issues.map(({ title }) => title)).toEqual(made.map((_, index) => `bulk ${index + 1}`));
        expect(issues.filter(({ state }) => state === 'closed').map(({ number }) => number)).toEqual([closed]);
      });

      it('tells everything of an issue, in any script, and the same as when it is asked for alone', async () => {
        const labels = ['bug-report', 'a,b', 'Größe 📦'];
        const number = await stage.open('dev2', { title: ANYTHING_BUT_ASCII, body: ANYTHING_BUT_ASCII, labels });
        const alone = await found(number);
        expect(alone).toMatchObject({ number, title: ANYTHING_BUT_ASCII, body: ANYTHING_BUT_ASCII, state: 'open' });
        expect(alone.author).toMatchObject(await account('dev2'));
        expect(alone.labels.toSorted()).toEqual(labels.toSorted());
        expect(new URL(alone.url).pathname).toBe(`/${stage.repo}/issues/${number}`);
        expect(alone.updatedAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
        expect((await tracker.changedSince(alone.updatedAt)).find((each) => each.number === number)).toEqual(alone);
      });

      it('tells labels as they are: what an unknown one filters is never left to the forge (S2.2)', async () => {
        const number = await stage.open('dev1', { title: 'typo', labels: ['bug-reprot'] });
        const byReader = await stage.open('reader1', { title: 'a wish', labels: ['bug-report'] });
        const issues = await tracker.changedSince((await found(number)).updatedAt);
        const labels = new Map(issues.map((issue) => [issue.number, issue.labels]));
        expect([labels.get(number), labels.get(byReader)]).toEqual([['bug-reprot'], []]);
      });

      it('holds no changes, and none is an issue (S2.2)', async () => {
        const change = await stage.openChange('dev1', `change ${kind}`);
        const issue = await stage.open('dev1', { title: 'beside a change' });
        const numbers = await numbersSince((await found(issue)).updatedAt);
        expect(numbers).toContain(issue);
        expect(numbers).not.toContain(change);
        expect(await tracker.issue(change)).toBeNull();
      });

      const changes: readonly (readonly [what: string, act: (number: number) => Promise<unknown>])[] = [
        ['a comment', (number) => stage.comment('reader1', number, 'me too')],
        ['a label', (number) => stage.label('dev1', number, 'in-progress')],
        ['a label less', (number) => stage.unlabel('dev1', number, 'bug-report')],
        ['another title', (number) => stage.edit('dev1', number, { title: 'renamed' })],
        ['another text', (number) => stage.edit('dev1', number, { body: 'longer' })],
        ['closing', (number) => stage.close('dev1', number)],
      ];

      it('holds what changed at that very time or later, whatever it was that changed (S2.4)', async () => {
        const made: number[] = [];
        for (const [title] of changes) made.push(await stage.open('dev1', { title, labels: ['bug-report'] }));
        const untouched = await stage.open('dev1', { title: 'untouched' });
        const { updatedAt } = await found(untouched);
        await stage.later();
        for (const [index, [, act]] of changes.entries()) await act(made[index] ?? 0);

        expect(await numbersSince(updatedAt)).toContain(untouched);
        const next = new Date(Date.parse(updatedAt) + 1000).toISOString();
        const issues = await tracker.changedSince(next);
        expect(issues.map(({ number }) => number)).toEqual(made);
        // All of it is told at once, and asking again tells the same.
        expect(await tracker.changedSince(next)).toEqual(issues);
        const earliest = issues.map((issue) => issue.updatedAt).toSorted()[0] ?? '';
        expect(await numbersSince(earliest)).toEqual(made);
      });

      it('tells a reopened issue as open', async () => {
        const number = await stage.open('dev1', { title: 'again' });
        await stage.close('dev1', number);
        expect((await found(number)).state).toBe('closed');
        await stage.reopen('dev1', number);
        expect((await found(number)).state).toBe('open');
      });

      it('goes on beyond a text that is too long to be read, which reads as empty', async () => {
        const labels = ['bug-report', 'in-triage'];
        const long = await stage.open('dev1', { title: 'long', body: LONG, labels });
        const after = await stage.open('dev1', { title: 'after it', body: 'short' });
        const { updatedAt } = await found(long);

        const issues = (await tracker.changedSince(updatedAt)).filter(({ number }) => [long, after].includes(number));

        expect(issues).toMatchObject([
          { number: long, title: 'long', body: '', state: 'open', updatedAt },
          { number: after, title: 'after it', body: 'short' },
        ]);
        expect(issues[0]?.labels.toSorted()).toEqual(labels);
        expect(issues[0]).toEqual(await found(long));
        await stage.remove(long);
      });
    });

    describe('comments', () => {
      it('come oldest first, by their authors, in any script (S2.4)', async () => {
        const number = await stage.open('dev1', { title: 'talk' });
        const bodies = Array.from({ length: 35 }, (_, index) => `${index + 1}: ${ANYTHING_BUT_ASCII}`);
        for (const [index, body] of bodies.entries()) {
          await stage.comment(index % 2 === 0 ? 'dev1' : 'reader1', number, body);
        }
        const comments = await tracker.comments(number);
        expect(comments.map(({ body }) => body)).toEqual(bodies);
        expect(comments[0]?.author).toMatchObject(await account('dev1'));
        expect(comments[1]?.author).toMatchObject(await account('reader1'));
        expect(new Set(comments.map(({ id }) => id)).size).toBe(bodies.length);
      });

      it('read as empty where they are too long, and hide no others', async () => {
        const number = await stage.open('dev1', { title: 'flooded' });
        await stage.comment('dev1', number, 'first');
        await stage.comment('reader1', number, TOO_LONG);
        await stage.comment('dev1', number, 'last');
        expect((await tracker.comments(number)).map(({ body }) => body)).toEqual(['first', '', 'last']);
        await stage.remove(number);
      });

      it('of our own: one, found again after a restart, and those of others stay as they are (R23)', async () => {
        const number = await stage.open('dev1', { title: 'told' });
        const marker = `<!-- sidecar ${kind} -->`;
        const foreign = `${marker}\nnot the dispatcher's`;
        await stage.comment('dev2', number, foreign);
        for (const text of ['runs', 'runs', 'ran']) {
          const restarted = opened.tracker();
          await askedAgain(() => restarted.comment(number, marker, `${marker}\n${text}`));
        }
        expect(await stage.commentsOf(number)).toEqual([
          { by: 'dev2', body: foreign },
          { by: 'edge-bot', body: `${marker}\nran` },
        ]);
      });
    });

    describe('labels', () => {
      it('are told with who set them, also at the making of the issue (S2)', async () => {
        const number = await stage.open('dev1', { title: 'set', labels: ['bug-report'] });
        await stage.label('dev2', number, 'in-triage');
        // It is there already: nobody set it anew.
        await stage.label('approver1', number, 'bug-report');
        const setters = await tracker.labelledBy(number);
        expect([...setters.keys()].toSorted()).toEqual(['bug-report', 'in-triage']);
        expect(setters.get('bug-report')).toMatchObject(await account('dev1'));
        expect(setters.get('in-triage')).toMatchObject(await account('dev2'));
      });

      it('that were taken away are nobody’s, and set again they are of who did that last (S2)', async () => {
        const number = await stage.open('dev1', { title: 'moved', labels: ['bug-report', 'rejected'] });
        await stage.unlabel('dev2', number, 'rejected');
        await stage.unlabel('dev2', number, 'bug-report');
        await stage.label('approver1', number, 'bug-report');
        const setters = await tracker.labelledBy(number);
        expect([...setters.keys()]).toEqual(['bug-report']);
        expect(setters.get('bug-report')).toMatchObject(await account('approver1'));
      });

      it('of another name by now are told by that, or by none where the log does not know it', async () => {
        const [old, present] = [`old-${kind}`, `present-${kind}`];
        const number = await stage.open('dev1', { title: 'renamed label', labels: [old] });
        await stage.renameLabel(old, present);
        expect((await found(number)).labels).toEqual([present]);
        const setters = await tracker.labelledBy(number);
        expect([...setters.values()].map(({ login }) => login)).toEqual(
          // GitHub's log calls a label as it was called then.
          kind === 'github' ? [] : [stage.login('dev1')],
        );
        expect(setters.has(old)).toBe(false);
      });

      it('of an issue without any are none, and those set by an account that is gone are nobody’s', async () => {
        const [plain, number] = [
          await stage.open('dev1', { title: 'plain' }),
          await stage.open('dev1', { title: 'left' }),
        ];
        const name = `leaver-${kind}`;
        await stage.addWriter(name);
        await stage.label(name, number, 'bug-report');
        const leaver = { ...(await account(name)), isBot: false };
        expect(await opened.tracker().mayWrite(leaver)).toBe(true);
        await stage.deleteUser(name);
        expect((await tracker.labelledBy(number)).get('bug-report')).toMatchObject({ id: null });
        expect([...(await tracker.labelledBy(plain))]).toEqual([]);
        expect(await opened.tracker().mayWrite(leaver)).toBe(false);
      });
    });

    describe('rights', () => {
      it.each([
        ['boss', true],
        ['owner1', true],
        ['approver1', true],
        ['team1', true],
        ['dev1', true],
        ['edge-bot', true],
        ['reader1', false],
        ['outsider1', false],
      ] as const)('%s may write: %s (S2)', async (person, expected) => {
        expect(await tracker.mayWrite({ ...(await account(person)), isBot: false })).toBe(expected);
      });

      it('are nobody else’s: of an account that is gone, unknown, or another one under that login (S2)', async () => {
        const writer = { ...(await account('dev1')), isBot: false };
        const others = [
          { ...writer, id: null },
          { ...writer, id: (writer.id ?? 0) + 100_000 },
          { ...writer, login: `nobody-${kind}` },
        ];
        expect(await Promise.all(others.map((other) => tracker.mayWrite(other)))).toEqual([false, false, false]);
      });

      it('of our own account are known by its name', async () => {
        expect(await tracker.self()).toMatchObject(await account('edge-bot'));
      });
    });

    it('an issue that is gone is null, has no comments and no labels, and takes none of ours', async () => {
      const number = await stage.open('dev1', { title: 'gone', labels: ['bug-report'] });
      const { updatedAt } = await found(number);
      await stage.comment('dev1', number, 'soon gone');
      await stage.remove(number);
      for (const missing of [number, 999_999]) {
        expect(await tracker.issue(missing)).toBeNull();
        expect(await tracker.comments(missing)).toEqual([]);
        expect([...(await tracker.labelledBy(missing))]).toEqual([]);
        expect(await failureOf(tracker.comment(missing, '<!-- m -->', 'text'))).toMatchObject(STALLED);
      }
      expect(await numbersSince(updatedAt)).not.toContain(number);
    });

    it('checks that issues can be read, and names the repository', async () => {
      const checks = await tracker.check();
      expect(checks.filter(({ ok }) => !ok)).toEqual([]);
      expect(checks[0]).toMatchObject({ name: `forge.${kind}.issues`, message: expect.stringContaining(stage.repo) });
    });
  });
}
