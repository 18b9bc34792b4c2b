import { getEventListeners } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Lanes } from '../../../src/adapters/lanes.ts';

/** A piece of work that ends when the test says so. */
function work() {
  const end = new AbortController();
  const ended = new Promise<void>((resolve) => end.signal.addEventListener('abort', () => resolve()));
  return { run: () => ended, end: () => end.abort() };
}

describe('lanes', () => {
  it('never let more run at once than there are, and everything in the order it came', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(fc.nat(3), { maxLength: 20 }), async (count, turns) => {
        const lanes = new Lanes(count);
        const started: number[] = [];
        let [running, most] = [0, 0];
        const piece = (index: number, length: number) => async () => {
          started.push(index);
          running += 1;
          most = Math.max(most, running);
          for (let turn = 0; turn <= length; turn += 1) await Promise.resolve();
          running -= 1;
        };
        await Promise.all(turns.map((length, index) => lanes.run(piece(index, length))));
        expect(started).toEqual(turns.map((_, index) => index));
        expect(most).toBe(Math.min(count, turns.length));
      }),
      { numRuns: 50 },
    );
  });

  it('go on after work that failed, and give its error to whoever asked', async () => {
    const lanes = new Lanes(1);
    const failed = lanes.run(() => Promise.reject(new Error('no')));
    const next = lanes.run(() => Promise.resolve('next'));
    await expect(failed).rejects.toThrow('no');
    expect(await next).toBe('next');
  });

  it('let those go whose signal is aborted while they wait, and nobody else', async () => {
    const lanes = new Lanes(1);
    const [first, stop] = [work(), new AbortController()];
    const running = lanes.run(first.run, stop.signal);
    const given = lanes.run(() => Promise.resolve('never'), stop.signal);
    const other = lanes.run(() => Promise.resolve('other'), new AbortController().signal);
    stop.abort(new Error('we stop'));
    await expect(given).rejects.toThrow('we stop');
    await expect(lanes.run(() => Promise.resolve('late'), stop.signal)).rejects.toThrow('we stop');
    first.end();
    await running;
    expect(await other).toBe('other');
  });

  it('may be waited for by many with the same signal, without a warning of a leak, and leave no listener on it', async () => {
    const warnings: string[] = [];
    const note = (warning: Error) => warnings.push(warning.name);
    process.on('warning', note);
    const lanes = new Lanes(1);
    const [first, { signal }] = [work(), new AbortController()];
    const all = Array.from({ length: 30 }, () => lanes.run(first.run, signal));
    const listening = getEventListeners(signal, 'abort').length;
    first.end();
    await Promise.all(all);
    // Warnings come with the next turn of the event loop.
    await setImmediate();
    process.off('warning', note);
    expect([listening, getEventListeners(signal, 'abort').length, warnings]).toEqual([29, 0, []]);
  });
});
