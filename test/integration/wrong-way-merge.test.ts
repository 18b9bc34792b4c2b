import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemClock } from '../../src/adapters/clock.ts';
import { openOpsRepo } from '../../src/adapters/ops-repo/branch.ts';
import type { OpsRepo } from '../../src/ports/ops-repo.ts';
import { createRemote, temporaryFolder, Writer } from '../fakes/git-repo.ts';

/*
 * A merge made the wrong way round (`git pull`, then a push) is a plain fast-forward, but it moves what stood on the
 * first-parent line to its side. The gated walk would then find an older policy in force.
 */

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let writer: Writer;
let opsRepo: OpsRepo;

beforeEach(async () => {
  folder = await temporaryFolder();
  const remote = await createRemote(path.join(folder.dir, 'ops.git'));
  writer = await Writer.open(remote, path.join(folder.dir, 'writer.git'));
  await writer.commit({ 'vault/policy.toml': '[tiers]\n', 'vault/formulas/a.toml': 'one\n' });
  await writer.push();
  opsRepo = await openOpsRepo(
    {
      url: remote,
      branch: 'main',
      dir: path.join(folder.dir, 'cache'),
      acceptedTipFile: path.join(folder.dir, 'accepted-tip'),
      gated: ['vault/policy.toml', 'vault/formulas'],
      username: '',
      tokenFile: '',
      sshKeyFile: '',
      knownHostsFile: '',
      author: 'edge-dispatcher <edge-dispatcher@localhost>',
      timeoutMs: 20_000,
      pushSpacingMs: 0,
    },
    systemClock,
  );
});
afterEach(async () => {
  await opsRepo.close();
  await folder.remove();
});

/** The branch gets `theirs`; somebody who had not fetched commits `ours` and merges the branch into that. */
async function mergeWrongWay(theirs: Record<string, string>, ours: Record<string, string>): Promise<void> {
  await writer.checkout('mine', 'main');
  await writer.checkout('main');
  await writer.commit(theirs);
  await writer.push();
  expect((await opsRepo.refresh()).descends).toBe(true);
  await writer.checkout('mine');
  await writer.commit(ours);
  await writer.merge('main');
  await writer.push({ to: 'refs/heads/main' });
}

it('R22: a merge that takes a change of the policy off the first-parent line stops dispatching', async () => {
  await mergeWrongWay({ 'vault/policy.toml': '[tiers]\na = "high"\n' }, { 'notes.md': 'a note\n' });
  expect((await opsRepo.refresh()).descends).toBe(false);
});

it('R22: the same merge after nothing gated has changed is let pass, as an innocent pull and push', async () => {
  await mergeWrongWay({ 'vault/actions/x.toml': 'an action\n' }, { 'notes.md': 'a note\n' });
  expect((await opsRepo.refresh()).descends).toBe(true);
});
