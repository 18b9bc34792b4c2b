import { execFile } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/adapters/clock.ts';
import { signedTag } from '../../src/approvals/signed-tag.ts';
import { tagCommand, tagText } from '../../src/domain/approval-tag.ts';
import { blobOid } from '../../src/domain/ids.ts';
import { GitHttpServer } from '../fakes/git-http-server.ts';
import { createSigningKey } from '../fakes/git-repo.ts';
import { OpsRepoFixture } from '../fakes/ops-repo.ts';

let fixture: OpsRepoFixture;
afterEach(() => fixture.close());

const PATH = 'vault/actions/release.toml';
const blob = blobOid(Buffer.from('release\n'));

async function open() {
  fixture = await OpsRepoFixture.create({ README: 'ops\n' });
  const server = await GitHttpServer.start({ root: fixture.dir });
  fixture.onClose(() => server.close());
  const opsRepo = await fixture.open({ url: `${server.origin}/remote.git` });
  const key = await createSigningKey(path.join(fixture.dir, 'keys'), 'jane');
  await fixture.writer.commit({ [PATH]: 'release\n' });
  await fixture.writer.push();
  const { tip, root } = await opsRepo.refresh();
  const rule = signedTag.create({ opsRepo, clock: systemClock });
  const approvers = [{ name: 'Jane', forge: null, keys: [{ principal: 'jane@example.org', key: key.publicKey }] }];
  const subject = { path: PATH, blob, tip, formulaPath: null, approvers, selfApprove: false, fresh: true };
  return { key, rule, tip, subject, approval: { repo: root, path: PATH, blob } };
}

const removeTag = (ref: string) => fixture.writer.git(['push', '--quiet', fixture.remote, `:${ref}`]);

describe('an approval by a signed tag, with no forge at all', () => {
  it('is given by running the command that people are told, and taken back by deleting the tag (R1)', async () => {
    const { key, rule, tip, subject, approval } = await open();
    const before = await rule.evaluate(subject);
    const command = tagCommand(approval, tip);
    expect(before).toMatchObject({ kind: 'waiting', message: 'no signed tag names these bytes' });
    await fixture.writer.git(['config', 'user.signingkey', key.file]);
    await fixture.writer.git(['remote', 'add', 'origin', fixture.remote]);
    await promisify(execFile)('/bin/sh', ['-c', command], {
      env: {
        PATH: process.env['PATH'],
        USER: 'jane',
        HOME: '/nonexistent',
        GIT_CONFIG_NOSYSTEM: '1',
        GIT_DIR: fixture.writer.dir,
        GIT_COMMITTER_NAME: 'Jane',
        GIT_COMMITTER_EMAIL: 'jane@example.org',
      },
    });
    const ref = `refs/tags/approve/jane-release-${blob.slice(0, 12)}`;
    const evidence = [{ rule: 'signed-tag', by: 'Jane', what: ref, commit: tip }];
    expect(await rule.evaluate(subject)).toMatchObject({ kind: 'met', evidence });
    await removeTag(ref);
    expect(await rule.evaluate(subject)).toEqual(before);
  });

  it('is none by a tag whose text was changed after it was signed', async () => {
    const { key, rule, subject, approval } = await open();
    const text = tagText(approval.repo, 'vault/actions/harmless.toml', blob);
    await fixture.writer.tag('approve/x', { message: text, signingKey: key.file });
    const raw = await fixture.writer.git(['cat-file', 'tag', 'approve/x']);
    const forged = await fixture.writer.git(['hash-object', '-t', 'tag', '-w', '--stdin'], {
      input: raw.replace('harmless', 'release'),
    });
    await fixture.writer.git(['push', '--quiet', fixture.remote, `${forged.trim()}:refs/tags/approve/x`]);
    const message = expect.stringContaining('the signature of tag approve/x is broken');
    expect(await rule.evaluate(subject)).toMatchObject({ kind: 'waiting', message });
  });
});
