import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { createFirstParents } from '../../../src/approvals/shared/first-parents.ts';
import type { Oid } from '../../../src/domain/ids.ts';
import { MemoryOpsRepo } from '../../fakes/memory-ops-repo.ts';

let repo: MemoryOpsRepo;

beforeEach(() => {
  repo = new MemoryOpsRepo();
});

/** A line of so many commits on top of `from`. */
function line(length: number, from?: Oid): Oid[] {
  const commits: Oid[] = from === undefined ? [] : [from];
  for (let at = 0; at < length; at += 1)
    commits.push(repo.make(commits.slice(-1), { [`f${at}`]: `${commits.length}` }));
  return commits;
}

const tipOf = (commits: readonly Oid[]): Oid => commits.at(-1) as Oid;

describe('the first-parent line', () => {
  it('is told from a commit on, oldest first, up to the tip or to the most asked for', async () => {
    const commits = line(6);
    const parents = createFirstParents(repo);
    expect(await parents.after(commits[1] as Oid, tipOf(commits), 50)).toEqual(commits.slice(2));
    expect(await parents.after(commits[1] as Oid, tipOf(commits), 2)).toEqual(commits.slice(2, 4));
    expect(await parents.after(tipOf(commits), tipOf(commits), 50)).toEqual([]);
  });

  it('leaves out what came in on the merged side, and a commit of that side has nothing after it', async () => {
    const [base] = line(1) as [Oid];
    const theirs = repo.make([base], { theirs: '1' });
    const ours = repo.make([base], { ours: '1' });
    const merge = repo.merge(ours, theirs);
    const parents = createFirstParents(repo);
    expect(await parents.after(base, merge, 50)).toEqual([ours, merge]);
    expect(await parents.after(theirs, merge, 50)).toEqual([]);
  });

  it('reads only what is new when the branch moves on', async () => {
    const commits = line(30);
    const parents = createFirstParents(repo);
    await parents.after(commits[0] as Oid, tipOf(commits), 1);
    const next = line(2, tipOf(commits));
    repo.calls.length = 0;
    await parents.after(commits[0] as Oid, tipOf(next), 1);
    expect(repo.calls.filter((call) => call.startsWith('commit'))).toHaveLength(2);
  });

  it('forgets a line that was rewritten', async () => {
    const commits = line(5);
    const parents = createFirstParents(repo);
    await parents.after(commits[1] as Oid, tipOf(commits), 50);
    const other = line(2, commits[2]).slice(1);
    expect(await parents.after(commits[1] as Oid, tipOf(other), 50)).toEqual([commits[2], ...other]);
    expect(await parents.after(commits[3] as Oid, tipOf(other), 50)).toEqual([]);
  });

  it('is the same whatever was asked before (R3)', async () => {
    const commits = line(12);
    const asks = fc.array(fc.tuple(fc.nat(11), fc.nat(11), fc.integer({ min: 1, max: 12 })), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(asks, async (given) => {
        const parents = createFirstParents(repo);
        for (const [from, tip, most] of given) {
          const found = await parents.after(commits[from] as Oid, commits[tip] as Oid, most);
          expect(found).toEqual(commits.slice(from + 1, tip + 1).slice(0, most));
        }
      }),
      { numRuns: 60 },
    );
  });
});
