import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/adapters/clock.ts';
import type { ForgeFactory, ForgeOptions } from '../../src/adapters/factory.ts';
import type { Account } from '../../src/domain/change.ts';
import { SecretText } from '../../src/domain/secret-text.ts';
import type { IssueTracker } from '../../src/ports/issues.ts';
import { closedPort, failureOf, limitingServer, OUTAGE, STALLED } from '../fakes/forge-failures.ts';
import type { IssueStage, OpenIssueStage } from '../fakes/forge-issue-stage.ts';
import type { Kind } from '../fakes/forge-stage.ts';
import { silentLog } from '../fakes/tools.ts';

const RETRY_AFTER_S = 7;
/** When nothing was there yet. */
const EARLY = '2020-01-01T00:00:00Z';

interface IssuesOverHttp {
  readonly kind: Kind;
  readonly name: string;
  readonly factory: ForgeFactory;
  readonly open: () => Promise<OpenIssueStage>;
  /** For each case, in milliseconds. */
  readonly timeout?: number;
}

/** The cases of ports/issues.ts that need a forge: what it refuses, what tokens may, and when it is not there. */
export function issuesOverHttpContract({ kind, name, factory, open, timeout = 30_000 }: IssuesOverHttp): void {
  describe(`issues of ${kind}, over ${name}: tokens and failures`, { timeout }, () => {
    let opened: OpenIssueStage;
    let stage: IssueStage;
    let issue: number;
    const create = (changes: Partial<ForgeOptions> = {}): IssueTracker => {
      return factory.issues({ ...opened.options('edge-bot'), ...changes }, { clock: systemClock, log: silentLog });
    };
    const account = async (person: string): Promise<Account> => {
      return { id: await stage.idOf(person), login: stage.login(person), isBot: false };
    };
    const mayWrite = async (tracker: IssueTracker, ...people: readonly string[]) => {
      const said: boolean[] = [];
      for (const person of people) said.push(await tracker.mayWrite(await account(person)));
      return said;
    };

    beforeAll(async () => {
      opened = await open();
      ({ stage } = opened);
      issue = await stage.open('dev1', { title: 'one', labels: ['bug-report'] });
    }, timeout * 4);

    afterAll(() => opened.close(), timeout * 4);

    const calls: readonly (readonly [name: string, call: (asked: IssueTracker) => Promise<unknown>])[] = [
      ['changedSince(null)', (asked) => asked.changedSince(null)],
      ['changedSince', (asked) => asked.changedSince(EARLY)],
      ['issue', (asked) => asked.issue(issue)],
      ['comments', (asked) => asked.comments(issue)],
      ['labelledBy', (asked) => asked.labelledBy(issue)],
      ['mayWrite', async (asked) => asked.mayWrite(await account('dev1'))],
      ['comment', (asked) => asked.comment(issue, '<!-- marker -->', 'text')],
    ];
    const asWith = (token: ForgeOptions['token']): IssueTracker => create({ token, adminToken: token });

    it.each(calls)('%s is an outage while the forge is away (R1)', async (_name, call) => {
      expect(await failureOf(call(create({ url: await closedPort() })))).toMatchObject(OUTAGE);
    });

    it.each(calls)('%s waits as long as a limit names (R1)', async (_name, call) => {
      const limiting = await limitingServer(RETRY_AFTER_S);
      const limited = await failureOf(call(create({ url: limiting.url })));
      await limiting.close();
      expect(limited).toMatchObject({ ...OUTAGE, retryAfterMs: RETRY_AFTER_S * 1000 });
    });

    it.each(calls)('%s stalls on a wrong token (R1)', async (_name, call) => {
      expect(await failureOf(call(asWith(new SecretText('0'.repeat(40)))))).toMatchObject(STALLED);
    });

    it.each(calls)('%s stalls without access, and never takes it for a no (R1)', async (_name, call) => {
      expect(await failureOf(call(asWith(opened.options('outsider1').token)))).toMatchObject(STALLED);
    });

    it('never says of an issue that it is gone where the repository is not to be seen (R1)', async () => {
      const blind = asWith(opened.options('outsider1').token);
      expect(await failureOf(blind.issue(999_999))).toMatchObject(STALLED);
      expect(await failureOf(blind.comments(999_999))).toMatchObject(STALLED);
    });

    it('a check says so where the forge is away, the token wrong, or the repository another one', async () => {
      const failed = async (tracker: IssueTracker) => {
        return (await tracker.check()).filter(({ ok }) => !ok).map((check) => `${check.name} ${check.code ?? ''}`);
      };
      const line = `forge.${kind}.issues`;
      expect(await failed(create({ url: await closedPort() }))).toEqual([`${line} ERR_FORGE_UNAVAILABLE`]);
      const wrong = new SecretText('0'.repeat(40));
      expect(await failed(create({ token: wrong }))).toEqual([`${line} ERR_FORGE_DENIED`]);
      expect(await failed(create({ repo: `${stage.repo}-not` }))).toEqual([`${line} ERR_FORGE_DENIED`]);
    });

    it('without a token of an administrator, a writer sees who may write (S2)', async () => {
      const tracker = create({ adminToken: null });
      const people = ['owner1', 'approver1', 'team1', 'dev1', 'edge-bot', 'reader1', 'outsider1'] as const;
      expect(await mayWrite(tracker, ...people)).toEqual([true, true, true, true, true, false, false]);
      expect(await tracker.mayWrite({ ...(await account('dev1')), id: 987_654 })).toBe(false);
      expect((await tracker.check()).map((check) => check.ok)).toEqual([true, true, true]);
    });

    it('a token of an administrator of another repository does not matter (S2)', async () => {
      const tracker = create({ adminToken: opened.options('dev2').token });
      expect(await mayWrite(tracker, 'dev1', 'reader1')).toEqual([true, false]);
    });

    it('nobody who may only read is ever taken for a writer, not even as a member of a team (S2)', async () => {
      await stage.joinReadingTeam('reader1');
      expect(await mayWrite(create(), 'dev1', 'reader1')).toEqual([true, false]);
      const seen = create({ adminToken: null });
      const said = [await failureOf(mayWrite(seen, 'reader1')), (await seen.check()).map((check) => check.ok)];
      await stage.leaveReadingTeam('reader1');
      // Forgejo's list has them among the writers, and then proves nothing.
      const unproved = [expect.objectContaining(STALLED), [true, false, true]];
      expect(said).toEqual(kind === 'github' ? [{ class: [false] }, [true, true, true]] : unproved);
    });
  });
}
