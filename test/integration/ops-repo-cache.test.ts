import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/adapters/clock.ts';
import { RemoteRefs } from '../../src/adapters/ops-repo/refs.ts';
import { GitHttpServer } from '../fakes/git-http-server.ts';
import { createRemote, Writer } from '../fakes/git-repo.ts';
import { OpsRepoFixture } from '../fakes/ops-repo.ts';

let fixture: OpsRepoFixture;
afterEach(() => fixture.close());

const clone = (): string => path.join(fixture.dir, 'cache', 'ops.git', 'repo.git');

async function commit(files: Record<string, string>): Promise<string> {
  const made = await fixture.writer.commit(files);
  await fixture.writer.push();
  return made;
}

/** A folder with a `git` that notes each call (arguments and environment) before it runs the real one. */
async function watchedGit(): Promise<{ path: string; calls: () => Promise<string> }> {
  const folder = path.join(fixture.dir, 'watched');
  const file = path.join(folder, 'calls');
  const realPath = fixture.options().path ?? '';
  await mkdir(folder);
  const script = `#!/bin/sh\nprintf '%s\\n' "$0 $*" >> '${file}'\nenv >> '${file}'\nPATH='${realPath}' exec git "$@"\n`;
  await writeFile(path.join(folder, 'git'), script);
  await chmod(path.join(folder, 'git'), 0o755);
  return { path: `${folder}:${realPath}`, calls: () => readFile(file, 'utf8').catch(() => '') };
}

