import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/adapters/clock.ts';
import { ApprovalTags } from '../../src/adapters/ops-repo/approval-tags.ts';
import { Cache } from '../../src/adapters/ops-repo/cache.ts';
import { Git } from '../../src/adapters/ops-repo/git.ts';
import { RemoteRefs } from '../../src/adapters/ops-repo/refs.ts';
import { GitHttpServer } from '../fakes/git-http-server.ts';
import { createSigningKey, git, type SigningKey, temporaryFolder } from '../fakes/git-repo.ts';
import { OpsRepoFixture } from '../fakes/ops-repo.ts';

let fixture: OpsRepoFixture;
afterEach(() => fixture.close());

let key: SigningKey;
let removeKey: () => Promise<void>;
beforeAll(async () => {
  const { dir, remove } = await temporaryFolder('edge-keys-');
  removeKey = remove;
  key = await createSigningKey(dir);
});
afterAll(() => removeKey());

async function overHttp() {
  fixture = await OpsRepoFixture.create();
  const server = await GitHttpServer.start({ root: fixture.dir });
  fixture.onClose(() => server.close());
  return { server, opsRepo: await fixture.open({ url: `${server.origin}/remote.git` }) };
}

async function tag(name: string, message: string): Promise<void> {
  await fixture.writer.tag(name, { message, signingKey: key.file });
  await fixture.writer.pushTag(name);
}

async function unsignedTag(name: string): Promise<void> {
  await fixture.writer.tag(name, { message: 'yes' });
  await fixture.writer.pushTag(name);
}

/** Ids of the tags that the clone holds. */
async function held(dir = fixture.options().dir): Promise<readonly string[]> {
  const GIT_DIR = path.join(dir, 'repo.git');
  const out = await git(['for-each-ref', '--format=%(refname:lstrip=3)', 'refs/edge/tags'], { GIT_DIR });
  return out.split('\n').filter((line) => line !== '');
}

const removeTag = (name: string) => fixture.writer.git(['push', '--quiet', fixture.remote, `:refs/tags/${name}`]);

