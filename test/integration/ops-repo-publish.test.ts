import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/adapters/clock.ts';
import type { OpsRepoOptions } from '../../src/adapters/ops-repo/branch.ts';
import { blobOid } from '../../src/domain/ids.ts';
import type { OpsRepo } from '../../src/ports/ops-repo.ts';
import { GitHttpServer } from '../fakes/git-http-server.ts';
import { installHook, Writer } from '../fakes/git-repo.ts';
import { OpsRepoFixture } from '../fakes/ops-repo.ts';

let fixture: OpsRepoFixture;
afterEach(() => fixture.close());

const result = (id: string): string => `vault/actions/${id}.result.json`;

function publish(opsRepo: OpsRepo, id: string, content = `result of ${id}\n`) {
  return opsRepo.publish(
    { path: result(id), content: Buffer.from(content) },
    `${id}: succeeded\n\nDispatcher: edge-1\n`,
  );
}

async function overHttp(changes: Partial<OpsRepoOptions> = {}): Promise<{ opsRepo: OpsRepo; server: GitHttpServer }> {
  fixture = await OpsRepoFixture.create();
  const server = await GitHttpServer.start({ root: fixture.dir });
  fixture.onClose(() => server.close());
  return { server, opsRepo: await fixture.open({ url: `${server.origin}/remote.git`, ...changes }) };
}

/** Commits of the remote's branch that touch result files, oldest first. */
async function resultCommits(): Promise<string[]> {
  const out = await fixture.writer.git(['log', '--format=%H', '--reverse', await fixture.writer.pull(), '--', 'vault']);
  return out.split('\n').filter((line) => line !== '');
}

