import { execFile } from 'node:child_process';
import { chmod, copyFile, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import type { OpsRepoOptions } from '../../src/adapters/ops-repo/branch.ts';
import { publicKeyOf } from '../../src/adapters/ops-repo/signing-key.ts';
import type { OpsRepo } from '../../src/ports/ops-repo.ts';
import { GitHttpServer } from '../fakes/git-http-server.ts';
import { createSigningKey, installHook, type SigningKey, Writer } from '../fakes/git-repo.ts';
import { OpsRepoFixture } from '../fakes/ops-repo.ts';

let fixture: OpsRepoFixture;
afterEach(() => fixture.close());

async function open(changes: Partial<OpsRepoOptions> = {}) {
  fixture = await OpsRepoFixture.create();
  const key = await createSigningKey(path.join(fixture.dir, 'keys'), 'edge');
  return { key, opsRepo: await fixture.open({ signingKeyFile: key.file, ...changes }) };
}

const publish = (opsRepo: OpsRepo, id: string) =>
  opsRepo.publish({ path: `vault/actions/${id}.result.json`, content: Buffer.from(`${id}\n`) }, `${id}: succeeded\n`);

const signers = (key: SigningKey) => [{ principal: 'edge', key: key.publicKey }];

/** A run of ssh-keygen that changes the key's file. */
const changeKey = (key: SigningKey, ...args: string[]) =>
  promisify(execFile)('ssh-keygen', ['-q', '-p', '-f', key.file, ...args]);

describe('result commits', () => {
  it('are signed with the configured key (R3)', async () => {
    const { key, opsRepo } = await open();
    await publish(opsRepo, 'a');
    const { tip } = await opsRepo.refresh();
    const fingerprint = await key.fingerprint();
    expect(await opsRepo.verifySignature(tip, signers(key))).toEqual({ kind: 'good', principal: 'edge', fingerprint });
    expect(await opsRepo.commit(tip)).toMatchObject({ subject: 'a: succeeded', author: { name: 'Edge Dispatcher' } });
  });

  it('are not signed without a key', async () => {
    const { key, opsRepo } = await open({ signingKeyFile: '' });
    await publish(opsRepo, 'a');
    const { tip } = await opsRepo.refresh();
    expect(await opsRepo.verifySignature(tip, signers(key))).toEqual({ kind: 'unsigned' });
  });

  it('are signed anew when they are made again on a branch that moved', async () => {
    const { key, opsRepo } = await open();
    await opsRepo.refresh();
    const other = await Writer.open(fixture.remote, path.join(fixture.dir, 'other.git'));
    const theirs = await other.commit({ other: 'other\n' });
    await other.push({ to: 'refs/heads/waiting' });
    const move = `env -u GIT_QUARANTINE_PATH git update-ref refs/heads/main ${theirs}`;
    await installHook(fixture.remote, 'pre-receive', `if [ ! -e moved ]; then touch moved; ${move}; fi`);
    await publish(opsRepo, 'a');
    const { tip } = await opsRepo.refresh();
    expect(await opsRepo.commit(tip)).toMatchObject({ parents: [theirs] });
    expect(await opsRepo.verifySignature(tip, signers(key))).toMatchObject({ kind: 'good' });
  });

  it('are signed where many become one and its answer is lost', async () => {
    fixture = await OpsRepoFixture.create();
    const key = await createSigningKey(path.join(fixture.dir, 'keys'), 'edge');
    const server = await GitHttpServer.start({ root: fixture.dir });
    fixture.onClose(() => server.close());
    const opsRepo = await fixture.open({ signingKeyFile: key.file, url: `${server.origin}/remote.git` });
    server.dropPushAnswers = 1;
    const answers = await Promise.all(['a', 'b', 'c'].map((id) => publish(opsRepo, id)));
    const { tip } = await opsRepo.refresh();
    expect(answers).toEqual([1, 2, 3].map(() => ({ kind: 'landed', commit: tip })));
    expect(await opsRepo.verifySignature(tip, signers(key))).toMatchObject({ kind: 'good' });
  });
});

describe('a key that can not sign', () => {
  it.each([
    ['is gone', 'is not there', (key: SigningKey) => rm(key.file)],
    ['may be read by others', 'by others', (key: SigningKey) => chmod(key.file, 0o644)],
    ['has a passphrase', 'passphrase', (key: SigningKey) => changeKey(key, '-N', 'long enough', '-P', '')],
  ])('because it %s holds everything back, and says so without its content', async (_, words, spoil) => {
    const { key, opsRepo } = await open();
    const { tip } = await opsRepo.refresh();
    const content = await readFile(key.file, 'utf8');
    await spoil(key);
    const error: unknown = await publish(opsRepo, 'a').catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'StalledError', code: 'ERR_SIGNING_KEY' });
    expect(String(error)).toContain(words);
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain(content.split('\n')[1]);
    expect((await opsRepo.refresh()).tip).toBe(tip);
    await expect(publicKeyOf(key.file)).rejects.toMatchObject({ code: 'ERR_SIGNING_KEY' });
  });

  it('is mended without a new start', async () => {
    const { key, opsRepo } = await open();
    await chmod(key.file, 0o640);
    await expect(publish(opsRepo, 'a')).rejects.toMatchObject({ code: 'ERR_SIGNING_KEY' });
    await chmod(key.file, 0o600);
    expect(await publish(opsRepo, 'a')).toMatchObject({ kind: 'landed' });
  });
});

describe('another key in the file', () => {
  it('signs nothing, until the one of the start is back or it is the one of a new start', async () => {
    const { key } = await open();
    const other = await createSigningKey(path.join(fixture.dir, 'keys'), 'other');
    const kept = path.join(fixture.dir, 'keys', 'kept');
    await copyFile(key.file, kept);
    // One of another key beside it would stop ssh-keygen by itself.
    await rm(`${key.file}.pub`);
    const start = (publicKey: string) => fixture.open({ signingKeyFile: key.file, signingPublicKey: publicKey });
    const opsRepo = await start(key.publicKey);
    expect(await publish(opsRepo, 'a')).toMatchObject({ kind: 'landed' });
    const { tip } = await opsRepo.refresh();

    await copyFile(other.file, key.file);
    await expect(publish(opsRepo, 'b')).rejects.toMatchObject({
      name: 'StalledError',
      code: 'ERR_SIGNING_KEY',
      message: expect.stringMatching(/was changed$/),
      hint: expect.stringContaining('result_keys'),
    });
    expect((await opsRepo.refresh()).tip).toBe(tip);

    await copyFile(kept, key.file);
    expect(await publish(opsRepo, 'b')).toMatchObject({ kind: 'landed' });
    await copyFile(other.file, key.file);
    await opsRepo.close();
    const restarted = await start(other.publicKey);
    expect(await publish(restarted, 'c')).toMatchObject({ kind: 'landed' });
    expect(await restarted.verifySignature((await restarted.refresh()).tip, signers(other))).toMatchObject({
      kind: 'good',
    });
  });
});

describe('the public key', () => {
  it('is derived from the private one, without its comment', async () => {
    const { key } = await open();
    expect(await publicKeyOf(key.file)).toBe(key.publicKey);
  });

  it('is not had where ssh-keygen can not be run, which is no fault of the key', async () => {
    const { key } = await open();
    const answer = publicKeyOf(key.file, fixture.dir);
    await expect(answer).rejects.toMatchObject({ name: 'TransientError', code: 'ERR_GIT_UNAVAILABLE' });
  });
});
