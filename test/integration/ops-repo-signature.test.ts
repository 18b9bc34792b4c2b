import { execFileSync } from 'node:child_process';
import { mkdir, symlink } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type Oid, oid } from '../../src/domain/ids.ts';
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
      fingerprint: await ben.fingerprint(),
    });
  });

  it('by another key is of an unknown key, and of any key where none is given', async () => {
    const { opsRepo, anna, ben } = await open();
    const commit = await fixture.writer.commit({ a: '1' }, { signingKey: ben.file });
    await fixture.writer.push();
    await opsRepo.refresh();
    const unknown = { kind: 'unknown-key', fingerprint: await ben.fingerprint() };
    expect(await opsRepo.verifySignature(commit, [signer('anna', anna)])).toEqual(unknown);
    expect(await opsRepo.verifySignature(commit, [])).toEqual(unknown);
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
    const unknown = { kind: 'unknown-key', fingerprint: null };
    expect(await opsRepo.verifySignature(commit, [signer('anna', anna)])).toEqual(unknown);
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
    expect(await opsRepo.verifySignature(commit, hostile)).toMatchObject({ kind: 'unknown-key' });
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

describe('the signature of a tag', () => {
  async function signed(key: SigningKey, message = 'yes'): Promise<Oid> {
    await fixture.writer.tag('approve/x', { message, signingKey: key.file });
    await fixture.writer.pushTag('approve/x');
    return (await fixture.writer.resolve('refs/tags/approve/x')) ?? fail();
  }

  /** Another tag object, made of the text of the one that is there. */
  async function forge(of: Oid, change: (raw: string) => string): Promise<Oid> {
    const raw = change(await fixture.writer.git(['cat-file', 'tag', of]));
    const id = await fixture.writer.git(['hash-object', '-t', 'tag', '-w', '--stdin', '--literally'], { input: raw });
    await fixture.writer.git(['update-ref', 'refs/tags/approve/x', id.trim()]);
    await fixture.writer.git(['push', '--quiet', '--force', fixture.remote, 'refs/tags/approve/x']);
    return oid(id.trim());
  }

  it('is good, of an unknown key, or missing, as that of a commit', async () => {
    const { opsRepo, anna, ben } = await open();
    const tag = await signed(ben);
    await opsRepo.approvalTags();
    const fingerprint = await ben.fingerprint();
    const keys = [signer('anna', anna), signer('ben@example.org', ben)];
    const good = { kind: 'good', principal: 'ben@example.org', fingerprint };
    expect(await opsRepo.verifySignature(tag, keys)).toEqual(good);
    const unknown = { kind: 'unknown-key', fingerprint };
    expect(await opsRepo.verifySignature(tag, keys.slice(0, 1))).toEqual(unknown);
    expect(await opsRepo.verifySignature(tag, [])).toEqual(unknown);
    const bare = await forge(tag, (raw) => raw.slice(0, raw.indexOf('-----BEGIN')));
    await opsRepo.approvalTags();
    expect(await opsRepo.verifySignature(bare, keys)).toEqual({ kind: 'unsigned' });
  });

  it('is bad where the tag says something else now, and covers nothing that stands behind it', async () => {
    const { opsRepo, anna } = await open();
    const tag = await signed(anna, 'blob: 1\n');
    const changed = await forge(tag, (raw) => raw.replace('blob: 1', 'blob: 2'));
    await opsRepo.approvalTags();
    expect(await opsRepo.verifySignature(changed, [signer('anna', anna)])).toEqual({ kind: 'bad' });
    await forge(tag, (raw) => `${raw}blob: 2\n`);
    const [behind] = await opsRepo.approvalTags();
    expect(behind?.message).toBe('blob: 1\n');
  });

  it('made for another purpose than git does not count', async () => {
    const { opsRepo, anna } = await open();
    const tag = await signed(anna);
    const raw = await fixture.writer.git(['cat-file', 'tag', tag]);
    const signature = await anna.sign(raw.slice(0, raw.indexOf('-----BEGIN')), 'file');
    const forged = await forge(tag, (old) => `${old.slice(0, old.indexOf('-----BEGIN'))}${signature}`);
    await opsRepo.approvalTags();
    expect(await opsRepo.verifySignature(forged, [signer('anna', anna)])).toEqual({ kind: 'bad' });
  });

  it('of OpenPGP, or that is none at all, is no verdict about anybody', async () => {
    const { opsRepo, anna } = await open();
    const tag = await signed(anna);
    const end = '-----BEGIN PGP SIGNATURE-----\n\niQEzBAABCAAdFiEE\n-----END PGP SIGNATURE-----\n';
    const pgp = await forge(tag, (raw) => `${raw}${end}`);
    await opsRepo.approvalTags();
    const keys = [signer('anna', anna)];
    expect(await opsRepo.verifySignature(pgp, keys)).toEqual({ kind: 'unknown-key', fingerprint: null });
    const cut = await forge(tag, (raw) => raw.slice(0, raw.indexOf('SIGNATURE-----\n') + 30));
    await opsRepo.approvalTags();
    expect(await opsRepo.verifySignature(cut, keys)).toEqual({ kind: 'bad' });
  });
});

function fail(): never {
  throw new Error('the tag is not there');
}

/** A folder with git and without ssh-keygen. */
async function linkGit(folder: string): Promise<void> {
  const real = execFileSync('sh', ['-c', 'command -v git'], { encoding: 'utf8' }).trim();
  await mkdir(folder);
  await symlink(real, path.join(folder, 'git'));
}
