import { describe, expect, it } from 'vitest';
import { Judgements } from '../../../src/daemon/judgements.ts';
import type { RuleVerdict } from '../../../src/domain/verdict.ts';
import { TransientError } from '../../../src/errors.ts';
import { NOBODY, StoryBench } from '../../fakes/story-bench.ts';
import { stubForge } from '../../fakes/stub-forge.ts';

const never = new AbortController().signal;
const EVIDENCE = {
  rule: 'rule',
  by: 'branch',
  what: 'was pushed',
  commit: 'c'.repeat(40),
  at: '2026-03-31T12:00:00Z',
  person: null,
  formulaBlob: null,
};
const needed = { ...NOBODY, all: ['rule'] };
const settings = { requirements: { low: needed, medium: needed, high: needed } };

async function setUp(verdict: () => RuleVerdict | Error, { forge = false } = {}) {
  const bench = new StoryBench();
  bench.addAction('a');
  let asked = 0;
  const evaluate = async (): Promise<RuleVerdict> => {
    asked += 1;
    const told = verdict();
    if (told instanceof Error) throw told;
    return told;
  };
  bench.rules.set('rule', { name: 'rule', countsPeople: false, evaluate });
  const process = bench.process({ settings });
  const context = await process.context();
  let world = context.world();
  const judgements = new Judgements({ ...context, world: () => world, forge: forge ? stubForge({}) : null });
  const judge = async () => {
    world = await process.watcher.look();
    return judgements.all([...world.candidates.values()], world, never);
  };
  return { bench, judge, judgements, asked: () => asked };
}

const allowed: RuleVerdict = { kind: 'met', evidence: [EVIDENCE] };
const waits: RuleVerdict = { kind: 'waiting', code: 'ERR_NEEDS_APPROVAL', message: 'nobody yet' };

describe('judgements', () => {
  it('hold for ten seconds while the world is the same, and not longer', async () => {
    const { bench, judge, asked } = await setUp(() => waits);
    expect((await judge()).waiting.get('a')?.code).toBe('ERR_NEEDS_APPROVAL');
    bench.clock.advance(9999);
    expect([(await judge()).waiting.size, asked()]).toEqual([1, 1]);
    bench.clock.advance(1);
    await judge();
    expect(asked()).toBe(2);
  });

  it('are taken again as soon as something of the action is another one, and not for the push of anything else', async () => {
    const { bench, judge, asked } = await setUp(() => waits);
    await judge();
    bench.repo.commitFiles({ README: 'x' });
    bench.addAction('b', { not_before: '2027-01-01T00:00:00Z' });
    await judge();
    expect(asked()).toBe(2);
    bench.addAction('a', { priority: 7 });
    await judge();
    expect(asked()).toBe(3);
    bench.addFormula('other');
    await judge();
    expect(asked()).toBe(5);
    bench.repo.commitFiles({ 'vault/actions/a.cancel.toml': 'reason = "no"\n' });
    await judge();
    expect(asked()).toBeGreaterThan(5);
  });

  it('are taken again when the result of a dependency is there', async () => {
    const { bench, judge } = await setUp(() => allowed);
    bench.addAction('a', { depends_on: ['b'] });
    expect((await judge()).waiting.get('a')?.code).toBe('ERR_DEPENDENCY_WAITING');
    bench.repo.commitFiles({ 'vault/actions/b.result.json': '{}' });
    expect((await judge()).ended).toMatchObject([{ reason: { code: 'ERR_DEPENDENCY_FAILED' } }]);
  });

  it('are taken again at the time that they name, however long they were kept', async () => {
    const { bench, judge } = await setUp(() => allowed, { forge: true });
    bench.addAction('a', { not_before: '2026-03-31T22:00:00.000Z' });
    for (let minutes = 0; minutes < 600; minutes += 20) {
      expect((await judge()).waiting.get('a')?.code).toBe('ERR_NOT_BEFORE');
      bench.clock.advance(20 * 60_000);
    }
    expect((await judge()).ready).toHaveLength(1);
  });

  it('are taken ever more rarely where a forge is asked, every ten minutes at last, or on a hint (R20)', async () => {
    const { bench, judge, judgements, asked } = await setUp(() => waits, { forge: true });
    const polls = async (minutes: number) => {
      const before = asked();
      for (let times = 0; times < minutes * 12; times += 1) {
        await judge();
        bench.clock.advance(5000);
      }
      return asked() - before;
    };
    expect(await polls(5)).toBe(30);
    await polls(12 * 60);
    expect(await polls(60)).toBeLessThanOrEqual(9);
    await judge();
    const before = asked();
    for (let times = 0; times < 100; times += 1) {
      judgements.hint();
      bench.clock.advance(1);
      await judge();
    }
    expect(asked() - before).toBe(1);
  });

  it('are taken once more when the ten seconds after a hint are over, if another one came in them (R18)', async () => {
    let verdict: RuleVerdict = waits;
    const { bench, judge, judgements } = await setUp(() => verdict, { forge: true });
    for (let minutes = 0; minutes < 600; minutes += 20) {
      await judge();
      bench.clock.advance(20 * 60_000);
    }
    judgements.hint();
    await judge();
    bench.clock.advance(4000);
    verdict = allowed;
    judgements.hint();
    const early = await judge();
    bench.clock.advance(6000);
    expect([early.ready.length, (await judge()).ready.length]).toEqual([0, 1]);
  });

  it('never keep an outage (E2)', async () => {
    const { judge, asked } = await setUp(() => new TransientError('ERR_GIT_UNAVAILABLE', 'away'));
    await judge();
    await judge();
    expect(asked()).toBe(2);
  });

  it('see a wish to cancel at once', async () => {
    const { bench, judge } = await setUp(() => waits);
    await judge();
    await bench.control.requestStop('a', { kind: 'cancel', by: 'Jo', message: 'no' });
    expect((await judge()).ended).toMatchObject([{ outcome: 'cancelled', reason: { by: 'Jo' } }]);
  });
});
