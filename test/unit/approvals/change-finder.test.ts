import { beforeEach, describe, expect, it } from 'vitest';
import { createChangeFinder } from '../../../src/approvals/shared/change-finder.ts';
import type { Oid } from '../../../src/domain/ids.ts';
import { TransientError } from '../../../src/errors.ts';
import { TERMS } from '../../fakes/approval-rules.ts';
import { ManualClock } from '../../fakes/manual-clock.ts';
import { account, MemoryForge, openChange } from '../../fakes/memory-forge.ts';
import { MemoryOpsRepo } from '../../fakes/memory-ops-repo.ts';

const PATH = 'vault/actions/a.toml';
const [ada, mallory] = [account(1, 'ada'), account(66, 'mallory')];

let repo: MemoryOpsRepo;
let forge: MemoryForge;
/** The commit of Ada that set the action, and the last one of her change, as a rebase leaves them on the branch. */
let set: Oid;
let last: Oid;

beforeEach(() => {
  repo = new MemoryOpsRepo();
  forge = new MemoryForge();
  set = repo.make([repo.make([], { README: 'hello' })], { [PATH]: 'an action' });
  last = repo.make([set], { 'notes.md': 'a note' });
});

function merged(number: number, commit: Oid, given: { by: typeof ada; files: string[]; base?: string }): void {
  const { by: author, files, base = 'main' } = given;
  forge.put({ change: openChange(number, commit, { author, base }), files });
  forge.merge(number, commit);
}

async function openerOf(setter: Oid, tip = last): Promise<string | null> {
  const clock = new ManualClock();
  const finder = createChangeFinder({ opsRepo: repo, forge, clock }, TERMS);
  return (await finder?.of(setter, { path: PATH, tip }))?.author.login ?? null;
}

describe('who opened the change that brought an action', () => {
  it('is known by the commit of its merge', async () => {
    merged(2, set, { by: ada, files: [PATH] });
    expect(await openerOf(set)).toBe('ada');
  });

  it('is known when the forge maps a later commit of the same change, as after a rebase of several', async () => {
    merged(2, last, { by: ada, files: [PATH, 'notes.md'] });
    expect(await openerOf(set)).toBe('ada');
  });

  it('is nobody who marked an older change of the own as merged with that commit (R1)', async () => {
    // The lowest number wins, and a change that is marked by hand shows no files.
    merged(1, set, { by: mallory, files: [] });
    merged(2, last, { by: ada, files: [PATH, 'notes.md'] });
    expect(await openerOf(set)).not.toBe('mallory');
  });

  it('is nobody whose change was merged after a direct push, or into another branch', async () => {
    merged(1, last, { by: mallory, files: ['notes.md'] });
    expect(await openerOf(set)).toBe(null);
    merged(1, set, { by: mallory, files: [PATH], base: 'side' });
    expect(await openerOf(set)).toBe(null);
  });

  it('is not told while the forge does not know the commit', async () => {
    forge.unknown.add(set);
    await expect(openerOf(set)).rejects.toThrow(TransientError);
  });

  it('is asked of nobody without a forge', () => {
    expect(createChangeFinder({ opsRepo: repo, forge: null, clock: new ManualClock() }, TERMS)).toBe(null);
  });
});
