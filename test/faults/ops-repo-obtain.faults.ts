import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/adapters/clock.ts';
import type { OpsRepoOptions } from '../../src/adapters/ops-repo/branch.ts';
import { Cache } from '../../src/adapters/ops-repo/cache.ts';
import { Git } from '../../src/adapters/ops-repo/git.ts';
import { Obtainer } from '../../src/adapters/ops-repo/obtain.ts';
import { RemoteRefs } from '../../src/adapters/ops-repo/refs.ts';
import { type Oid, oid } from '../../src/domain/ids.ts';
import { GitHttpServer } from '../fakes/git-http-server.ts';
import { git } from '../fakes/git-repo.ts';
import { OpsRepoFixture } from '../fakes/ops-repo.ts';
import { until } from '../fakes/until.ts';

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
const clone = (...args: string[]) => cloneTaking(undefined, ...args);
const cloneTaking = (input: string | undefined, ...args: string[]) =>
  git(args, { GIT_DIR: path.join(fixture.options().dir, 'repo.git') }, input);
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

/** The commit alone, as of a fetch that was stopped after it had come. */
async function halfFetched(commit: Oid): Promise<void> {
  const raw = await fixture.writer.git(['cat-file', 'commit', commit]);
  expect((await cloneTaking(raw, 'hash-object', '-t', 'commit', '-w', '--stdin')).trim()).toBe(commit);
}

/** Fetches of this commit get no answer until it is let go. */
function heldBack(server: GitHttpServer, commit: Oid) {
  let letGo: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  let held = 0;
  server.hold = (body) => {
    if (!body.includes(`want ${commit}`)) return undefined;
    held += 1;
    return gate;
  };
  fixture.onClose(async () => letGo());
  return { letGo, asked: (times = 1) => until('it is asked for', () => held >= times) };
}

describe('a fetch by id', () => {
  it('that was stopped halfway is made again, and nothing else is lost', async () => {
    const warnings: string[] = [];
    const say = (message: string) => void warnings.push(message);
    const log = { debug: say, info: say, warn: say, error: say };
    const { opsRepo } = await overHttp({ log });
    const [parent] = (await strays('parent')) as [Oid];
    await fixture.writer.checkout('child', parent);
    const child = await fixture.writer.commit({ 'child.txt': 'child\n' });
    await fixture.writer.push();
    for (const commit of [parent, child]) {
      await halfFetched(commit);
      expect(await opsRepo.obtain([commit])).toEqual(new Set([commit]));
      expect(await opsRepo.entryAt(commit, 'parent.txt')).toMatchObject({ kind: 'file' });
    }
    expect(warnings).toEqual([]);
  });

  it('is not made for what the branch holds', async () => {
    const { server, opsRepo } = await overHttp();
    const { tip, root } = await opsRepo.refresh();
    server.forget();
    expect(await opsRepo.obtain([tip, root])).toEqual(new Set([tip, root]));
    expect(server.requests).toEqual([]);
  });

  it('keeps no result waiting, however long it takes', async () => {
    const { server, opsRepo } = await overHttp();
    const [one] = (await strays('one')) as [Oid];
    const { letGo, asked } = heldBack(server, one);
    const obtained = opsRepo.obtain([one]);
    await asked();
    const file = { path: 'vault/actions/a.result.json', content: Buffer.from('a') };
    expect(await opsRepo.publish(file, 'a: succeeded')).toMatchObject({ kind: 'landed' });
    letGo();
    expect(await obtained).toEqual(new Set([one]));
  });

  it('is made again in the clone that is made anew meanwhile', async () => {
    const { server, opsRepo } = await overHttp();
    const [one] = (await strays('one')) as [Oid];
    const { letGo, asked } = heldBack(server, one);
    const obtained = opsRepo.obtain([one]);
    await asked();
    await expect(opsRepo.commit(NOWHERE)).rejects.toMatchObject({ code: 'ERR_CACHE_DAMAGED' });
    await asked(2);
    letGo();
    expect(await obtained).toEqual(new Set([one]));
    expect(await opsRepo.entryAt(one, 'one.txt')).toMatchObject({ kind: 'file' });
  });

  it('is given up after a time, and the next one brings it', async () => {
    const { server } = await overHttp();
    const [one] = (await strays('one')) as [Oid];
    const options = fixture.options({ url: `${server.origin}/remote.git`, dir: path.join(fixture.dir, 'other') });
    const refs = new RemoteRefs(options, systemClock);
    const parts = { refs, remoteRef: 'refs/heads/main', clock: systemClock, log: undefined };
    const cache = new Cache(new Git(options), parts);
    fixture.onClose(async () => {
      await cache.close();
      refs.close();
    });
    await cache.refresh();
    const { letGo } = heldBack(server, one);
    const hasty = new Obtainer(cache, systemClock, undefined, 200);
    const outage = { code: 'ERR_GIT_UNAVAILABLE', message: expect.stringContaining('took too long') };
    await expect(hasty.obtain([one])).rejects.toMatchObject(outage);
    letGo();
    expect(await new Obtainer(cache, systemClock, undefined).obtain([one])).toEqual(new Set([one]));
  });
});
