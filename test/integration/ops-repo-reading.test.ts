import { afterEach, describe, expect, it } from 'vitest';
import type { Oid } from '../../src/domain/ids.ts';
import type { OpsRepo } from '../../src/ports/ops-repo.ts';
import { writeRawCommit } from '../fakes/git-repo.ts';
import { OpsRepoFixture } from '../fakes/ops-repo.ts';

let fixture: OpsRepoFixture;
afterEach(() => fixture.close());

const ACTIONS = 'vault/actions';

async function open(files: Parameters<typeof OpsRepoFixture.create>[0]): Promise<{ opsRepo: OpsRepo; first: Oid }> {
  fixture = await OpsRepoFixture.create(files);
  const opsRepo = await fixture.open();
  return { opsRepo, first: (await opsRepo.refresh()).tip };
}

describe('the trees of the ops repo', () => {
  it('are listed with all that lies in the folders, and folders only where they are named like files', async () => {
    const { opsRepo, first } = await open({
      'vault/actions/a.toml': 'a',
      'vault/actions/2026/b.toml': { mode: '100755', content: 'b' },
      'vault/actions/link.toml': { mode: '120000', content: '../../secret' },
      'vault/actions/module.toml': { mode: '160000', content: '1'.repeat(40) },
      'vault/actions/folder.toml/x': 'x',
      'vault/actions/with "quotes" and\ttab.toml': 'q',
      'vault/actions-2/c.toml': 'c',
      'vault/policy.toml': 'p',
    });
    const entries = await opsRepo.list(first, [ACTIONS, 'vault/policy.toml']);
    expect(entries.map(({ path, kind }) => [path, kind])).toEqual([
      ['vault/actions/2026/b.toml', 'executable'],
      ['vault/actions/a.toml', 'file'],
      ['vault/actions/folder.toml', 'tree'],
      ['vault/actions/folder.toml/x', 'file'],
      ['vault/actions/link.toml', 'symlink'],
      ['vault/actions/module.toml', 'submodule'],
      ['vault/actions/with "quotes" and\ttab.toml', 'file'],
      ['vault/policy.toml', 'file'],
    ]);
  });

  it('take a path for a name and never for a pattern', async () => {
    const { opsRepo, first } = await open({ 'vault/a.toml': 'a', 'vault/*.toml': 'star', 'vault/:(top)x': 'x' });
    expect((await opsRepo.list(first, ['vault/*.toml'])).map(({ path }) => path)).toEqual(['vault/*.toml']);
    expect((await opsRepo.entryAt(first, 'vault/:(top)x'))?.kind).toBe('file');
    expect(await opsRepo.entryAt(first, 'vault/?.toml')).toBeNull();
    const history = await opsRepo.firstParentChanges(null, first, ['vault/*.toml']);
    expect(history.flatMap(({ changes }) => changes.map(({ path }) => path))).toEqual(['vault/*.toml']);
  });

  it('are compared with renames as a deletion and an addition, and a change of kind as a change', async () => {
    const { opsRepo, first } = await open({
      'vault/actions/a.toml': 'same bytes',
      'vault/actions/k.toml': 'k',
      other: '1',
    });
    await fixture.writer.commit({
      'vault/actions/a.toml': null,
      'vault/actions/b.toml': 'same bytes',
      'vault/actions/k.toml': { mode: '120000', content: 'k' },
      other: '2',
    });
    await fixture.writer.push();
    const { tip } = await opsRepo.refresh();
    const changes = await opsRepo.changes(first, tip, [ACTIONS]);
    expect(changes.map(({ path, before, after }) => [path, before?.kind ?? null, after?.kind ?? null])).toEqual([
      ['vault/actions/a.toml', 'file', null],
      ['vault/actions/b.toml', null, 'file'],
      ['vault/actions/k.toml', 'file', 'symlink'],
    ]);
    expect(await opsRepo.changes(tip, tip, [ACTIONS])).toEqual([]);
  });

  it('name the entry at a path, be it a folder, and nothing where nothing is', async () => {
    const { opsRepo, first } = await open({ 'vault/actions/a.toml': 'a' });
    const blob = await fixture.writer.blobAt(first, 'vault/actions/a.toml');
    expect(await opsRepo.entryAt(first, 'vault/actions/a.toml')).toEqual({
      path: 'vault/actions/a.toml',
      kind: 'file',
      oid: blob,
    });
    expect((await opsRepo.entryAt(first, 'vault/actions/'))?.kind).toBe('tree');
    expect(await opsRepo.entryAt(first, 'vault/nothing')).toBeNull();
  });

  it('give the bytes of blobs, many at a time, and refuse a blob over 1 MiB without reading on into the next', async () => {
    const large = Buffer.alloc((1 << 20) + 1, 'x');
    const full = Buffer.alloc(1 << 20, 'y');
    const files = Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`f/${n}`, `content\0${n}\n`] as const));
    const { opsRepo, first } = await open({ ...files, 'f/empty': '', 'f/full': full, 'f/large': large });
    const entries = await opsRepo.list(first, ['f']);
    const read = await Promise.allSettled(entries.map(({ oid }) => opsRepo.read(oid)));
    const byName = new Map(entries.map(({ path }, index) => [path, read[index]] as const));
    for (const [name, content] of Object.entries(files)) {
      const result = byName.get(name);
      expect(result?.status === 'fulfilled' && Buffer.from(result.value).toString()).toBe(content);
    }
    expect(byName.get('f/empty')).toMatchObject({ status: 'fulfilled', value: new Uint8Array() });
    const atLimit = byName.get('f/full');
    expect(atLimit?.status === 'fulfilled' && full.equals(atLimit.value)).toBe(true);
    expect(byName.get('f/large')).toMatchObject({ status: 'rejected', reason: { code: 'ERR_FILE_SIZE' } });
  });
});

