import { describe, expect, it } from 'vitest';
import { ACTION, CANCEL, CancelBench, doubts, forgeIsAway, jane, REASON } from '../../fakes/cancel-bench.ts';
import type { Content } from '../../fakes/memory-ops-repo-simple.ts';
import { action, StoryBench } from '../../fakes/story-bench.ts';

/** So that it waits for ever, and is judged again and again. */
const LATER = { not_before: '2027-01-01T00:00:00Z' };

describe('a cancel file of a waiting action', () => {
  it('stops it for good where its tier needs nobody, and its reason is the reason (R9)', async () => {
    const bench = new StoryBench();
    bench.addAction('a', LATER);
    bench.repo.commitFiles({ [CANCEL]: REASON });
    await bench.once();
    expect(bench.result('a')).toMatchObject({
      outcome: 'cancelled',
      exit_code: 130,
      attempt: null,
      reason: { code: 'ERR_CANCELLED', message: 'not needed any more', by: 'branch' },
    });
  });

  it('counts in whatever folder the action lies, and only beside it', async () => {
    const bench = new StoryBench();
    bench.repo.commitFiles({
      'vault/actions/2026/a.toml': action('a', LATER),
      [ACTION.replace('a.', 'b.')]: action('b'),
    });
    bench.repo.commitFiles({ [CANCEL]: REASON, 'vault/actions/2026/b.cancel.toml': REASON });
    await bench.once();
    expect([bench.repo.textAt('vault/actions/2026/a.result.json'), bench.result('b')?.outcome]).toEqual([
      null,
      'succeeded',
    ]);
    bench.repo.commitFiles({ 'vault/actions/2026/a.cancel.toml': REASON });
    await bench.once();
    expect(bench.repo.textAt('vault/actions/2026/a.result.json')).toContain('"cancelled"');
  });

  it('counts when its own bytes at its own path are approved as the action has to be', async () => {
    const bench = new CancelBench();
    bench.addAction('a');
    bench.cancel();
    const { log } = await bench.judged();
    expect([bench.result('a'), doubts({ log })]).toEqual([
      null,
      [
        {
          id: 'a',
          path: CANCEL,
          code: 'ERR_CANCEL_UNAPPROVED',
          reason: expect.stringMatching(/^cancel request is not approved: .*jo has not looked/),
        },
      ],
    ]);
    bench.approved.add(CANCEL);
    await bench.judged();
    expect(bench.result('a')).toMatchObject({ outcome: 'cancelled', reason: { by: 'Jo' } });
    const blob = (await bench.repo.entryAt(bench.repo.tip, CANCEL))?.oid;
    expect(bench.asked.filter(({ path }) => path === CANCEL).at(-1)).toMatchObject({
      blob,
      formulaPath: null,
      setBy: { commit: expect.any(String) },
    });
  });

  it('counts from the author of an action that nobody has approved', async () => {
    const bench = new CancelBench();
    bench.pushedBy(jane);
    bench.addAction('a');
    bench.cancel();
    await bench.judged();
    expect(bench.result('a')).toMatchObject({ outcome: 'cancelled', exit_code: 130, reason: { by: 'jane' } });
  });

  it.each<[string, (bench: CancelBench) => void]>([
    ['in the same commit', (bench) => bench.repo.commitFiles({ [ACTION]: action('a', LATER), [CANCEL]: REASON })],
    [
      'before the action',
      (bench) => {
        bench.cancel();
        bench.addAction('a', LATER);
      },
    ],
    [
      'before the action got its present bytes',
      (bench) => {
        bench.addAction('a');
        bench.cancel();
        bench.addAction('a', LATER);
      },
    ],
  ])('does not count %s, whoever approves it', async (_when, commit) => {
    const bench = new CancelBench();
    bench.approved.add(CANCEL);
    bench.pushedBy(jane);
    commit(bench);
    const { log } = await bench.judged();
    expect([bench.result('a'), doubts({ log }).map(({ reason }) => reason)]).toEqual([
      null,
      ['cancel request was not committed after the action'],
    ]);
    bench.cancel('reason = "once more"\n');
    await bench.judged();
    expect(bench.result('a')?.reason?.message).toBe('once more');
  });

  it.each<[string, Content, RegExp]>([
    ['no TOML', 'reason', /is invalid: /],
    ['another field', `${REASON}id = "a"\n`, /is invalid: id is no field/],
    ['hidden text', 'reason = "\\u202e"', /U\+202E/],
    ['a link', { kind: 'symlink' }, /is a symlink/],
    ['far too much', 'x'.repeat((1 << 20) + 1), /is invalid: /],
  ])('with %s changes nothing, and is told', async (_what, content, message) => {
    const bench = new StoryBench();
    bench.addAction('a');
    bench.repo.commitFiles({ [CANCEL]: content });
    const { log } = await bench.once();
    expect(bench.result('a')?.outcome).toBe('succeeded');
    expect(doubts({ log })).toMatchObject([{ code: 'ERR_CANCEL_INVALID', reason: expect.stringMatching(message) }]);
  });

  it('that is removed before it counts is withdrawn', async () => {
    const bench = new CancelBench();
    bench.addAction('a', LATER);
    bench.cancel();
    const process = await bench.judged();
    bench.cancel(null);
    bench.approved.add(CANCEL);
    await bench.judged(process);
    expect(bench.result('a')).toBeNull();
  });

  it('leaves an invalid action its own end', async () => {
    const bench = new StoryBench();
    bench.addAction('a', { formula: 'nowhere' });
    bench.repo.commitFiles({ [CANCEL]: REASON });
    await bench.once();
    expect(bench.result('a')).toMatchObject({ outcome: 'invalid', reason: { code: 'ERR_FORMULA_UNKNOWN' } });
  });

  it('of an id that has ended does nothing at all', async () => {
    const bench = new StoryBench();
    bench.addAction('a');
    await bench.once();
    bench.repo.commitFiles({ [CANCEL]: REASON });
    const tip = bench.repo.tip;
    const { log } = await bench.once();
    expect([bench.repo.tip === tip, doubts({ log }), bench.result('a')?.outcome]).toEqual([true, [], 'succeeded']);
  });

  it('on a branch that was rewritten waits until that is accepted', async () => {
    const bench = new StoryBench();
    bench.addAction('a');
    bench.repo.commitFiles({ [CANCEL]: REASON });
    bench.repo.descends = false;
    await bench.once();
    expect(bench.result('a')).toBeNull();
    bench.repo.descends = true;
    await bench.once();
    expect(bench.result('a')?.outcome).toBe('cancelled');
  });

  it('is judged every few seconds while nothing changes, and said once', async () => {
    const bench = new CancelBench();
    bench.addAction('a', LATER);
    bench.cancel();
    const { daemon, log } = bench.start();
    const stop = new AbortController();
    const over = daemon.run(stop.signal);
    await bench.pass(3000);
    bench.asked.length = 0;
    await bench.pass(100_000);
    stop.abort();
    await bench.drive(over);
    const times = bench.asked.filter(({ path }) => path === CANCEL).length;
    expect(times).toBeGreaterThan(2);
    expect(times).toBeLessThanOrEqual(20);
    expect(doubts({ log })).toHaveLength(1);
  });

  it('is no verdict while the forge is away: asked again, and told as an outage', async () => {
    const bench = new CancelBench();
    bench.pushedBy(jane);
    bench.addAction('a', LATER);
    bench.cancel();
    const process = bench.start();
    process.gate.fail('forge.pusherOf', forgeIsAway, { times: 1 });
    await bench.judged(process);
    expect([bench.result('a'), doubts(process)]).toMatchObject([
      null,
      [{ code: 'ERR_FORGE_UNAVAILABLE', reason: 'cancel request cannot be judged now: the forge does not answer' }],
    ]);
    await bench.pass(10_000);
    await bench.judged(process);
    expect(bench.result('a')?.reason?.by).toBe('jane');
  });
});
