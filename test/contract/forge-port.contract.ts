import { beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/adapters/clock.ts';
import type { ForgeFactory, ForgeOptions } from '../../src/adapters/factory.ts';
import type { Account, Change } from '../../src/domain/change.ts';
import { type Oid, oid } from '../../src/domain/ids.ts';
import { SecretText } from '../../src/domain/secret-text.ts';
import type { CommitStatus, Forge } from '../../src/ports/forge.ts';
import { askedAgain, closedPort, failureOf, limitingServer, OUTAGE, STALLED } from '../fakes/forge-failures.ts';
import type { Kind, OpenStage, Stage } from '../fakes/forge-stage.ts';
import { silentLog } from '../fakes/tools.ts';

/** What the cases are about, made once on a stage for each kind. */
interface Material {
  /** Merged: two commits by dev1, the first also of dev2, and a file renamed; approved by approver1, merged by approver2. */
  readonly merged: number;
  readonly mergeCommit: Oid;
  readonly commits: readonly Oid[];
  readonly renamed: readonly [from: string, to: string];
  /** Pushed to main without any change. */
  readonly direct: Oid;
  readonly open: number;
  readonly openHead: Oid;
}

/** More than any forge shows on one page. */
const COMMENTS = 110;
const UNKNOWN = oid('1'.repeat(40));
const STATUS: CommitStatus = { context: 'edge', state: 'pending', description: 'waits', url: null };
const RETRY_AFTER_S = 7;

async function makeMaterial(stage: Stage, kind: Kind): Promise<Material> {
  const renamed = [`docs/${kind}-old.md`, `docs/${kind}-new.md`] as const;
  const text = Array.from({ length: 20 }, (_, line) => `line ${line} of ${kind}\n`).join('');
  await put(stage, { by: 'dev2', to: 'main', files: { [renamed[0]]: text } });
  const { name, email } = stage.identity('dev2');
  const message = `first\n\nCo-authored-by: ${name} <${email}>`;
  const branch = `port-${kind}`;
  const first = await put(stage, { by: 'dev1', to: branch, files: { [`docs/${kind}.md`]: kind }, message });
  const second = await put(stage, { by: 'dev1', to: branch, files: { [renamed[0]]: null, [renamed[1]]: text } });
  const merged = await stage.open('dev1', { head: branch, base: 'main', title: `port ${kind}` });
  await stage.comments('dev2', merged, COMMENTS);
  await stage.settle(merged);
  await stage.review('approver1', merged, 'approved');
  await stage.merge('approver2', merged, 'merge');
  const mergeCommit = oid((await stage.tip('main')) ?? '');
  const direct = await put(stage, { by: 'dev1', to: 'main', files: { [`docs/${kind}-direct.md`]: kind } });
  const openHead = await put(stage, { by: 'dev1', to: `${branch}-open`, files: { [`docs/${kind}-open.md`]: kind } });
  const open = await stage.open('dev1', { head: `${branch}-open`, base: 'main', title: `open ${kind}` });
  await stage.settle();
  return { merged, mergeCommit, commits: [first, second], renamed, direct, open, openHead };
}

interface Put {
  readonly by: string;
  readonly to: string;
  readonly files: Readonly<Record<string, string | null>>;
  readonly message?: string;
}

async function put(stage: Stage, { by, to, files: changes, message = 'a change' }: Put): Promise<Oid> {
  const { git } = stage;
  const tip = (await stage.tip(to)) ?? (await stage.tip('main')) ?? '';
  const files = new Map(git.files(tip));
  for (const [file, text] of Object.entries(changes)) {
    if (text === null) files.delete(file);
    else files.set(file, { mode: '100644', oid: git.writeBlob(text) });
  }
  const [who, at] = [stage.identity(by), stage.seconds()];
  const made = { author: who, committer: who, authoredAt: at, committedAt: at, message };
  const commit = oid(git.writeCommit({ tree: git.writeTree(files), parents: [tip], ...made }));
  await stage.push(by, to, commit);
  return commit;
}

interface Asked {
  readonly kind: Kind;
  readonly factory: ForgeFactory;
  readonly opened: () => OpenStage;
  /** For each case, in milliseconds. */
  readonly timeout: number;
}

/** The cases that every implementation of ports/forge.ts passes. `opened` answers once a beforeAll further out is over. */
export function forgePortContract({ kind, factory, opened, timeout }: Asked): void {
  describe('as a witness', { timeout }, () => {
    let stage: Stage;
    let forge: Forge;
    let made: Material;
    const create = (changes: Partial<ForgeOptions> = {}): Forge => {
      const options = { ...opened().options(kind, 'edge-bot'), ...changes };
      return factory.create(options, { clock: systemClock, log: silentLog });
    };
    const account = async (name: string): Promise<Account> => {
      return { id: await stage.idOf(name), login: stage.login(name), isBot: false };
    };

    beforeAll(async () => {
      ({ stage } = opened());
      forge = create();
      made = await makeMaterial(stage, kind);
    }, timeout * 4);

    it('tells the merged change of its merge commit, with who opened and merged it', async () => {
      const [author, by] = [await account('dev1'), await account('approver2')];
      const expected = {
        number: made.merged,
        base: 'main',
        state: 'merged',
        author,
        merge: { commit: made.mergeCommit },
      };
      const change = await forge.changeOf(made.mergeCommit);
      expect(change).toMatchObject(expected);
      expect(change?.merge?.by).toEqual(by);
    });

    it('tells no change of a direct push, of an unknown commit and of the head of an open change (R1)', async () => {
      const asked = [made.direct, UNKNOWN, made.openHead].map((commit) => forge.changeOf(commit));
      expect(await Promise.all(asked)).toEqual([null, null, null]);
    });

    it('tells by its own mapping, or not at all, of a commit behind the merge', async () => {
      // By its documentation GitHub names the change of every commit that came with it.
      const expected = kind === 'github' ? made.merged : undefined;
      expect((await forge.changeOf(made.commits[0] ?? UNKNOWN))?.number).toBe(expected);
    });

    it('tells a change by its number, and null where there is none', async () => {
      expect(await forge.change(made.open)).toMatchObject({ state: 'open', head: made.openHead, merge: null });
      expect(await forge.change(999_999)).toBeNull();
    });

    it('lists open changes into a branch', async () => {
      const numbers = (await forge.openChanges('main')).map(({ number }) => number);
      expect(numbers).toContain(made.open);
      expect(numbers).not.toContain(made.merged);
      expect(await forge.openChanges('no-such-branch')).toEqual([]);
    });

    it('reads reviews to the last page, oldest first (R1)', async () => {
      const reviews = await forge.reviews(made.merged);
      expect(reviews).toHaveLength(COMMENTS + 1);
      expect(reviews.slice(0, -1).every(({ verdict }) => verdict === 'none')).toBe(true);
      const approval = {
        by: await account('approver1'),
        verdict: 'approved',
        dismissed: false,
        commit: made.commits[1],
      };
      expect(reviews.at(-1)).toMatchObject(approval);
    });

    it('names both paths of a rename', async () => {
      expect((await forge.files(made.merged)).toSorted()).toEqual([`docs/${kind}.md`, ...made.renamed].toSorted());
    });

    it('tells the commits of a change with everybody whom they name (R2)', async () => {
      const commits = await forge.commits(made.merged);
      expect(commits.map((commit) => commit.oid).toSorted()).toEqual(made.commits.toSorted());
      const [dev1, dev2] = [stage.identity('dev1'), stage.identity('dev2')];
      const first = commits.find((commit) => commit.oid === made.commits[0]);
      expect(first).toMatchObject({ author: dev1, committer: dev1, coAuthors: [dev2] });
      expect(first?.accounts).toContainEqual(await account('dev1'));
    });

    it('tells who pushed to a change and who pushed its merge (R2)', async () => {
      const change = (await forge.change(made.merged)) as Change;
      const history = await forge.history(change);
      expect(new Set(history.pushes.map(({ by }) => by.login))).toEqual(new Set([stage.login('dev1')]));
      expect(history).toMatchObject({ landedBy: await account('approver2'), scheduled: false });
    });

    it('tells who pushed a commit to a branch, and null where the log does not (R2)', async () => {
      expect(await forge.pusherOf(made.direct, 'main')).toEqual(await account('dev1'));
      expect(await forge.pusherOf(UNKNOWN, 'main')).toBeNull();
      expect(await forge.pusherOf(made.direct, 'no-such-branch')).toBeNull();
    });

    it.each([
      ['owner1', true],
      ['approver1', true],
      ['team1', true],
      ['dev1', false],
      ['edge-bot', false],
      ['reader1', false],
      ['outsider1', false],
    ] as const)('says of %s whether they administer the repository: %s (R2)', async (name, expected) => {
      expect(await forge.isAdmin(await account(name))).toBe(expected);
    });

    it('says of nobody else that they do: gone, unknown, or another account under that login (R2)', async () => {
      const admin = await account('approver1');
      const others = [
        { ...admin, id: null },
        { ...admin, id: (admin.id ?? 0) + 100_000 },
        { ...admin, login: `nobody-${kind}` },
      ];
      expect(await Promise.all(others.map((other) => forge.isAdmin(other)))).toEqual([false, false, false]);
    });

    it('sets a status once however often it is told, and again when it says something else (R23)', async () => {
      await forge.setStatus(made.openHead, { ...STATUS, context: kind });
      await create().setStatus(made.openHead, { ...STATUS, context: kind });
      expect(await stage.statusesOf(made.openHead)).toBe(1);
      await forge.setStatus(made.openHead, { ...STATUS, context: kind, state: 'success' });
      expect(await stage.statusesOf(made.openHead)).toBe(2);
    });

    it('keeps one comment of its own, found again after a restart, and leaves those of others alone (R23)', async () => {
      const marker = `<!-- edge ${kind} -->`;
      const foreign = `${marker}\nnot the dispatcher's`;
      await stage.comment('dev2', made.open, foreign);
      for (const text of ['waits', 'waits', 'ran']) {
        const restarted = create();
        await askedAgain(() => restarted.comment(made.open, marker, `${marker}\n${text}`));
      }
      expect(await stage.commentsOf(made.open)).toEqual([
        { by: 'dev2', body: foreign },
        { by: 'edge-bot', body: `${marker}\nran` },
      ]);
    });

    const calls: readonly (readonly [name: string, call: (asked: Forge) => Promise<unknown>])[] = [
      ['changeOf', (asked) => asked.changeOf(made.mergeCommit)],
      ['change', (asked) => asked.change(made.merged)],
      ['openChanges', (asked) => asked.openChanges('main')],
      ['reviews', (asked) => asked.reviews(made.merged)],
      ['files', (asked) => asked.files(made.merged)],
      ['commits', (asked) => asked.commits(made.merged)],
      ['history', async (asked) => asked.history((await forge.change(made.merged)) as Change)],
      ['pusherOf', (asked) => asked.pusherOf(made.direct, 'main')],
      ['isAdmin', async (asked) => asked.isAdmin(await account('approver1'))],
      ['setStatus', (asked) => asked.setStatus(made.openHead, STATUS)],
      ['comment', (asked) => asked.comment(made.open, '<!-- marker -->', 'text')],
    ];
    const asWith = (token: ForgeOptions['token']): Forge => create({ token, adminToken: token });

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
      expect(await failureOf(call(asWith(opened().options(kind, 'outsider1').token)))).toMatchObject(STALLED);
    });
  });
}
