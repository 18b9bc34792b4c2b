import { describe, expect, it } from 'vitest';
import { spaced } from '../../../src/daemon/http/hook-hints.ts';
import { createNotifications } from '../../../src/daemon/notify.ts';
import type { Notification } from '../../../src/domain/notification.ts';
import { StoryBench } from '../../fakes/story-bench.ts';

const HOUR = 3600;

/** A daemon that polls once an hour, and what its webhooks ask of it. */
async function watching(bench: StoryBench, work: (stage: Stage) => Promise<void>): Promise<void> {
  const stop = new AbortController();
  const { daemon, gate } = bench.process({ loop: { pollSeconds: HOUR } });
  const over = daemon.run(stop.signal);
  const looks = () => gate.calls.filter((call) => call === 'opsRepo.refresh').length;
  const dispatches = () => gate.calls.filter((call) => call === 'engine.dispatch').length;
  const hook = spaced(() => daemon.hint(), 1000, bench.clock, stop.signal);
  await bench.pass(10_000);
  await work({ looks, dispatches, hook });
  stop.abort();
  await bench.drive(over);
}

interface Stage {
  readonly looks: () => number;
  readonly dispatches: () => number;
  readonly hook: () => void;
}

describe('a daemon with webhooks', () => {
  it('fetches at most twice for a hundred in a second (R17)', async () => {
    const bench = new StoryBench();
    await watching(bench, async ({ looks, hook }) => {
      const before = looks();
      for (let each = 0; each < 100; each += 1) {
        hook();
        await bench.pass(10);
      }
      await bench.pass(60_000);
      expect(looks() - before).toBe(2);
    });
  });

  it('starts at once what was pushed, and within one poll when the webhook was dropped (R18)', async () => {
    const bench = new StoryBench();
    await watching(bench, async ({ hook }) => {
      bench.addAction('told');
      hook();
      await bench.pass(60_000);
      expect(bench.result('told')?.outcome).toBe('succeeded');
      bench.addAction('untold');
      await bench.pass(60_000);
      expect(bench.result('untold')).toBeNull();
      await bench.pass(1.2 * HOUR * 1000);
      expect(bench.result('untold')?.outcome).toBe('succeeded');
    });
  });

  it('dispatches nothing for its own result commits, nor for one that is sent again (R18)', async () => {
    const bench = new StoryBench();
    await watching(bench, async ({ dispatches, hook }) => {
      bench.addAction('a');
      hook();
      await bench.pass(60_000);
      expect([bench.recorded('a'), dispatches()]).toEqual([1, 1]);
      // The forge tells of that result, and somebody sends both webhooks again and again.
      for (let each = 0; each < 10; each += 1) {
        hook();
        await bench.pass(5000);
      }
      expect([bench.recorded('a'), dispatches()]).toEqual([1, 1]);
    });
  });
});

describe('a daemon that notifies', () => {
  it('tells of what did not succeed, once, and not again after a restart', async () => {
    const bench = new StoryBench();
    bench.engine.behaviours.set('bad', { exitCode: 3 });
    for (const id of ['good', 'bad']) bench.addAction(id);
    bench.addAction('broken', { secrets: 'all' });
    const told: Notification[] = [];
    const start = () => {
      const notifications = createNotifications({
        notifier: {
          send: (notification) => {
            told.push(notification);
            return Promise.resolve({ taken: true, status: 200 });
          },
          check: () => Promise.reject(new Error('not asked')),
        },
        clock: bench.clock,
        log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
        dispatcher: 'edge-1',
        sidecarsDir: 'vault/sidecars',
        count: () => undefined,
      });
      return bench.once({ onResult: (result) => notifications.recorded(result) });
    };
    await start();
    await start();
    expect(told.map(({ id, outcome, path }) => ({ id, outcome, path }))).toEqual([
      { id: 'broken', outcome: 'invalid', path: 'vault/actions/broken.result.json' },
      { id: 'bad', outcome: 'failed', path: 'vault/actions/bad.result.json' },
    ]);
  });
});
