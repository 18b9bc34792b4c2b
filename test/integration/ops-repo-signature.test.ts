import { execFileSync } from 'node:child_process';
import { mkdir, symlink } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { createSigningKey, type SigningKey, writeRawCommit } from '../fakes/git-repo.ts';
import { OpsRepoFixture } from '../fakes/ops-repo.ts';

let fixture: OpsRepoFixture;
afterEach(() => fixture.close());

async function open() {
  fixture = await OpsRepoFixture.create();
  const opsRepo = await fixture.open();
  const [anna, ben] = await Promise.all(
    ['anna', 'ben'].map((name) => createSigningKey(path.join(fixture.dir, 'keys'), name)),
  );
  if (anna === undefined || ben === undefined) throw new Error('no keys');
  return { opsRepo, anna, ben };
}

const signer = (principal: string, { publicKey }: SigningKey) => ({ principal, key: publicKey });

describe('a signature', () => {
  it('is good when one of the given keys made it, and names the principal that came with that key', async () => {
    const { opsRepo, anna, ben } = await open();
    const commit = await fixture.writer.commit({ a: '1' }, { signingKey: ben.file });
    await fixture.writer.push();
    await opsRepo.refresh();
    const verdict = await opsRepo.verifySignature(commit, [signer('anna', anna), signer('ben@example.org', ben)]);
    expect(verdict).toEqual({
      kind: 'good',
      principal: 'ben@example.org',
      fingerprint: expect.stringMatching(/^SHA256:/),
    });
  });

  it('by another key is of an unknown key, and of any key where none is given', async () => {
    const { opsRepo, anna, ben } = await open();
    const commit = await fixture.writer.commit({ a: '1' }, { signingKey: ben.file });
    await fixture.writer.push();
    await opsRepo.refresh();
    expect(await opsRepo.verifySignature(commit, [signer('anna', anna)])).toEqual({ kind: 'unknown-key' });
    expect(await opsRepo.verifySignature(commit, [])).toEqual({ kind: 'unknown-key' });
  });

  it('that is missing is unsigned', async () => {
    const { opsRepo, anna } = await open();
    const { tip } = await opsRepo.refresh();
    expect(await opsRepo.verifySignature(tip, [signer('anna', anna)])).toEqual({ kind: 'unsigned' });
  });

  it('of a commit that was changed afterwards is bad', async () => {
    const { opsRepo, anna } = await open();
    const commit = await fixture.writer.commit({ a: '1' }, { signingKey: anna.file, message: 'release 1\n' });
    const raw = await fixture.writer.git(['cat-file', 'commit', commit]);
    const forged = await writeRawCommit(fixture.writer, raw.replace('release 1', 'release 2'));
    await fixture.writer.reset(forged);
    await fixture.writer.push();
    await opsRepo.refresh();
    expect(await opsRepo.verifySignature(forged, [signer('anna', anna)])).toEqual({ kind: 'bad' });
  });

  it('of OpenPGP is of an unknown key, and no program is run for it', async () => {
    const { opsRepo, anna } = await open();
    const tree = await fixture.writer.resolve('HEAD^{tree}');
    const who = 'Mallory <mallory@example.org> 1767225600 +0000';
    const signature = '-----BEGIN PGP SIGNATURE-----\n \n iQEzBAABCAAdFiEE\n -----END PGP SIGNATURE-----';
    const raw = `tree ${tree}\nauthor ${who}\ncommitter ${who}\ngpgsig ${signature}\n\nsigned\n`;
    const commit = await writeRawCommit(fixture.writer, raw);
    await fixture.writer.reset(commit);
    await fixture.writer.push({ force: true });
    await opsRepo.refresh();
    expect(await opsRepo.verifySignature(commit, [signer('anna', anna)])).toEqual({ kind: 'unknown-key' });
  });

  it('is not widened by a principal that is a pattern or a key that brings a second line', async () => {
    const { opsRepo, anna, ben } = await open();
    const commit = await fixture.writer.commit({ a: '1' }, { signingKey: ben.file });
    await fixture.writer.push();
    await opsRepo.refresh();
    const hostile = [
      signer('*', ben),
      signer('x,y', ben),
      { principal: 'anna', key: `${anna.publicKey}\nmallory ${ben.publicKey}` },
      { principal: 'anna cert-authority', key: ben.publicKey },
    ];
    expect(await opsRepo.verifySignature(commit, hostile)).toEqual({ kind: 'unknown-key' });
  });

  it('made for another purpose than git does not count', async () => {
    const { opsRepo, anna } = await open();
    const tree = await fixture.writer.resolve('HEAD^{tree}');
    const who = 'Anna <anna@example.org> 1767225600 +0000';
    const payload = `tree ${tree}\nauthor ${who}\ncommitter ${who}\n\nsigned\n`;
    const signature = await anna.sign(payload, 'file');
    const header = `gpgsig ${signature.trimEnd().replaceAll('\n', '\n ')}\n`;
    const commit = await writeRawCommit(fixture.writer, payload.replace('\n\nsigned', `\n${header}\nsigned`));
    await fixture.writer.reset(commit);
    await fixture.writer.push({ force: true });
    await opsRepo.refresh();
    expect(await opsRepo.verifySignature(commit, [signer('anna', anna)])).toEqual({ kind: 'bad' });
  });

  it('is no verdict where ssh-keygen can not be run', async () => {
    const { anna } = await open();
    const commit = await fixture.writer.commit({ a: '1' }, { signingKey: anna.file });
    await fixture.writer.push();
    const folder = path.join(fixture.dir, 'only-git');
    await linkGit(folder);
    const opsRepo = await fixture.open({ path: folder, dir: path.join(fixture.dir, 'without') });
    await opsRepo.refresh();
    const verdict = opsRepo.verifySignature(commit, [signer('anna', anna)]);
    await expect(verdict).rejects.toMatchObject({ name: 'TransientError', code: 'ERR_GIT_UNAVAILABLE' });
  });
});

/** A folder with git and without ssh-keygen. */
async function linkGit(folder: string): Promise<void> {
  const real = execFileSync('sh', ['-c', 'command -v git'], { encoding: 'utf8' }).trim();
  await mkdir(folder);
  await symlink(real, path.join(folder, 'git'));
}