describe('the clone', () => {
  it('is bare, and holds neither the address nor hooks nor a checked out file', async () => {
    fixture = await OpsRepoFixture.create();
    const opsRepo = await fixture.open();
    await opsRepo.refresh();
    const config = await readFile(path.join(clone(), 'config'), 'utf8');
    expect(config).toContain('bare = true');
    expect(config).not.toContain(fixture.remote);
    expect(await readdir(clone())).not.toContain('hooks');
    expect(await readdir(clone())).not.toContain('FETCH_HEAD');
  });

  it('is used again after a restart, and only what is new is fetched', async () => {
    fixture = await OpsRepoFixture.create();
    const first = await fixture.open();
    const { tip } = await first.refresh();
    await first.close();
    await writeFile(path.join(clone(), 'mark'), '');
    await commit({ a: '2' });
    const second = await fixture.open();
    expect((await second.commit(tip)).oid).toBe(tip);
    expect(await second.isAncestor(tip, (await second.refresh()).tip)).toBe(true);
    expect(await readdir(clone())).toContain('mark');
  });

  const damages: readonly (readonly [string, () => Promise<void>])[] = [
    ['is deleted', () => rm(path.join(fixture.dir, 'cache'), { recursive: true })],
    ['lost its objects', () => rm(path.join(clone(), 'objects'), { recursive: true })],
    ['lost its HEAD', () => rm(path.join(clone(), 'HEAD'))],
    ['has a torn config', () => writeFile(path.join(clone(), 'config'), '[core\nbare = ')],
    ['has a torn ref', () => writeFile(path.join(clone(), 'refs', 'edge', 'tip'), '')],
    ['has emptied object files', () => spoilObjects('')],
    ['has garbage for objects', () => spoilObjects('garbage')],
  ];

  it.each(damages)('that %s is made anew and what was asked is answered', async (_, damage) => {
    fixture = await OpsRepoFixture.create({ 'vault/actions/a.toml': 'a' });
    const opsRepo = await fixture.open();
    const { tip } = await opsRepo.refresh();
    await damage();
    const entries = await opsRepo.list(tip, ['vault']);
    expect(entries.map(({ path: name }) => name)).toEqual(['vault/actions/a.toml']);
    const contents = await Promise.all(entries.map(({ oid }) => opsRepo.read(oid)));
    expect(contents).toEqual([new Uint8Array(Buffer.from('a'))]);
    const next = await commit({ 'vault/actions/b.toml': 'b' });
    expect((await opsRepo.refresh()).tip).toBe(next);
    expect(await opsRepo.publish({ path: 'r', content: Buffer.from('r') }, 'r')).toMatchObject({ kind: 'landed' });
  });

  it.each(damages)('that %s while the daemon was down is made anew at the next start', async (_, damage) => {
    fixture = await OpsRepoFixture.create({ 'vault/actions/a.toml': 'a' });
    const before = await fixture.open();
    const { tip } = await before.refresh();
    await before.close();
    await damage();
    const after = await fixture.open();
    expect(await after.refresh()).toMatchObject({ tip, descends: true });
    expect(await after.list(tip, ['vault'])).toHaveLength(1);
  });

  it('that lost a commit takes it for damage, and not for a history that was rewritten', async () => {
    fixture = await OpsRepoFixture.create();
    const opsRepo = await fixture.open();
    const { tip: first } = await opsRepo.refresh();
    await commit({ a: '1' });
    const { tip } = await opsRepo.refresh();
    await rm(path.join(clone(), 'objects', first.slice(0, 2), first.slice(2)));
    expect(await opsRepo.isAncestor(first, tip)).toBe(true);
  });

  it('with the lock file of a git that was killed is made anew', async () => {
    fixture = await OpsRepoFixture.create();
    const opsRepo = await fixture.open();
    await opsRepo.refresh();
    await writeFile(path.join(clone(), 'refs', 'edge', 'tip.lock'), '');
    const next = await commit({ a: '2' });
    expect((await opsRepo.refresh()).tip).toBe(next);
  });

  it('that is damaged while the server is away is an outage, and is made anew once the server is back', async () => {
    fixture = await OpsRepoFixture.create({ 'vault/a.toml': 'a' });
    const server = await GitHttpServer.start({ root: fixture.dir });
    fixture.onClose(() => server.close());
    const opsRepo = await fixture.open({ url: `${server.origin}/remote.git` });
    const { tip } = await opsRepo.refresh();
    await rm(clone(), { recursive: true });
    server.unavailable = 1_000;
    await expect(opsRepo.list(tip, ['vault'])).rejects.toMatchObject({ code: 'ERR_GIT_UNAVAILABLE' });
    server.unavailable = 0;
    expect((await opsRepo.refresh()).tip).toBe(tip);
    expect(await opsRepo.list(tip, ['vault'])).toHaveLength(1);
  });

  it('is not made anew again and again for a commit that no clone has', async () => {
    fixture = await OpsRepoFixture.create();
    const opsRepo = await fixture.open();
    const { tip } = await opsRepo.refresh();
    const nowhere = tip.replace(/./g, '7') as typeof tip;
    await expect(opsRepo.list(nowhere, [])).rejects.toMatchObject({
      name: 'TransientError',
      code: 'ERR_CACHE_DAMAGED',
    });
    await writeFile(path.join(clone(), 'mark'), '');
    await expect(opsRepo.commit(nowhere)).rejects.toMatchObject({ name: 'TransientError', code: 'ERR_CACHE_DAMAGED' });
    expect(await readdir(clone())).toContain('mark');
    expect((await opsRepo.refresh()).tip).toBe(tip);
  });

  it('is of SHA-256 where the remote is', async () => {
    fixture = await OpsRepoFixture.create();
    const remote = await createRemote(path.join(fixture.dir, 'sha256.git'), { objectFormat: 'sha256' });
    const writer = await Writer.open(remote, path.join(fixture.dir, 'writer256.git'));
    const first = await writer.commit({ a: '1' });
    await writer.push();
    const opsRepo = await fixture.open({
      url: remote,
      dir: path.join(fixture.dir, 'cache256'),
      acceptedTipFile: path.join(fixture.dir, 'tip256'),
    });
    expect(await opsRepo.refresh()).toMatchObject({ tip: first, root: first });
    expect(first).toHaveLength(64);
    expect(await opsRepo.publish({ path: 'r', content: Buffer.from('r') }, 'r')).toMatchObject({ kind: 'landed' });
    expect(await opsRepo.publish({ path: 'r', content: Buffer.from('r') }, 'r')).toMatchObject({ kind: 'landed' });
    const journal = await fixture.openJournal({ url: remote });
    await journal.end({ id: 'a', token: '1'.repeat(32), ended_at: '2026-01-01T00:00:00Z' });
    expect((await journal.refresh()).ended.size).toBe(1);
  });

  async function spoilObjects(content: string): Promise<void> {
    const names = await readdir(path.join(clone(), 'objects'), { recursive: true });
    for (const name of names.filter((one) => /^[0-9a-f]{2}\/[0-9a-f]{38}$|\.pack$/.test(one))) {
      await chmod(path.join(clone(), 'objects', name), 0o644);
      await writeFile(path.join(clone(), 'objects', name), content);
    }
  }
});