describe('the history of the ops repo', () => {
  it('names for each path the newest first-parent commit that changed it, be that a merge', async () => {
    const { opsRepo, first } = await open({ 'vault/actions/a.toml': '1', 'vault/actions/b.toml': '1' });
    const { writer } = fixture;
    await writer.checkout('side');
    await writer.commit({ 'vault/actions/side.toml': 's' });
    await writer.checkout('main');
    const direct = await writer.commit({ 'vault/actions/b.toml': '2' });
    const merge = await writer.merge('side');
    await writer.commit({ unrelated: 'u' });
    await writer.push();
    const { tip } = await opsRepo.refresh();
    const paths = [
      'vault/actions/a.toml',
      'vault/actions/b.toml',
      'vault/actions/side.toml',
      'vault/actions/never.toml',
    ];
    const found = await opsRepo.lastChanged(tip, paths);
    expect(new Map([...found].map(([path, { commit }]) => [path, commit]))).toEqual(
      new Map([
        ['vault/actions/side.toml', merge],
        ['vault/actions/b.toml', direct],
        ['vault/actions/a.toml', first],
      ]),
    );
    expect(found.get('vault/actions/a.toml')?.committedAt).toBe((await opsRepo.commit(first)).committedAt);
  });

  it('finds the last changes of hundreds of paths at once', async () => {
    const files = Object.fromEntries(
      Array.from({ length: 300 }, (_, n) => [`vault/actions/${n}.toml`, `${n}`] as const),
    );
    const { opsRepo, first } = await open(files);
    const second = await fixture.writer.commit({ 'vault/actions/7.toml': 'changed', 'vault/actions/9.toml': null });
    await fixture.writer.push();
    const { tip } = await opsRepo.refresh();
    const found = await opsRepo.lastChanged(tip, Object.keys(files));
    expect(found.size).toBe(300);
    expect([...found].filter(([, { commit }]) => commit === second).map(([path]) => path)).toEqual([
      'vault/actions/7.toml',
      'vault/actions/9.toml',
    ]);
    expect([...found.values()].filter(({ commit }) => commit === first)).toHaveLength(298);
  });

  it('tells the changes of the first-parent line in order, merges with what they brought and root commits too', async () => {
    const { opsRepo, first } = await open({ 'vault/policy.toml': '1', other: 'o' });
    const { writer } = fixture;
    await writer.checkout('side');
    await writer.commit({ 'vault/policy.toml': 'on the side' });
    await writer.commit({ 'vault/policy.toml': '2' });
    await writer.checkout('main');
    await writer.commit({ other: 'p' });
    const merge = await writer.merge('side');
    const last = await writer.commit({ 'vault/policy.toml': null, 'vault/formulas/x\ny.toml': 'x' });
    await writer.push();
    const { tip } = await opsRepo.refresh();
    const all = await opsRepo.firstParentChanges(null, tip, ['vault/policy.toml', 'vault/formulas']);
    expect(all.map(({ commit, changes }) => [commit, changes.map(({ path }) => path)])).toEqual([
      [first, ['vault/policy.toml']],
      [merge, ['vault/policy.toml']],
      [last, ['vault/formulas/x\ny.toml', 'vault/policy.toml']],
    ]);
    const later = await opsRepo.firstParentChanges(first, tip, ['vault/policy.toml']);
    expect(later.map(({ commit }) => commit)).toEqual([merge, last]);
    expect(later[1]?.changes[0]?.after).toBeNull();
    expect(await opsRepo.firstParentChanges(tip, tip, ['vault'])).toEqual([]);
  });

  it('R4: knows every result file that any commit ever added, on the side of a merge and removed again too', async () => {
    const { opsRepo, first } = await open({ 'vault/actions/kept.result.json': '1', 'vault/actions/a.toml': 'a' });
    const { writer } = fixture;
    await writer.commit({ 'vault/actions/2026/gone.result.json': '1' });
    await writer.commit({ 'vault/actions/2026/gone.result.json': null });
    await writer.checkout('side');
    await writer.commit({ 'vault/actions/side-gone.result.json': '1' });
    await writer.commit({ 'vault/actions/side-gone.result.json': null, 'vault/actions/b.toml': 'b' });
    await writer.checkout('main');
    await writer.commit({ elsewhere: 'x' });
    await writer.merge('side', { 'vault/actions/evil.result.json': 'made by the merge itself' });
    await writer.commit({ 'vault/actions/evil.result.json': null });
    // A side that leaves the folder as it was is what git leaves out of a history of paths, unless told otherwise.
    await writer.checkout('quiet');
    await writer.commit({ 'vault/actions/quiet-gone.result.json': '1' });
    await writer.commit({ 'vault/actions/quiet-gone.result.json': null });
    await writer.checkout('main');
    await writer.commit({ elsewhere: 'y' });
    await writer.merge('quiet');
    await writer.push();
    const { tip } = await opsRepo.refresh();
    const later = ['2026/gone', 'evil', 'quiet-gone', 'side-gone'].map((name) => `vault/actions/${name}.result.json`);
    const all = await opsRepo.everAdded(null, tip, [ACTIONS], '.result.json');
    expect([...all].sort()).toEqual([...later, 'vault/actions/kept.result.json'].sort());
    expect([...(await opsRepo.everAdded(first, tip, [ACTIONS], '.result.json'))].sort()).toEqual(later);
  });

  it('names the commits on the merged side that introduced a blob, through nested merges', async () => {
    const { opsRepo } = await open({ 'vault/actions/old.toml': 'old', x: 'x' });
    const { writer } = fixture;
    await writer.checkout('inner');
    const introducer = await writer.commit({ 'vault/actions/a.toml': 'approved' });
    await writer.commit({ unrelated: '1' });
    await writer.checkout('outer', 'main');
    await writer.commit({ y: 'y' });
    await writer.merge('inner');
    await writer.checkout('main');
    await writer.commit({ x: 'z' });
    const merge = await writer.merge('outer');
    await writer.push();
    const blob = (await writer.blobAt(merge, 'vault/actions/a.toml')) as Oid;
    await opsRepo.refresh();
    expect(await opsRepo.introducers(merge, 'vault/actions/a.toml', blob)).toEqual([introducer]);
    expect(await opsRepo.introducers(introducer, 'vault/actions/a.toml', blob)).toEqual([]);
  });

  it('names nobody as introducer where the merge made the blob itself or brought old bytes of the branch back', async () => {
    const { opsRepo } = await open({ 'vault/policy.toml': 'first' });
    const { writer } = fixture;
    await writer.checkout('side');
    await writer.commit({ z: 'z' });
    await writer.checkout('main');
    await writer.commit({ 'vault/policy.toml': 'second' });
    const back = await writer.merge('side', { 'vault/policy.toml': 'first', 'vault/evil.toml': 'evil' });
    await writer.push();
    await opsRepo.refresh();
    for (const file of ['vault/policy.toml', 'vault/evil.toml']) {
      const blob = (await writer.blobAt(back, file)) as Oid;
      expect(await opsRepo.introducers(back, file, blob)).toEqual([]);
    }
  });

  it('knows ancestors, and takes a commit that is not there for none', async () => {
    const { opsRepo, first } = await open({ a: '1' });
    await fixture.writer.commit({ a: '2' });
    await fixture.writer.push();
    const { tip } = await opsRepo.refresh();
    expect(await opsRepo.isAncestor(first, tip)).toBe(true);
    expect(await opsRepo.isAncestor(tip, tip)).toBe(true);
    expect(await opsRepo.isAncestor(tip, first)).toBe(false);
    expect(await opsRepo.isAncestor('0123456789'.repeat(4) as Oid, tip)).toBe(false);
  });

  it('reads a hostile commit object as git does: what stands in message or signature is no header', async () => {
    const { opsRepo, first } = await open({ a: '1' });
    const tree = await fixture.writer.resolve(`${first}^{tree}`);
    const raw = [
      `tree ${tree}`,
      `parent ${first}`,
      'author Mal\u202elory <mallory@example.org> 1767225600 +0000',
      'committer Mallory <mallory@example.org> 1767225601 +0100',
      'gpgsig -----BEGIN SSH SIGNATURE-----',
      ' author Admin <admin@example.org> 1 +0000',
      ' -----END SSH SIGNATURE-----',
      '',
      'subject line',
      'second line',
      '',
      `parent ${'9'.repeat(40)}`,
      'author Admin <admin@example.org> 1 +0000',
      'co-authored-BY: Other <other@example.org>',
      '',
    ].join('\n');
    const hostile = await writeRawCommit(fixture.writer, raw);
    await fixture.writer.reset(hostile);
    await fixture.writer.push();
    expect((await opsRepo.refresh()).tip).toBe(hostile);
    expect(await opsRepo.commit(hostile)).toEqual({
      oid: hostile,
      parents: [first],
      author: { name: 'Mal\u202elory', email: 'mallory@example.org' },
      committer: { name: 'Mallory', email: 'mallory@example.org' },
      coAuthors: [{ name: 'Other', email: 'other@example.org' }],
      committedAt: '2026-01-01T00:00:01.000Z',
      subject: 'subject line second line',
    });
  });
});