describe('approval tags', () => {
  it('are the signed ones beneath approve/, with what they say and without their signature', async () => {
    const { opsRepo } = await overHttp();
    await tag('approve/b', 'looks good\n\nblob: 1\n');
    await tag('approve/a/1', 'plain');
    await tag('v1', 'a release');
    const commit = await fixture.writer.resolve('HEAD');
    const message = expect.any(String);
    const tagger = { name: 'Some One', email: 'someone@example.org' };
    const taggedAt = expect.stringMatching(/^20\d\d-\d\d-\d\dT[\d:.]+Z$/);
    const of = async (name: string) => fixture.writer.resolve(`refs/tags/${name}`);
    const tags = await opsRepo.approvalTags();
    expect(tags).toEqual([
      { ref: 'refs/tags/approve/a/1', oid: await of('approve/a/1'), commit, message, tagger, taggedAt },
      { ref: 'refs/tags/approve/b', oid: await of('approve/b'), commit, message, tagger, taggedAt },
    ]);
    expect(tags.map((each) => each.message)).toEqual(['plain\n', 'looks good\n\nblob: 1\n']);
  });

  it('are had from a remote that is a path, too', async () => {
    fixture = await OpsRepoFixture.create();
    const opsRepo = await fixture.open();
    expect(await opsRepo.approvalTags()).toEqual([]);
    await tag('approve/x', 'yes');
    await fixture.writer.tag('approve/light');
    await fixture.writer.pushTag('approve/light');
    expect((await opsRepo.approvalTags()).map(({ ref }) => ref)).toEqual(['refs/tags/approve/x']);
  });

  it('are no lightweight ones and none of other things than commits', async () => {
    const { opsRepo } = await overHttp();
    await fixture.writer.tag('approve/light');
    await fixture.writer.pushTag('approve/light');
    await tag('approve/commit', 'yes');
    for (const [name, of] of [
      ['approve/tree', 'HEAD^{tree}'],
      ['approve/blob', 'HEAD:README'],
      ['approve/tag', 'refs/tags/approve/commit'],
    ] as const) {
      await fixture.writer.git(['-c', 'gpg.format=ssh', 'tag', '-s', '-u', key.file, '-m', 'yes', name, of]);
      await fixture.writer.pushTag(name);
    }
    expect((await opsRepo.approvalTags()).map(({ ref }) => ref)).toEqual(['refs/tags/approve/commit']);
  });

  it('cost one request while nothing is new', async () => {
    const { server, opsRepo } = await overHttp();
    await opsRepo.refresh();
    await tag('approve/x', 'yes');
    const first = await opsRepo.approvalTags();
    server.forget();
    expect(await opsRepo.approvalTags()).toEqual(first);
    expect(server.requests.map(({ method, url }) => [method, url])).toEqual([['POST', '/remote.git/git-upload-pack']]);
  });

  it('are gone when the server has them no more, and follow it when they move', async () => {
    const { opsRepo } = await overHttp();
    await tag('approve/x', 'first');
    await tag('approve/y', 'yes');
    expect((await opsRepo.approvalTags()).map(({ message }) => message)).toEqual(['first\n', 'yes\n']);
    const commit = await fixture.writer.commit({ more: 'more\n' });
    await fixture.writer.git(['tag', '-d', 'approve/x']);
    await fixture.writer.tag('approve/x', { message: 'second', signingKey: key.file });
    await fixture.writer.git(['push', '--quiet', '--force', fixture.remote, 'refs/tags/approve/x']);
    await removeTag('approve/y');
    const [x, ...others] = await opsRepo.approvalTags();
    expect([x?.message, x?.commit, others]).toEqual(['second\n', commit, []]);
    expect(await held()).toEqual([x?.oid]);
    await removeTag('approve/x');
    expect(await opsRepo.approvalTags()).toEqual([]);
  });

  it('bring the commit that they name, also where it is on no branch', async () => {
    const { opsRepo } = await overHttp();
    await fixture.writer.checkout('topic');
    const commit = await fixture.writer.commit({ topic: 'topic\n' });
    await tag('approve/topic', 'yes');
    await opsRepo.approvalTags();
    expect((await opsRepo.entryAt(commit, 'topic'))?.kind).toBe('file');
  });

  it('are none while the server is away, which is no answer', async () => {
    const { server, opsRepo } = await overHttp();
    server.unavailable = 5;
    await expect(opsRepo.approvalTags()).rejects.toMatchObject({ name: 'TransientError', code: 'ERR_GIT_UNAVAILABLE' });
    server.unavailable = 0;
    expect(await opsRepo.approvalTags()).toEqual([]);
  });

  it('are none that nobody signed: these are not held, nor fetched again', async () => {
    const { server, opsRepo } = await overHttp();
    await unsignedTag('approve/0');
    await tag('approve/x', 'yes');
    const refs = async () => (await opsRepo.approvalTags()).map(({ ref }) => ref);
    expect(await refs()).toEqual(['refs/tags/approve/x']);
    expect(await held()).toEqual([await fixture.writer.resolve('refs/tags/approve/x')]);
    server.forget();
    expect(await refs()).toEqual(['refs/tags/approve/x']);
    expect(server.requests).toHaveLength(1);
  });
});

describe('more new tags than are read at a look', () => {
  async function readingTwo() {
    fixture = await OpsRepoFixture.create();
    const options = { ...fixture.options(), dir: path.join(fixture.dir, 'cache', 'two.git') };
    const repoGit = new Git(options);
    const refs = new RemoteRefs(options, systemClock);
    const parts = { refs, remoteRef: 'refs/heads/main', clock: systemClock, log: undefined };
    const cache = new Cache(repoGit, parts);
    fixture.onClose(async () => {
      await cache.close();
      refs.close();
    });
    const tags = new ApprovalTags(cache, refs, undefined, 2);
    return async () => (await tags.read()).map(({ ref }) => ref.replace('refs/tags/approve/', ''));
  }

  it('delay one that comes after them by name, and those that come later delay it no more', async () => {
    const read = await readingTwo();
    for (const name of ['0a', '0b', '0c']) await unsignedTag(`approve/${name}`);
    await tag('approve/x', 'yes');
    expect(await read()).toEqual([]);
    for (const name of ['00', '01', '02']) await tag(`approve/${name}`, 'junk');
    expect(await read()).toEqual(['x']);
    expect(await read()).toEqual(['00', '01', 'x']);
    expect(await read()).toEqual(['00', '01', '02', 'x']);
    await removeTag('approve/00');
    expect(await read()).toEqual(['01', '02', 'x']);
  });
});