describe('publishing', () => {
  it('makes one fast-forward commit that adds the file, with the message and the author as given', async () => {
    fixture = await OpsRepoFixture.create({ README: 'ops', 'vault/actions/a.toml': 'a' });
    const opsRepo = await fixture.open();
    const before = await opsRepo.refresh();
    const answer = await publish(opsRepo, 'a');
    const { tip, root, descends } = await opsRepo.refresh();
    expect(answer).toEqual({ kind: 'landed', commit: tip });
    expect({ root, descends }).toEqual({ root: before.root, descends: true });
    expect(await opsRepo.commit(tip)).toMatchObject({
      parents: [before.tip],
      author: { name: 'Edge Dispatcher', email: 'edge@localhost' },
      committer: { name: 'Edge Dispatcher', email: 'edge@localhost' },
      subject: 'a: succeeded',
    });
    const changes = await opsRepo.changes(before.tip, tip, []);
    expect(changes.map(({ path, before: old, after }) => [path, old, after?.kind])).toEqual([
      [result('a'), null, 'file'],
    ]);
    expect(changes[0]?.after?.oid).toBe(blobOid(Buffer.from('result of a\n')));
  });

  it('takes equal content at the path for landed and pushes nothing', async () => {
    fixture = await OpsRepoFixture.create();
    const opsRepo = await fixture.open();
    await publish(opsRepo, 'a');
    const { tip } = await opsRepo.refresh();
    expect(await publish(opsRepo, 'a')).toEqual({ kind: 'landed', commit: tip });
    expect((await opsRepo.refresh()).tip).toBe(tip);
  });

  it('R11: reports other content at the path as a conflict and never overwrites it', async () => {
    fixture = await OpsRepoFixture.create();
    const opsRepo = await fixture.open();
    await opsRepo.refresh();
    // Behind the back of the clone.
    await fixture.writer.commit({
      [result('a')]: 'foreign\n',
      [result('l')]: { mode: '120000', content: 'result of l\n' },
    });
    await fixture.writer.push();
    const tip = await fixture.writer.resolve('HEAD');
    expect(await publish(opsRepo, 'a')).toEqual({ kind: 'conflict', blob: blobOid(Buffer.from('foreign\n')) });
    expect(await publish(opsRepo, 'l')).toEqual({ kind: 'conflict', blob: blobOid(Buffer.from('result of l\n')) });
    expect((await opsRepo.refresh()).tip).toBe(tip);
  });

  it('reports a file that lies where a folder has to be, and a folder that is named like the file', async () => {
    fixture = await OpsRepoFixture.create({ 'vault/actions': 'a file', 'x/y.json/z': 'z' });
    const opsRepo = await fixture.open();
    expect(await publish(opsRepo, 'a')).toEqual({ kind: 'conflict', blob: blobOid(Buffer.from('a file')) });
    const inTheWay = await opsRepo.publish({ path: 'x/y.json', content: Buffer.from('') }, 'x');
    expect(inTheWay.kind).toBe('conflict');
  });

  it('lets the first of two contents for one path win, and tells the second', async () => {
    fixture = await OpsRepoFixture.create();
    const opsRepo = await fixture.open();
    const contents = ['one', 'two', 'one', 'three'];
    const answers = await Promise.all(contents.map((content) => publish(opsRepo, 'a', content)));
    expect(answers.map(({ kind }) => kind)).toEqual(['landed', 'conflict', 'landed', 'conflict']);
    expect(answers[1]).toEqual({ kind: 'conflict', blob: blobOid(Buffer.from('one')) });
  });

  it('puts what comes in one go into one commit that names all of it and each trailer once', async () => {
    fixture = await OpsRepoFixture.create();
    const opsRepo = await fixture.open();
    const answers = await Promise.all(['a', 'b', 'c'].map((id) => publish(opsRepo, id)));
    const { tip } = await opsRepo.refresh();
    expect(answers).toEqual(Array.from({ length: 3 }, () => ({ kind: 'landed', commit: tip })));
    expect(await fixture.writer.pull().then((at) => fixture.writer.git(['log', '-1', '--format=%B', at]))).toBe(
      '3 results\n\n- a: succeeded\n- b: succeeded\n- c: succeeded\n\nDispatcher: edge-1\n\n',
    );
  });

  it('publishes into a folder of ten thousand files without rewriting them', async () => {
    fixture = await OpsRepoFixture.create();
    const many = Array.from(
      { length: 10_000 },
      (_, n) => `100644 ${blobOid(Buffer.alloc(0))} 0\t${result(`old-${n}`)}\0`,
    );
    await fixture.writer.git(['hash-object', '-w', '--stdin']);
    await fixture.writer.git(['update-index', '-z', '--index-info'], { input: many.join('') });
    const tree = (await fixture.writer.git(['write-tree'])).trim();
    const date = {
      GIT_AUTHOR_NAME: 'a',
      GIT_AUTHOR_EMAIL: 'a',
      GIT_AUTHOR_DATE: '@1 +0000',
      GIT_COMMITTER_DATE: '@1 +0000',
    };
    const commit = await fixture.writer.git(['commit-tree', '-p', 'HEAD', '-m', 'many', tree], { env: date });
    await fixture.writer.reset(commit.trim());
    await fixture.writer.push();
    const opsRepo = await fixture.open();
    const before = await opsRepo.refresh();
    expect(await publish(opsRepo, 'new')).toMatchObject({ kind: 'landed' });
    const { tip } = await opsRepo.refresh();
    expect((await opsRepo.changes(before.tip, tip, [])).map(({ path }) => path)).toEqual([result('new')]);
  });

  it('R11: brings 200 results through beside another writer, each once, in at most 20 pushes', async () => {
    fixture = await OpsRepoFixture.create();
    const opsRepo = await fixture.open({ pushSpacingMs: 300 });
    const other = await Writer.open(fixture.remote, `${fixture.dir}/other.git`);
    const stop = new AbortController();
    let foreign = 0;
    const writing = (async () => {
      for (; !stop.signal.aborted; foreign += 1) {
        await other.pull();
        await other.commit({ noise: `${foreign}` }, { message: 'noise\n' });
        await other.push().catch(() => undefined);
        await systemClock.sleep(200, stop.signal);
      }
    })();
    const answers: Promise<{ kind: string }>[] = [];
    for (let n = 0; n < 200; n += 1) {
      answers.push(publish(opsRepo, `r${n}`));
      await systemClock.sleep(5);
    }
    const kinds = new Set((await Promise.all(answers)).map(({ kind }) => kind));
    stop.abort();
    await writing;
    expect(kinds).toEqual(new Set(['landed']));
    expect(foreign).toBeGreaterThan(2);
    const tip = await fixture.writer.pull();
    const log = ['log', '--no-renames', '--name-status', '--format=%H', tip, '--', 'vault'];
    const lines = (await fixture.writer.git(log)).split('\n').filter((line) => line !== '');
    const commits = lines.filter((line) => /^[0-9a-f]{40}$/.test(line));
    const added = lines.filter((line) => line.startsWith('A\t'));
    expect(new Set(added).size).toBe(200);
    expect(lines).toHaveLength(commits.length + 200);
    expect(commits.length).toBeLessThanOrEqual(20);
    expect(await fixture.writer.git(['log', '--merges', '--format=%H', tip])).toBe('');
  });

  it('rebuilds on the new tip when the branch moved between its look and its push', async () => {
    fixture = await OpsRepoFixture.create();
    const other = await Writer.open(fixture.remote, `${fixture.dir}/other.git`);
    const theirs = await other.commit({ theirs: '1' });
    await other.push({ to: 'refs/heads/aside' });
    // The first push finds the branch moved by somebody else, in the moment before it is taken.
    const once = `if [ ! -e moved ]; then touch moved; env -u GIT_QUARANTINE_PATH git update-ref refs/heads/main ${theirs}; fi`;
    await installHook(fixture.remote, 'pre-receive', `cat >/dev/null; cd "$GIT_DIR"; ${once}`);
    const opsRepo = await fixture.open();
    const answer = await publish(opsRepo, 'a');
    const { tip } = await opsRepo.refresh();
    expect(answer).toEqual({ kind: 'landed', commit: tip });
    expect((await opsRepo.commit(tip)).parents).toEqual([theirs]);
  });
});

