import { describe, expect, it } from 'vitest';
import { Judgements } from '../../../src/daemon/judgements.ts';
import type { RuleVerdict } from '../../../src/domain/verdict.ts';
import { TransientError } from '../../../src/errors.ts';
import { NOBODY, StoryBench } from '../../fakes/story-bench.ts';

const never = new AbortController().signal;
const needed = { ...NOBODY, all: ['rule'] };
const settings = { requirements: { low: needed, medium: needed, high: needed } };

async function setUp(verdict: () => RuleVerdict | Error) {
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
  const judgements = new Judgements(await process.context());
  const judge = async () => {
    const world = await process.watcher.look();
    return judgements.all([...world.candidates.values()], world, never);
  };
  return { bench, judge, asked: () => asked };
}

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

  it('are taken again as soon as the world is another one', async () => {
    const { bench, judge, asked } = await setUp(() => waits);
    await judge();
    bench.repo.commitFiles({ README: 'x' });
    await judge();
    expect(asked()).toBe(2);
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
