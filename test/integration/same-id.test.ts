import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Oid } from '../../src/domain/ids.ts';
import type { OpsRepo } from '../../src/ports/ops-repo.ts';
import { createInForce } from '../../src/story/in-force.ts';
import { createWatcher, type Watcher } from '../../src/story/world.ts';
import { allRules } from '../fakes/approval-rules.ts';
import type { Writer } from '../fakes/git-repo.ts';
import { MemoryJournal, MemoryJournalRef } from '../fakes/memory-journal.ts';
import { OpsRepoFixture } from '../fakes/ops-repo.ts';
import { action, NOBODY } from '../fakes/story-bench.ts';

const FIRST = 'vault/actions/a.toml';
const SECOND = 'vault/actions/zz/a.toml';
const FORGED = { date: new Date(1000) };

let fixture: OpsRepoFixture;
let writer: Writer;
let root: Oid;
let opsRepo: OpsRepo;

beforeAll(async () => {
  fixture = await OpsRepoFixture.create();
  writer = fixture.writer;
  root = await writer.commit({ README: 'ops' });
  await writer.push();
  opsRepo = await fixture.open();
  // Its long-lived process is of all tests.
  await opsRepo.commit((await opsRepo.refresh()).tip);
});
afterAll(() => fixture.close());

beforeEach(async () => {
  await writer.checkout('main');
  await writer.reset(root);
});

function newWatcher(): Watcher {
  const paths = {
    actionsDir: 'vault/actions',
    sidecarsDir: 'vault/sidecars',
    formulasDir: 'vault/formulas',
    pauseFile: 'vault/PAUSE',
  };
  const inForce = createInForce({
    opsRepo,
    rules: allRules(opsRepo),
    requirement: NOBODY,
    trustedCommit: null,
    paths: { ...paths, policyFile: 'vault/policy.toml', projectFiles: [] },
  });
  const journal = new MemoryJournal(new MemoryJournalRef(), { dispatcher: 'edge-1', instance: 'start-1' });
  return createWatcher({ opsRepo, journal, inForce, paths });
}

async function pushed(): Promise<void> {
  await writer.push({ force: true });
  await opsRepo.refresh();
  await opsRepo.acceptHistory();
}

async function candidateOf(watcher: Watcher): Promise<string | undefined> {
  return (await watcher.look()).candidates.get('a')?.file.path;
}

describe('of two actions of one id in a real repo', () => {
  it('the one that came first counts, whatever the other claims and whoever edits it (R1)', async () => {
    await writer.commit({ [FIRST]: action('a') });
    await pushed();
    const watcher = newWatcher();
    expect(await candidateOf(watcher)).toBe(FIRST);
    await writer.commit({ [SECOND]: 'no action [' }, FORGED);
    await writer.commit({ [FIRST]: action('a', { context: 'edited' }) });
    await pushed();
    expect([await candidateOf(watcher), await candidateOf(newWatcher())]).toEqual([FIRST, FIRST]);
  });

  it('the one that came first counts among more than a command line holds', async () => {
    await writer.commit({ [FIRST]: action('a') });
    const many = Array.from({ length: 150 }, (_, n) => [`vault/actions/${n}/a.toml`, 'no action ['] as const);
    await writer.commit(Object.fromEntries(many), FORGED);
    await pushed();
    expect(await candidateOf(newWatcher())).toBe(FIRST);
  });

  it('a merge made the wrong way round changes nothing for who was looking (R1)', async () => {
    await writer.commit({ [FIRST]: action('a') });
    await pushed();
    const watcher = newWatcher();
    await watcher.look();
    await writer.checkout('side', root);
    await writer.commit({ [SECOND]: 'no action [' }, FORGED);
    await writer.merge('main');
    await writer.push({ to: 'refs/heads/main' });
    expect(await candidateOf(watcher)).toBe(FIRST);
    expect((await watcher.look()).candidates.get('a')?.duplicates).toEqual([SECOND]);
  });
});
