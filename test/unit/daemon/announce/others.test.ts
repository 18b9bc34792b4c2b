import { describe, expect, it } from 'vitest';
import { TransientError } from '../../../../src/errors.ts';
import { AnnounceBench } from '../../../fakes/announce-bench.ts';
import { openChange } from '../../../fakes/memory-forge.ts';
import { action } from '../../../fakes/story-bench.ts';

const NOBODY = { name: 'n', email: 'n@example.org' };
const MINUTE = 60_000;
const filesOf = (id: string) => ({ [`vault/actions/${id}.toml`]: action(id) });
const asked = (bench: AnnounceBench, call: string) => bench.people.calls.filter((each) => each.startsWith(call)).length;
const away = (retryAfterMs?: number) =>
  new TransientError('ERR_FORGE_UNAVAILABLE', 'its answer can not be read', retryAfterMs ? { retryAfterMs } : {});

/** The forge fails whenever it is asked for the commits of these changes. */
function poison(bench: AnnounceBench, numbers: readonly number[], error = away()): void {
  const commits = bench.people.commits.bind(bench.people);
  bench.people.commits = async (number) => {
    const found = await commits(number);
    if (numbers.includes(number)) throw error;
    return found;
  };
}

/** With the commit at its head, as a forge lists it. */
function proposeWithCommit(bench: AnnounceBench, number: number): void {
  const files = filesOf(`a${number}`);
  const head = bench.propose(number, files);
  const commit = { oid: head, author: NOBODY, committer: NOBODY, coAuthors: [], accounts: [] };
  bench.propose(number, files, { change: { head }, commits: [commit] });
}

describe('a change that is none of our business', () => {
  it('is not fetched, however often its head moves', async () => {
    const bench = new AnnounceBench();
    const { end } = bench.announcing();
    for (const text of ['one', 'two', 'three']) {
      bench.propose(1, { 'README.md': text, 'src/big.bin': text, 'vault/actions/a.result.json': '{}' });
      await bench.pass(MINUTE);
    }
    await end();
    expect([bench.obtained, asked(bench, 'files')]).toEqual([[], 3]);
  });
});

describe('a change of which something fails', () => {
  it('rests five minutes where its head can not be fetched, and is told once that works', async () => {
    const bench = new AnnounceBench();
    const head = bench.propose(1, filesOf('a'));
    bench.propose(2, filesOf('b'));
    bench.unfetchable.add(head);
    const { end } = bench.announcing();
    await bench.pass(4 * MINUTE);
    const tries = bench.obtained.filter((commit) => commit === head).length;
    bench.unfetchable.clear();
    expect([tries, [...bench.people.comments.keys()]]).toEqual([1, [2]]);
    await bench.pass(2 * MINUTE);
    await end();
    expect(bench.people.comments.has(1)).toBe(true);
  });

  it('does not hold up the others, before or after their merge', async () => {
    const bench = new AnnounceBench();
    for (const number of [1, 2, 3, 4]) bench.propose(number, filesOf(`a${number}`));
    poison(bench, [3]);
    const { end } = bench.announcing();
    await bench.pass(MINUTE);
    bench.mergeChange(1, filesOf('a1'));
    await bench.pass(5 * MINUTE);
    await end();
    expect(bench.people.comments.get(1)?.body).toContain('**succeeded**');
    expect(bench.people.comments.size).toBeGreaterThanOrEqual(3);
    expect([...bench.people.statuses.values()].map(({ state }) => state)).toContain('success');
  });

  it('is asked about less and less often', async () => {
    const bench = new AnnounceBench();
    bench.propose(1, filesOf('a'));
    poison(bench, [1]);
    const { end } = bench.announcing();
    await bench.pass(10 * MINUTE);
    const early = asked(bench, 'commits');
    bench.people.calls.length = 0;
    await bench.pass(30 * MINUTE);
    await end();
    expect(early).toBeGreaterThan(3);
    expect(asked(bench, 'commits')).toBeLessThanOrEqual(7);
  });

  it('does not hold up the others where there are many such', async () => {
    const bench = new AnnounceBench();
    const bad = Array.from({ length: 20 }, (_, index) => index + 10);
    for (const number of [1, ...bad]) bench.propose(number, filesOf(`a${number}`));
    poison(bench, bad);
    const { end } = bench.announcing();
    await bench.pass(10 * MINUTE);
    bench.mergeChange(1, filesOf('a1'));
    await bench.pass(MINUTE);
    await end();
    expect(bench.people.comments.get(1)?.body).toContain('**succeeded**');
  });

  it('does not hold up the others while the forge can not say what was merged as some commit', async () => {
    const bench = new AnnounceBench();
    const foreign = bench.repo.commitFiles(filesOf('pushed'), 'no change');
    const changeOf = bench.people.changeOf.bind(bench.people);
    bench.people.changeOf = async (commit) => {
      const found = await changeOf(commit);
      if (commit === foreign) throw away();
      return found;
    };
    bench.propose(1, filesOf('a'));
    const { end } = bench.announcing();
    await bench.pass(MINUTE);
    await end();
    expect(bench.people.comments.has(1)).toBe(true);
  });

  it('ends the round where the second one fails too, and where the forge names a time', async () => {
    for (const [error, most] of [
      [away(), 2],
      [away(10 * MINUTE), 1],
    ] as const) {
      const bench = new AnnounceBench();
      for (const number of [1, 2, 3, 4]) bench.propose(number, filesOf(`a${number}`));
      poison(bench, [1, 2, 3, 4], error);
      const { end } = bench.announcing();
      await bench.pass(10_000);
      expect(asked(bench, 'commits')).toBe(most);
      await end();
    }
  });
});

