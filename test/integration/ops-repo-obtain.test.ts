import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { OpsRepoOptions } from '../../src/adapters/ops-repo/branch.ts';
import { type Oid, oid } from '../../src/domain/ids.ts';
import { GitHttpServer } from '../fakes/git-http-server.ts';
import { git } from '../fakes/git-repo.ts';
import { OpsRepoFixture } from '../fakes/ops-repo.ts';

let fixture: OpsRepoFixture;
afterEach(() => fixture.close());

const NOWHERE = oid('0123456789'.repeat(4));

async function overHttp(changes: Partial<OpsRepoOptions> = {}) {
  fixture = await OpsRepoFixture.create();
  const server = await GitHttpServer.start({ root: fixture.dir });
  fixture.onClose(() => server.close());
  const opsRepo = await fixture.open({ url: `${server.origin}/remote.git`, ...changes });
  await opsRepo.refresh();
  server.forget();
  return { server, opsRepo };
}

/** Commits that were on a branch which is gone from the server: only their ids still lead to them. */
async function strays(...names: readonly string[]): Promise<readonly Oid[]> {
  const commits: Oid[] = [];
  for (const name of names) {
    await fixture.writer.checkout(name, 'refs/heads/main');
    commits.push(await fixture.writer.commit({ [`${name}.txt`]: `${name}\n` }));
    await fixture.writer.push();
    await fixture.writer.git(['push', '--quiet', fixture.remote, `:refs/heads/${name}`]);
  }
  return commits;
}

/** The clone's own git, to look at it and to tidy it up. */
const clone = (...args: string[]) => git(args, { GIT_DIR: path.join(fixture.options().dir, 'repo.git') });
const fetches = (server: GitHttpServer) => server.requests.filter(({ method }) => method === 'POST').length;

describe('commits on no branch', () => {
  it('are fetched by their ids in one go, and all that they hold can be read', async () => {
    const { server, opsRepo } = await overHttp();
    const [one, two] = (await strays('one', 'two')) as [Oid, Oid];
    expect(await opsRepo.obtain([one, two, one])).toEqual(new Set([one, two]));
    expect((await opsRepo.entryAt(two, 'two.txt'))?.oid).toBe(await fixture.writer.blobAt(two, 'two.txt'));
    const asked = server.requests.length;
    expect(await opsRepo.obtain([two, one])).toEqual(new Set([one, two]));
    expect(server.requests).toHaveLength(asked);
  });

  it('are had from a remote that is a path, too', async () => {
    fixture = await OpsRepoFixture.create();
    const opsRepo = await fixture.open();
    const [one] = (await strays('one')) as [Oid];
    expect(await opsRepo.obtain([one, NOWHERE])).toEqual(new Set([one]));
    expect(await opsRepo.commit(one)).toMatchObject({ oid: one });
  });

  it('are not hidden by one that the server has not got, and that one can still be pushed', async () => {
    const { server, opsRepo } = await overHttp();
    const [one, two] = (await strays('one', 'two')) as [Oid, Oid];
    await fixture.writer.checkout('later', 'refs/heads/main');
    const later = await fixture.writer.commit({ later: 'later\n' });
    expect(await opsRepo.obtain([one, later, NOWHERE, two])).toEqual(new Set([one, two]));
    expect(fetches(server)).toBeLessThan(10);
    await fixture.writer.push();
    expect(await opsRepo.obtain([later])).toEqual(new Set([later]));
  });

  it('are fetched once each, however many callers want them at a time', async () => {
    const { server, opsRepo } = await overHttp();
    const commits = await strays('a', 'b', 'c');
    const wanted = [...commits, ...commits, ...commits];
    const answers = await Promise.all(wanted.map((commit) => opsRepo.obtain([commit])));
    expect(answers.map((answer) => [...answer])).toEqual(wanted.map((commit) => [commit]));
    expect(fetches(server)).toBeLessThanOrEqual(commits.length);
  });

  it('stay when the clone is tidied up, and it is asked for nothing else', async () => {
    const { opsRepo } = await overHttp();
    const [one] = (await strays('one')) as [Oid];
    await opsRepo.obtain([one]);
    await clone('gc', '--quiet', '--prune=now');
    expect(await opsRepo.entryAt(one, 'one.txt')).toMatchObject({ kind: 'file' });
    expect((await clone('for-each-ref', '--format=%(refname)')).trim().split('\n')).toEqual([
      `refs/edge/kept/${one}`,
      'refs/edge/tip',
    ]);
  });

  it('are had again after the clone was lost', async () => {
    const { opsRepo } = await overHttp();
    const [one, two] = (await strays('one', 'two')) as [Oid, Oid];
    await opsRepo.obtain([one]);
    await git(['update-ref', '-d', `refs/edge/kept/${one}`], { GIT_DIR: path.join(fixture.options().dir, 'repo.git') });
    await clone('gc', '--quiet', '--prune=now');
    const again = await fixture.open({ dir: fixture.options().dir });
    expect(await again.obtain([one, two])).toEqual(new Set([one, two]));
  });

  it('are no trees, blobs or ids of another hash', async () => {
    const { opsRepo } = await overHttp();
    await fixture.writer.checkout('other', 'refs/heads/main');
    await fixture.writer.commit({ other: 'other\n' });
    await fixture.writer.push();
    const blob = await fixture.writer.blobAt('HEAD', 'other');
    const tree = await fixture.writer.resolve('HEAD^{tree}');
    const ids = [blob, tree, oid('ab'.repeat(32))].filter((id) => id !== null);
    expect(ids).toHaveLength(3);
    expect(await opsRepo.obtain(ids)).toEqual(new Set());
    expect(await clone('for-each-ref', 'refs/edge/kept')).toBe('');
  });

  it('are waited for while the server is away', async () => {
    const { server, opsRepo } = await overHttp();
    const [one] = (await strays('one')) as [Oid];
    server.unavailable = 5;
    const outage = { name: 'TransientError', code: 'ERR_GIT_UNAVAILABLE' };
    await expect(opsRepo.obtain([one, NOWHERE])).rejects.toMatchObject(outage);
    server.unavailable = 0;
    expect(await opsRepo.obtain([one, NOWHERE])).toEqual(new Set([one]));
  });

  it('are given up with their caller', async () => {
    const { opsRepo } = await overHttp();
    const stopped = AbortSignal.abort(new Error('enough'));
    await expect(opsRepo.obtain([NOWHERE], stopped)).rejects.toThrow('enough');
  });
});