describe('the tip', () => {
  it('that does not descend from the last one seen is reported until it is accepted', async () => {
    fixture = await OpsRepoFixture.create();
    const opsRepo = await fixture.open();
    const { tip: root } = await opsRepo.refresh();
    await commit({ a: '1' });
    expect(await opsRepo.refresh()).toMatchObject({ descends: true });
    await fixture.writer.reset(root);
    const rewritten = await fixture.writer.commit({ a: 'rewritten' });
    await fixture.writer.push({ force: true });
    expect(await opsRepo.refresh()).toEqual({ tip: rewritten, root, descends: false });
    expect(await opsRepo.refresh()).toMatchObject({ descends: false });
    const later = await commit({ a: 'later' });
    expect(await opsRepo.refresh()).toEqual({ tip: later, root, descends: false });
    await opsRepo.acceptHistory();
    expect(await opsRepo.refresh()).toEqual({ tip: later, root, descends: true });
  });

  it('R4: an old backup is found out after the cache was deleted and the daemon started anew', async () => {
    fixture = await OpsRepoFixture.create();
    const before = await fixture.open();
    const { tip: old } = await before.refresh();
    await commit({ a: '1' });
    await before.refresh();
    await before.close();
    await fixture.writer.reset(old);
    await fixture.writer.push({ force: true });
    await rm(path.join(fixture.dir, 'cache'), { recursive: true });
    const after = await fixture.open();
    expect(await after.refresh()).toMatchObject({ tip: old, descends: false });
  });

  it('is accepted by another process while this one runs', async () => {
    fixture = await OpsRepoFixture.create();
    const running = await fixture.open();
    const { tip: root } = await running.refresh();
    await commit({ a: '1' });
    await running.refresh();
    await fixture.writer.reset(root);
    await commitForced();
    expect(await running.refresh()).toMatchObject({ descends: false });
    const doctor = await fixture.open({ dir: path.join(fixture.dir, 'doctor') });
    await doctor.acceptHistory();
    expect(await running.refresh()).toMatchObject({ descends: true });
  });

  it('is not taken for accepted where the file that says so can not be read', async () => {
    fixture = await OpsRepoFixture.create();
    const { acceptedTipFile } = fixture.options();
    await mkdir(path.dirname(acceptedTipFile));
    await writeFile(acceptedTipFile, 'torn');
    const opsRepo = await fixture.open();
    expect(await opsRepo.refresh()).toMatchObject({ descends: false });
    await opsRepo.acceptHistory();
    expect(await opsRepo.refresh()).toMatchObject({ descends: true });
  });

  it('keeps the first-parent root as the name of the repo, also when a merge turns the lines around', async () => {
    fixture = await OpsRepoFixture.create();
    const { writer } = fixture;
    const opsRepo = await fixture.open();
    const { root } = await opsRepo.refresh();
    await commit({ a: '1' });
    expect((await opsRepo.refresh()).root).toBe(root);
    const other = (await writer.git(['commit-tree', '-m', 'other root', 'HEAD^{tree}'], { env: who })).trim();
    const turned = await writer.git(['commit-tree', '-p', other, '-p', 'HEAD', '-m', 'turned', 'HEAD^{tree}'], {
      env: who,
    });
    await writer.reset(turned.trim());
    await writer.push();
    expect(await opsRepo.refresh()).toEqual({ tip: turned.trim(), root: other, descends: true });
  });

  it('of a repo without commits or without the branch is a clear error that a person mends', async () => {
    fixture = await OpsRepoFixture.create();
    const empty = await createRemote(path.join(fixture.dir, 'empty.git'));
    const onEmpty = await fixture.open({ url: empty, dir: path.join(fixture.dir, 'c1') });
    const missing = { name: 'StalledError', code: 'ERR_GIT_NOT_FOUND', message: `${empty} has no branch main` };
    await expect(onEmpty.refresh()).rejects.toMatchObject(missing);
    await expect(onEmpty.publish({ path: 'r', content: Buffer.from('r') }, 'r')).rejects.toMatchObject(missing);
    const onOther = await fixture.open({ branch: 'release', dir: path.join(fixture.dir, 'c2') });
    await expect(onOther.refresh()).rejects.toMatchObject({ code: 'ERR_GIT_NOT_FOUND' });
    await fixture.writer.push({ to: 'refs/heads/release' });
    expect(await onOther.refresh()).toMatchObject({ descends: true });
  });

  const who = {
    GIT_AUTHOR_NAME: 'a',
    GIT_AUTHOR_EMAIL: 'a',
    GIT_AUTHOR_DATE: '@1 +0000',
    GIT_COMMITTER_DATE: '@1 +0000',
  };

  async function commitForced(): Promise<void> {
    await fixture.writer.commit({ a: 'rewritten' });
    await fixture.writer.push({ force: true });
  }
});