describe('many open changes on which nothing happens', () => {
  it('are asked about less often the more there are', async () => {
    const bench = new AnnounceBench();
    for (let number = 1; number <= 20; number += 1) proposeWithCommit(bench, number);
    const { end } = bench.announcing();
    await bench.pass(10 * MINUTE);
    bench.people.calls.length = 0;
    await bench.pass(10 * MINUTE);
    await end();
    // Each every 100 seconds, or a little later.
    expect(asked(bench, 'reviews')).toBeLessThanOrEqual(120);
    expect(asked(bench, 'reviews')).toBeGreaterThanOrEqual(80);
    expect(asked(bench, 'history')).toBe(asked(bench, 'reviews'));
    expect([asked(bench, 'commits'), asked(bench, 'files')]).toEqual([0, 0]);
  });

  it('are not asked about because the branch moved', async () => {
    const bench = new AnnounceBench();
    for (let number = 1; number <= 4; number += 1) proposeWithCommit(bench, number);
    const { end } = bench.announcing();
    await bench.pass(5 * MINUTE);
    bench.people.calls.length = 0;
    for (let index = 0; index < 30; index += 1) {
      bench.repo.commitFiles({ [`README${index}.md`]: `${index}` }, 'other');
      await bench.pass(10_000);
    }
    await end();
    expect(asked(bench, 'reviews')).toBeLessThanOrEqual(4 * 5);
    expect(asked(bench, 'commits')).toBe(0);
  });

  it('are not asked for one by one where the list of the forge has no room for them', async () => {
    const bench = new AnnounceBench();
    const first = bench.propose(1, filesOf('a1'));
    for (let number = 2; number <= 10; number += 1) bench.propose(number, filesOf(`a${number}`));
    const { end } = bench.announcing();
    await bench.pass(MINUTE);
    const all = bench.people.openChanges.bind(bench.people);
    bench.people.openChanges = async (base) => (await all(base)).slice(0, 2);
    await bench.pass(10 * MINUTE);
    bench.people.put({ change: openChange(1, first, { state: 'closed' }) });
    await bench.pass(2 * MINUTE);
    await end();
    expect(asked(bench, 'change ')).toBeLessThanOrEqual(8 * 13);
    expect(bench.people.comments.get(1)?.body).toContain('closed without a merge');
  });
});
