import { describe, expect, it } from 'vitest';
import { createNotifications } from '../../../src/daemon/notify.ts';
import type { Notification } from '../../../src/domain/notification.ts';
import { StalledError, TransientError } from '../../../src/errors.ts';
import { sampleResult } from '../../fakes/cli-samples.ts';
import { ManualClock } from '../../fakes/manual-clock.ts';

const settle = () => new Promise((resolve) => setImmediate(resolve));
const away = (retryAfterMs?: number) =>
  new TransientError('ERR_NOTIFY_UNAVAILABLE', 'away', retryAfterMs === undefined ? {} : { retryAfterMs });
const MINUTE = 60_000;

type Answer = Error | number | 'hangs';

/** `answers` in turn; when there are none left, 200. */
function stage(answers: Answer[] = []) {
  const clock = new ManualClock();
  const begin = clock.monotonic();
  const asked: { readonly at: number; readonly id: string }[] = [];
  const counts: Record<string, number> = {};
  const warnings: (readonly [string, unknown])[] = [];
  const send = ({ id }: Notification, signal: AbortSignal) => {
    asked.push({ at: clock.monotonic() - begin, id });
    const answer = answers.shift() ?? 200;
    if (answer === 'hangs') {
      return new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true });
      });
    }
    if (answer instanceof Error) return Promise.reject(answer);
    return Promise.resolve({ taken: answer === 200, status: answer });
  };
  const quiet = () => undefined;
  const say = (message: string, fields?: unknown) => void warnings.push([message, fields]);
  const notifications = createNotifications({
    notifier: { send, check: () => Promise.reject(new Error('not asked')) },
    clock,
    log: { debug: quiet, info: quiet, warn: say, error: say },
    dispatcher: 'edge-1',
    sidecarsDir: 'vault/sidecars',
    count: (outcome) => {
      counts[outcome] = (counts[outcome] ?? 0) + 1;
    },
  });
  const failed = (id: string) => notifications.recorded(sampleResult(id, { outcome: 'failed', exit_code: 1 }));
  const fail = async (...ids: readonly string[]) => {
    for (const id of ids) failed(id);
    await settle();
  };
  /** Steps of a second, so that whoever sleeps in between is woken in its turn. */
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 1000) {
      clock.advance(Math.min(left, 1000));
      await settle();
    }
  };
  return { clock, asked, counts, warnings, notifications, fail, pass };
}

describe('notifications', () => {
  it('are of each result that did not succeed, in their order and one at a time', async () => {
    const { notifications, asked, counts, fail } = stage();
    for (const outcome of ['failed', 'timed_out', 'cancelled', 'lost', 'unknown', 'invalid', 'refused'] as const) {
      notifications.recorded(sampleResult(outcome, { outcome }));
    }
    notifications.recorded(sampleResult('fine'));
    expect(asked).toEqual([]);
    await settle();
    expect(asked.map(({ id }) => id).join(' ')).toBe('failed timed_out cancelled lost unknown invalid refused');
    await fail('later');
    expect([asked.at(-1)?.id, counts]).toEqual(['later', { sent: 8 }]);
  });

  it('are sent whenever they come, also in the moment that the one before is done', async () => {
    for (let turns = 0; turns < 12; turns += 1) {
      const { notifications, asked } = stage();
      notifications.recorded(sampleResult('one', { outcome: 'failed' }));
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
      notifications.recorded(sampleResult('two', { outcome: 'failed' }));
      await settle();
      expect({ turns, asked: asked.map(({ id }) => id) }).toEqual({ turns, asked: ['one', 'two'] });
    }
  });

  it('wait while the receiver is away, and are sent when it is back, in order (R20)', async () => {
    const { asked, counts, fail, pass, warnings } = stage([away(), away(), away(), away()]);
    await fail('one', 'two');
    await pass(20_000);
    expect(asked.map(({ id }) => id)).toEqual(['one', 'one', 'one', 'one', 'one', 'two']);
    expect(counts).toEqual({ sent: 2 });
    expect(warnings).toHaveLength(1);
  });

  it('are not sent again before the receiver wants it', async () => {
    const { asked, fail, pass } = stage([away(2 * MINUTE)]);
    await fail('one');
    await pass(2 * MINUTE - 1000);
    expect(asked).toHaveLength(1);
    await pass(1000);
    expect(asked).toHaveLength(2);
  });

  it('are let go at the first try after ten minutes, counted and told; younger ones have their time still', async () => {
    const { asked, counts, fail, pass, warnings } = stage(Array.from({ length: 1000 }, () => away()));
    await fail('one');
    await pass(MINUTE);
    await fail('two');
    await pass(9 * MINUTE - 1000);
    expect([counts, new Set(asked.map(({ id }) => id))]).toEqual([{}, new Set(['one'])]);
    await pass(31_000);
    expect([counts, asked.at(-1)?.id]).toEqual([{ failed: 1 }, 'two']);
    expect(warnings.length).toBeLessThanOrEqual(22);
    await pass(MINUTE);
    expect(counts).toEqual({ failed: 2 });
  });

  it('that the receiver does not want are let go at once, and hold up no other', async () => {
    const { asked, counts, fail } = stage([404]);
    await fail('one', 'two');
    expect([asked.map(({ id }) => id), counts]).toEqual([['one', 'two'], { failed: 1, sent: 1 }]);
  });

  it('wait for an address that a person has to mend', async () => {
    const { counts, fail, pass, warnings } = stage([new StalledError('ERR_NOTIFY_DENIED', 'is not there')]);
    await fail('one');
    await pass(1000);
    expect(counts).toEqual({ sent: 1 });
    expect(warnings).toEqual([
      ['cannot notify', expect.objectContaining({ code: 'ERR_NOTIFY_DENIED', reason: 'is not there', waiting: 1 })],
    ]);
  });

  it('beyond a thousand are dropped and counted', async () => {
    const { counts, fail, asked } = stage(['hangs']);
    await fail(...Array.from({ length: 1005 }, (_, each) => `n-${each}`));
    expect([counts, asked]).toEqual([{ dropped: 5 }, [{ at: 0, id: 'n-0' }]]);
  });

  it('end at a mistake of ours for that one alone', async () => {
    const { counts, fail, warnings } = stage([new TypeError('ours')]);
    await fail('one', 'two');
    expect(counts).toEqual({ failed: 1, sent: 1 });
    expect(warnings[0]?.[0]).toBe('a notification broke off');
  });
});

describe('at the end, notifications', () => {
  it('that wait are tried once more, without their pause', async () => {
    const { notifications, asked, counts, fail, clock } = stage([away(5 * MINUTE)]);
    await fail('one', 'two');
    await notifications.close();
    expect([asked.map(({ id }) => id), counts, clock.sleeping]).toEqual([['one', 'one', 'two'], { sent: 2 }, 0]);
    await fail('three');
    expect(asked).toHaveLength(3);
  });

  it('are given up at the first failure, and told', async () => {
    const { notifications, asked, counts, fail, warnings } = stage([away(), away()]);
    await fail('one', 'two');
    await notifications.close();
    expect([asked.length, counts]).toEqual([2, { failed: 2 }]);
    expect(warnings.at(-1)).toEqual(['notifications were not sent before the end', { count: 2 }]);
  });

  it('hold nobody for more than five seconds', async () => {
    const { notifications, counts, fail, pass } = stage(['hangs']);
    await fail('one');
    let isClosed = false;
    const closed = notifications.close().then(() => {
      isClosed = true;
    });
    await pass(4000);
    expect(isClosed).toBe(false);
    await pass(1000);
    await closed;
    expect(counts).toEqual({ failed: 1 });
  });
});
