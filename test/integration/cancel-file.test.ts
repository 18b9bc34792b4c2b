import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Oid } from '../../src/domain/ids.ts';
import type { ApprovalRule } from '../../src/ports/approval.ts';
import type { OpsRepo } from '../../src/ports/ops-repo.ts';
import { cancelRequest } from '../../src/story/cancel-request.ts';
import { createInForce } from '../../src/story/in-force.ts';
import { pendingAction } from '../../src/story/stop-wish.ts';
import { createWatcher } from '../../src/story/world.ts';
import { allRules } from '../fakes/approval-rules.ts';
import { formulaText, policyText } from '../fakes/gated-files.ts';
import { type CommitOptions, createSigningKey, type SigningKey, type Writer } from '../fakes/git-repo.ts';
import { MemoryJournal, MemoryJournalRef } from '../fakes/memory-journal.ts';
import { OpsRepoFixture } from '../fakes/ops-repo.ts';
import { action, NOBODY, StoryBench } from '../fakes/story-bench.ts';

const ACTION = 'vault/actions/2026/a.toml';
const CANCEL = 'vault/actions/2026/a.cancel.toml';
const FILES = { [ACTION]: action('a') };
const WISH = { [CANCEL]: 'reason = "withdrawn"\n' };
const SIGNED = { ...NOBODY, all: ['signed-commit'] };

const keys = new Map<string, SigningKey>();
let fixture: OpsRepoFixture;
let writer: Writer;
let root: Oid;
let opsRepo: OpsRepo;
let rules: ReadonlyMap<string, ApprovalRule>;

/** Only Jo is an approver; the keys of Ann and Max are listed nowhere. */
beforeAll(async () => {
  fixture = await OpsRepoFixture.create();
  writer = fixture.writer;
  for (const name of ['ann', 'max', 'jo']) {
    keys.set(name, await createSigningKey(path.join(fixture.dir, 'keys'), name));
  }
  const policy = policyText([{ name: 'Jo', keys: [keys.get('jo')?.publicKey ?? ''] }], { tidy: 'high' });
  root = await writer.commit({ 'vault/policy.toml': policy, 'vault/formulas/tidy.toml': formulaText('tidy') });
  await writer.push();
  opsRepo = await fixture.open();
  // Its long-lived process is of all tests.
  await opsRepo.commit((await opsRepo.refresh()).tip);
  rules = allRules(opsRepo);
});
afterAll(() => fixture.close());

beforeEach(async () => {
  await writer.checkout('main');
  await writer.reset(root);
});

/** Commits as this person, signed with the key of that one. */
function by(name: string, key = name): CommitOptions {
  const signingKey = keys.get(key)?.file;
  const author = { name, email: `${name}@example.org` };
  return { author, ...(signingKey === undefined ? {} : { signingKey }) };
}

/** What a dispatcher says of the request, to which the branch came by force: every test begins anew. */
async function judged() {
  await writer.push({ force: true });
  await opsRepo.refresh();
  await opsRepo.acceptHistory();
  const settings = { requirements: { low: SIGNED, medium: SIGNED, high: SIGNED } };
  const paths = {
    actionsDir: 'vault/actions',
    sidecarsDir: 'vault/sidecars',
    formulasDir: 'vault/formulas',
    pauseFile: 'vault/PAUSE',
  };
  const inForce = createInForce({
    opsRepo,
    rules,
    requirement: NOBODY,
    trustedCommit: null,
    paths: { ...paths, policyFile: 'vault/policy.toml', projectFiles: [] },
  });
  const journal = new MemoryJournal(new MemoryJournalRef(), { dispatcher: 'edge-1', instance: 'start-1' });
  const world = await createWatcher({ opsRepo, journal, inForce, paths }).look();
  const context = { ...(await new StoryBench().process({ settings }).context()), opsRepo, rules, world: () => world };
  const candidate = world.candidates.get('a');
  if (candidate === undefined) throw new Error('there is no action');
  const verdict = await cancelRequest(pendingAction(candidate, context), context);
  return verdict.kind === 'counts' ? verdict.stop : verdict.kind === 'open' ? verdict.reason.message : null;
}

describe('a cancel file in a real repo', () => {
  it('counts when the key that signed the action signed it, listed or not', async () => {
    await writer.commit(FILES, by('ann'));
    await writer.commit(WISH, by('ann'));
    const fingerprint = await keys.get('ann')?.fingerprint();
    expect(await judged()).toMatchObject({ kind: 'cancel', by: `author (${fingerprint})`, message: 'withdrawn' });
  });

  it('counts when an approver signed it, as the tier of its action asks', async () => {
    await writer.commit(FILES, by('ann', 'nobody'));
    await writer.commit(WISH, by('max', 'jo'));
    expect(await judged()).toMatchObject({ by: 'Jo' });
  });

  it('does not count with another key under the name of the author', async () => {
    await writer.commit(FILES, by('ann'));
    await writer.commit(WISH, by('ann', 'max'));
    expect(await judged()).toMatch(/^cancel request is not approved: /);
  });

  it('counts from who introduced the action on a side branch, and not from who merged it', async () => {
    await writer.checkout('side', root);
    await writer.commit(FILES, by('ann'));
    await writer.checkout('main');
    await writer.commit({ README: 'goes on' }, by('max'));
    const merged = await writer.merge('refs/heads/side', {}, by('max'));
    await writer.commit(WISH, by('max'));
    expect(await judged()).toMatch(/it is not signed by the key of the author/);
    await writer.reset(merged);
    await writer.commit(WISH, by('ann'));
    expect(await judged()).toMatchObject({ kind: 'cancel' });
  });

  it('does not count when one merge brought both', async () => {
    await writer.checkout('both', root);
    await writer.commit(FILES, by('ann'));
    await writer.commit(WISH, by('ann'));
    await writer.checkout('main');
    await writer.commit({ README: 'goes on' }, by('max'));
    await writer.merge('refs/heads/both', {}, by('max'));
    expect(await judged()).toBe('cancel request was not committed after the action');
  });

  it('that was taken back does not come back with an older branch of the author', async () => {
    await writer.commit(FILES, by('ann'));
    const asked = await writer.commit(WISH, by('ann'));
    await writer.checkout('older', asked);
    await writer.commit({ README: 'on top of it' }, by('max'));
    await writer.checkout('main');
    await writer.commit({ [CANCEL]: null }, by('ann'));
    await writer.merge('refs/heads/older', WISH, by('max'));
    expect(await judged()).toMatch(/^cancel request is not approved: /);
  });
});
