import { describe, expect, it } from 'vitest';
import { TransientError } from '../../../src/errors.ts';
import type { World } from '../../../src/story/world.ts';
import { action, StoryBench } from '../../fakes/story-bench.ts';

const ids = (world: World) => [...world.candidates.keys()];
const path = (id: string) => `vault/actions/${id}.toml`;

function setUp() {
  const bench = new StoryBench();
  bench.addAction('a');
  return { bench, ...bench.process() };
}

describe('a look at the world', () => {
  it('asks the journal before the branch, because a result lands before its tombstone (R11)', async () => {
    const { watcher, gate } = setUp();
    await watcher.look();
    expect(gate.calls.slice(0, 2)).toEqual(['journal.refresh', 'opsRepo.refresh']);
  });

  it('is the very same world, for two requests, while nothing has changed (R17)', async () => {
    const { watcher, gate } = setUp();
    const first = await watcher.look();
    gate.calls.length = 0;
    expect(await watcher.look()).toBe(first);
    expect(gate.calls).toEqual(['journal.refresh', 'opsRepo.refresh']);
  });

  it('is another one when branch, journal or history changes', async () => {
    const { bench, watcher } = setUp();
    const worlds = [await watcher.look()];
    bench.addAction('b');
    worlds.push(await watcher.look());
    bench.journal.change(() => undefined);
    worlds.push(await watcher.look());
    bench.repo.descends = false;
    worlds.push(await watcher.look());
    expect(new Set(worlds).size).toBe(4);
    expect(worlds[3]?.tips.descends).toBe(false);
  });

  it('costs what changed: neither a full listing nor the history is read again', async () => {
    const { bench, watcher, gate } = setUp();
    await watcher.look();
    gate.calls.length = 0;
    bench.addAction('b');
    expect(ids(await watcher.look())).toEqual(['a', 'b']);
    expect(gate.calls).not.toContain('opsRepo.list');
    expect(gate.calls).not.toContain('opsRepo.lastChanged');
  });

  it('knows the commit that set the present bytes of each action', async () => {
    const { bench, watcher } = setUp();
    const first = (await watcher.look()).candidates.get('a' as never)?.commit;
    bench.clock.advance(1000);
    const second = bench.repo.commitFiles({ [path('a')]: action('a', { context: 'other bytes' }) });
    expect((await watcher.look()).candidates.get('a' as never)).toMatchObject({
      commit: second,
      committedAt: '2026-03-31T12:00:01.000Z',
    });
    expect(first).not.toBe(second);
  });

  it('takes bytes that went away and came back for a new change (R22)', async () => {
    const { bench, watcher } = setUp();
    await watcher.look();
    bench.repo.commitFiles({ [path('a')]: null });
    const back = bench.repo.commitFiles({ [path('a')]: action('a') });
    expect((await watcher.look()).candidates.get('a' as never)?.commit).toBe(back);
  });

  it('has one candidate an id, the file that was committed first, and names the others', async () => {
    const { bench, watcher } = setUp();
    bench.clock.advance(1000);
    bench.repo.commitFiles({ 'vault/actions/2026/a.toml': action('a') });
    const candidate = (await watcher.look()).candidates.get('a' as never);
    expect([candidate?.file.path, candidate?.duplicates]).toEqual([path('a'), ['vault/actions/2026/a.toml']]);
  });

  describe('of two files of one id', () => {
    const first = path('a');
    const second = 'vault/actions/zz/a.toml';
    const junk = 'no action [';
    const candidateOf = (world: World) => world.candidates.get('a' as never);
    /** Who has been looking all the time, and who begins to. */
    const seenBy = async ({ bench, watcher }: ReturnType<typeof setUp>) =>
      [await watcher.look(), await bench.process().watcher.look()].map((world) => candidateOf(world)?.file.path);

    it('believes no date of a commit: the place in the history says which came first (R1)', async () => {
      const all = setUp();
      await all.watcher.look();
      const forged = all.bench.repo.commitFiles({ [second]: junk }, 'junk', '1970-01-01T00:00:00Z');
      expect(await seenBy(all)).toEqual([first, first]);
      expect(candidateOf(await all.watcher.look())).toMatchObject({ duplicates: [second] });
      all.bench.repo.commitFiles({ [first]: null });
      expect(await seenBy(all)).toEqual([second, second]);
      expect(candidateOf(await all.watcher.look())).toMatchObject({ commit: forged, duplicates: [] });
    });

    it('stays with the one that was there first, when it is edited after the other one came', async () => {
      const all = setUp();
      await all.watcher.look();
      all.bench.repo.commitFiles({ [second]: junk });
      const edit = all.bench.repo.commitFiles({ [first]: action('a', { context: 'other bytes' }) });
      expect(await seenBy(all)).toEqual([first, first]);
      expect(candidateOf(await all.watcher.look())).toMatchObject({ commit: edit });
    });

    it('takes the one that came second when the first one went away, though it came back', async () => {
      const all = setUp();
      all.bench.repo.commitFiles({ [second]: action('a') });
      all.bench.repo.commitFiles({ [first]: null });
      await all.watcher.look();
      all.bench.repo.commitFiles({ [first]: action('a') });
      expect(await seenBy(all)).toEqual([second, second]);
    });

    it('is not led astray by a file that was away between two looks only', async () => {
      const all = setUp();
      await all.watcher.look();
      all.bench.repo.commitFiles({ [first]: null, [second]: junk });
      all.bench.repo.commitFiles({ [first]: action('a') });
      expect(candidateOf(await all.watcher.look())?.file.path).toBe(first);
    });

    it('tells the order of several that came between two looks', async () => {
      const all = setUp();
      await all.watcher.look();
      const at = (folder: string) => `vault/actions/${folder}/b.toml`;
      for (const folder of ['y', 'x', 'z']) all.bench.repo.commitFiles({ [at(folder)]: action('b') });
      for (const world of [await all.watcher.look(), await all.bench.process().watcher.look()]) {
        const candidate = world.candidates.get('b' as never);
        expect([candidate?.file.path, candidate?.duplicates]).toEqual([at('y'), [at('x'), at('z')]]);
      }
    });

    it('costs no question more that another one came while it looked', async () => {
      const { bench, watcher, gate } = setUp();
      await watcher.look();
      gate.calls.length = 0;
      bench.repo.commitFiles({ [second]: junk });
      expect(candidateOf(await watcher.look())?.file.path).toBe(first);
      // What is new of the branch, and what is new of policy and formulas.
      expect(gate.calls.filter((call) => call === 'opsRepo.firstParentChanges')).toHaveLength(2);
    });

    it('asks git once for the order of all that a start finds, however many there are, and then no more', async () => {
      const { bench } = setUp();
      for (let n = 0; n < 200; n += 1) bench.repo.commitFiles({ [`vault/actions/${n}/a.toml`]: junk });
      const { watcher, gate } = bench.process();
      const seen = candidateOf(await watcher.look());
      expect([seen?.file.path, seen?.duplicates.slice(0, 3), seen?.duplicates.length]).toEqual([
        first,
        ['vault/actions/0/a.toml', 'vault/actions/1/a.toml', 'vault/actions/2/a.toml'],
        200,
      ]);
      gate.calls.length = 0;
      bench.repo.commitFiles({ 'vault/actions/late/a.toml': junk });
      expect(candidateOf(await watcher.look())?.duplicates.at(-1)).toBe('vault/actions/late/a.toml');
      expect(gate.calls.filter((call) => call === 'opsRepo.firstParentChanges')).toHaveLength(2);
    });

    it('asks again for the order when git could not tell it', async () => {
      const { bench } = setUp();
      bench.repo.commitFiles({ [second]: junk }, 'junk', '1970-01-01T00:00:00Z');
      const { watcher, gate } = bench.process();
      const gone = () => new TransientError('ERR_CACHE_DAMAGED', 'gone');
      // The first one is asked of policy and formulas.
      let asked = 0;
      gate.plan((call, when) => {
        if (call !== 'opsRepo.firstParentChanges' || when !== 'before') return null;
        asked += 1;
        return asked === 2 ? gone() : null;
      });
      await expect(watcher.look()).rejects.toThrow('gone');
      expect(candidateOf(await watcher.look())?.file.path).toBe(first);
    });
  });

  it('chooses the same of two files of one commit, whichever it saw first', async () => {
    const both = { 'vault/actions/x/c.toml': action('c'), 'vault/actions/c.toml': action('c') };
    const { bench, watcher } = setUp();
    await watcher.look();
    bench.repo.commitFiles(both);
    const late = await bench.process().watcher.look();
    for (const world of [await watcher.look(), late]) {
      expect(world.candidates.get('c' as never)?.file.path).toBe('vault/actions/c.toml');
    }
  });

  it('remembers every result that ever was, though it was deleted (R4)', async () => {
    const { bench, watcher } = setUp();
    const result = 'vault/actions/a.result.json';
    bench.repo.commitFiles({ [result]: '{}' });
    expect(ids(await watcher.look())).toEqual([]);
    bench.repo.commitFiles({ [result]: null });
    const [known, fresh] = [await watcher.look(), await bench.process().watcher.look()];
    for (const world of [known, fresh]) {
      expect([ids(world), world.everRecorded('a'), world.everRecorded('b')]).toEqual([['a'], true, false]);
    }
  });

  it('knows the cancel files of what is pending or live, each with the commit that set it', async () => {
    const { bench, watcher } = setUp();
    const cancel = 'vault/actions/a.cancel.toml';
    const asked = bench.repo.commitFiles({ [cancel]: 'reason = "x"\n', 'vault/actions/nobody.cancel.toml': '' });
    const seen = await watcher.look();
    expect([...seen.cancels.keys()]).toEqual([cancel]);
    expect(seen.cancels.get(cancel)).toMatchObject({ id: 'a', commit: asked });
    bench.repo.commitFiles({ [cancel]: null });
    const again = bench.repo.commitFiles({ [cancel]: 'reason = "x"\n' });
    expect((await watcher.look()).cancels.get(cancel)?.commit).toBe(again);
    bench.repo.commitFiles({ 'vault/actions/a.result.json': '{}' });
    expect([...(await watcher.look()).cancels.keys()]).toEqual([]);
    expect(seen.cancels.get(cancel)?.commit).toBe(asked);
  });

  it('sees the wish of the branch to pause', async () => {
    const { bench, watcher } = setUp();
    expect((await watcher.look()).pausedByBranch).toBe(false);
    bench.repo.commitFiles({ 'vault/PAUSE': '' });
    expect((await watcher.look()).pausedByBranch).toBe(true);
  });

  it.each(['changes', 'everAdded', 'isAncestor', 'firstParentChanges', 'lastChanged', 'entryAt', 'list'])(
    'leaves the last world as it was when %s fails, and is right at the next look (E2)',
    async (call) => {
      const { bench, watcher, gate } = setUp();
      if (call !== 'list' && call !== 'lastChanged') await watcher.look();
      bench.addAction('b');
      gate.fail(`opsRepo.${call}`, () => new TransientError('ERR_CACHE_DAMAGED', 'gone'));
      await expect(watcher.look()).rejects.toThrow('gone');
      bench.repo.commitFiles({ [path('b')]: null, [path('c')]: action('c') });
      expect(ids(await watcher.look())).toEqual(['a', 'c']);
    },
  );
});
