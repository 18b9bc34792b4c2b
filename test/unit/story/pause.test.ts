import { describe, expect, it } from 'vitest';
import { TransientError } from '../../../src/errors.ts';
import { branchPause, pauseFileOf, pauseReason } from '../../../src/story/pause.ts';
import { StoryBench } from '../../fakes/story-bench.ts';

describe('why nothing new is claimed', () => {
  it('is nothing, as long as nobody asked for it', async () => {
    const context = await new StoryBench().process().context();
    expect(await pauseReason(context.world(), context)).toBeNull();
  });

  it('is who paused it since when, and how to go on', async () => {
    const bench = new StoryBench();
    await bench.control.pause('ada');
    const context = await bench.process().context();
    expect(await pauseReason(context.world(), context)).toEqual({
      code: 'ERR_PAUSED',
      message: `ada paused the dispatcher at ${bench.clock.now().toISOString()}`,
      hint: 'Run `resume` where edge-1 runs.',
      by: 'ada',
    });
  });

  it('is the commit that brought the PAUSE file, asked for once, and who says to have made it', async () => {
    const bench = new StoryBench();
    bench.repo.commitFiles({ 'vault/PAUSE': '' });
    const process = bench.process();
    const { gate } = process;
    const context = await process.context();
    const world = context.world();
    const why = await branchPause(world, context);
    expect(why).toMatchObject({ code: 'ERR_PAUSED', hint: 'Remove vault/PAUSE from main.' });
    expect(why?.message).toMatch(/^the branch holds vault\/PAUSE, of \S.* \(commit [0-9a-f]{12}, 20\d\d-/);
    const asked = gate.calls.length;
    expect(await pauseReason(world, context)).toEqual(why);
    expect(gate.calls.slice(asked).filter((call) => call.startsWith('opsRepo.'))).toEqual([]);
  });

  it('holds also while nobody can say whose it is', async () => {
    const bench = new StoryBench();
    bench.repo.commitFiles({ 'vault/PAUSE': '' });
    const process = bench.process();
    const { gate } = process;
    const context = await process.context();
    gate.fail('opsRepo.commit', () => new TransientError('ERR_GIT_UNAVAILABLE', 'away'));
    expect((await branchPause(context.world(), context))?.message).toBe('the branch holds vault/PAUSE');
  });

  it('lies beside the folder of actions', () => {
    expect(['vault/actions', 'actions', 'a/b/c'].map(pauseFileOf)).toEqual(['vault/PAUSE', 'PAUSE', 'a/b/PAUSE']);
  });
});