describe('a push without an answer', () => {
  it('R11: that landed is recognised by reading back, and not made again', async () => {
    const { opsRepo, server } = await overHttp();
    server.dropPushAnswers = 1;
    const answer = await publish(opsRepo, 'a');
    const { tip } = await opsRepo.refresh();
    expect(answer).toEqual({ kind: 'landed', commit: tip });
    expect(server.receivedPushes).toBeGreaterThan(0);
    expect(await resultCommits()).toEqual([tip]);
  });

  it('R11: that landed under what another writer pushed since is recognised too, by its own commit', async () => {
    const { opsRepo, server } = await overHttp();
    await opsRepo.refresh();
    // Somebody else is on top of it before anybody can read back.
    const noise = 'noise=$(git commit-tree -p refs/heads/main -m noise refs/heads/main^{tree})';
    const who = 'export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a';
    const once = `if [ ! -e noise ]; then touch noise; ${who}; ${noise}; git update-ref refs/heads/main "$noise"; fi`;
    await installHook(fixture.remote, 'post-receive', `cat >/dev/null; cd "$GIT_DIR"; ${once}`);
    server.dropPushAnswers = 1;
    const answer = await publish(opsRepo, 'a');
    const commits = await resultCommits();
    expect(commits).toHaveLength(1);
    expect(answer).toEqual({ kind: 'landed', commit: commits[0] });
    expect((await opsRepo.refresh()).tip).not.toBe(commits[0]);
  });

  it('R11: that did not land is made again', async () => {
    const { opsRepo, server } = await overHttp();
    server.dropPushes = 1;
    expect(await publish(opsRepo, 'a')).toMatchObject({ kind: 'landed' });
    expect(await resultCommits()).toHaveLength(1);
  });

  it('R11: is tried again after a 500 in the middle of it', async () => {
    const { opsRepo, server } = await overHttp();
    server.failPushes = { count: 1, status: 500 };
    expect(await publish(opsRepo, 'a')).toMatchObject({ kind: 'landed' });
    expect(await resultCommits()).toHaveLength(1);
  });

  it('R11: that was stopped for taking too long and landed all the same is recognised', async () => {
    fixture = await OpsRepoFixture.create();
    await installHook(
      fixture.remote,
      'post-receive',
      'if [ ! -e "$GIT_DIR/slow" ]; then touch "$GIT_DIR/slow"; exec sleep 20; fi',
    );
    const opsRepo = await fixture.open({ timeoutMs: 1_500 });
    await opsRepo.refresh();
    expect(await publish(opsRepo, 'a')).toMatchObject({ kind: 'landed' });
    expect(await resultCommits()).toHaveLength(1);
  });

  it('R20: is the caller to try again while the server stays away, and lands once it is back', async () => {
    const { opsRepo, server } = await overHttp();
    await opsRepo.refresh();
    server.unavailable = 1_000;
    await expect(publish(opsRepo, 'a')).rejects.toMatchObject({ name: 'TransientError', code: 'ERR_GIT_UNAVAILABLE' });
    server.unavailable = 0;
    server.failPushes = { count: 1_000, status: 503 };
    await expect(publish(opsRepo, 'a')).rejects.toMatchObject({ name: 'TransientError', code: 'ERR_GIT_UNAVAILABLE' });
    server.failPushes = { count: 0, status: 503 };
    expect(await publish(opsRepo, 'a')).toMatchObject({ kind: 'landed' });
    expect(await resultCommits()).toHaveLength(1);
  });
});

describe('a push that the server refuses', () => {
  it('stalls all results of the commit until a person changes the rules, and lands afterwards', async () => {
    fixture = await OpsRepoFixture.create();
    await installHook(fixture.remote, 'pre-receive', 'echo "Not allowed to push to protected branch main" >&2; exit 1');
    const opsRepo = await fixture.open();
    const answers = await Promise.allSettled([publish(opsRepo, 'a'), publish(opsRepo, 'b')]);
    for (const answer of answers) {
      expect(answer).toMatchObject({ reason: { name: 'StalledError', code: 'ERR_PUSH_FORBIDDEN' } });
    }
    await installHook(fixture.remote, 'pre-receive', 'exit 0');
    expect(await publish(opsRepo, 'a')).toMatchObject({ kind: 'landed' });
  });

  it('with 403 stalls too', async () => {
    const { opsRepo, server } = await overHttp();
    server.failPushes = { count: 1, status: 403 };
    await expect(publish(opsRepo, 'a')).rejects.toMatchObject({ code: 'ERR_PUSH_FORBIDDEN' });
  });
});

it('closing rejects what waits, stops what runs and leaves nothing behind', async () => {
  const { opsRepo, server } = await overHttp({ pushSpacingMs: 60_000 });
  await publish(opsRepo, 'a');
  const waiting = publish(opsRepo, 'b');
  server.delayMs = 300;
  const running = opsRepo.refresh();
  const ended = Promise.allSettled([waiting, running]);
  await opsRepo.close();
  for (const one of await ended) expect(one).toMatchObject({ reason: { code: 'ERR_SHUTTING_DOWN' } });
  await expect(opsRepo.refresh()).rejects.toMatchObject({ code: 'ERR_SHUTTING_DOWN' });
  await expect(publish(opsRepo, 'c')).rejects.toMatchObject({ code: 'ERR_SHUTTING_DOWN' });
});