describe('an idle look', () => {
  it('R17: is one small request for branch and journal together and starts no process', async () => {
    fixture = await OpsRepoFixture.create();
    const server = await GitHttpServer.start({ root: fixture.dir, username: 'edge-bot', token: 'the-token' });
    fixture.onClose(() => server.close());
    const watched = await watchedGit();
    const tokenFile = path.join(fixture.dir, 'token');
    await writeFile(tokenFile, 'the-token\n');
    const access = { url: `${server.origin}/remote.git`, tokenFile, path: watched.path };
    const refs = new RemoteRefs(fixture.options(access), systemClock);
    fixture.onClose(() => Promise.resolve(refs.close()));
    const opsRepo = await fixture.open({ ...access, refs });
    const journal = await fixture.openJournal({ ...access, refs });
    await journal.end({ id: 'a', token: '1'.repeat(32), ended_at: '2026-01-01T00:00:00Z' });
    for (let n = 0; n < 3; n += 1) {
      await journal.refresh();
      await opsRepo.refresh();
    }
    server.forget();
    const before = await watched.calls();
    const views = new Set([await journal.refresh()]);
    await opsRepo.refresh();
    views.add(await journal.refresh());
    await opsRepo.refresh();
    expect(server.requests.map(({ method, status }) => [method, status])).toEqual([
      ['POST', 200],
      ['POST', 200],
    ]);
    for (const { bytes } of server.requests) expect(bytes).toBeLessThanOrEqual(150);
    expect(await watched.calls()).toBe(before);
    expect(views.size).toBe(1);
  });

  it('R17: of a repo on this machine starts no process, with loose and with packed refs', async () => {
    fixture = await OpsRepoFixture.create();
    const watched = await watchedGit();
    const opsRepo = await fixture.open({ path: watched.path });
    const journal = await fixture.openJournal({ path: watched.path });
    for (const pack of [false, true]) {
      await opsRepo.refresh();
      await journal.refresh();
      const before = await watched.calls();
      if (pack) await fixture.writer.git(['pack-refs', '--all'], { env: { GIT_DIR: fixture.remote } });
      await opsRepo.refresh();
      await journal.refresh();
      expect(await watched.calls()).toBe(before);
    }
    expect(await watched.calls()).not.toBe('');
  });

  it('shows another branch of a like name not for ours', async () => {
    fixture = await OpsRepoFixture.create();
    const server = await GitHttpServer.start({ root: fixture.dir });
    fixture.onClose(() => server.close());
    await fixture.writer.push({ to: 'refs/heads/main-2' });
    const opsRepo = await fixture.open({ url: `${server.origin}/remote.git` });
    const { tip } = await opsRepo.refresh();
    await fixture.writer.commit({ a: '2' });
    await fixture.writer.push({ to: 'refs/heads/main-2' });
    expect((await opsRepo.refresh()).tip).toBe(tip);
  });

  it('can be given up by its signal', async () => {
    fixture = await OpsRepoFixture.create();
    const opsRepo = await fixture.open();
    await expect(opsRepo.refresh(AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
  });
});
