import { describe, expect, it } from 'vitest';
import { type Flush, GroupCommit } from '../../../../src/adapters/ops-repo/group-commit.ts';
import { ManualClock } from '../../../fakes/manual-clock.ts';

interface Call {
  readonly items: readonly string[];
  readonly at: number;
  answer(flush: Flush<string>): void;
  fail(error: Error): void;
}

function queue(spacingMs = 2_000) {
  const clock = new ManualClock();
  const start = clock.monotonic();
  const closing = new AbortController();
  const calls: Call[] = [];
  const group = new GroupCommit<string, string>({
    spacingMs,
    clock,
    signal: closing.signal,
    flush: (items) =>
      new Promise((answer, fail) => {
        calls.push({ items, at: clock.monotonic() - start, answer, fail });
      }),
  });
  return { clock, closing, calls, group };
}

/** Lets everything that can go on without the clock go on. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const all = (call: Call | undefined): void =>
  call?.answer({ answers: call.items.map((item) => item.toUpperCase()), pushed: true });

describe('a group commit', () => {
  it('flushes the first at once and together what is submitted in one go', async () => {
    const { group, calls } = queue();
    const answers = Promise.all(['a', 'b', 'c'].map((item) => group.submit(item)));
    await settle();
    expect(calls.map(({ items, at }) => [items, at])).toEqual([[['a', 'b', 'c'], 0]]);
    all(calls[0]);
    expect(await answers).toEqual(['A', 'B', 'C']);
  });

  it('R11: puts what comes during a push, and within the spacing after it, into the next one', async () => {
    const { group, calls, clock } = queue();
    const first = group.submit('a');
    await settle();
    const during = group.submit('b');
    clock.advance(400);
    all(calls[0]);
    expect(await first).toBe('A');
    await settle();
    clock.advance(1_999);
    const within = group.submit('c');
    await settle();
    expect(calls).toHaveLength(1);
    clock.advance(1);
    await settle();
    expect(calls[1]?.items).toEqual(['b', 'c']);
    expect(calls[1]?.at).toBe(2_400);
    all(calls[1]);
    expect(await Promise.all([during, within])).toEqual(['B', 'C']);
  });

  it('does not wait after a push that was none', async () => {
    const { group, calls } = queue();
    const first = group.submit('a');
    await settle();
    calls[0]?.answer({ answers: ['A'], pushed: false });
    await first;
    const second = group.submit('b');
    await settle();
    expect(calls[1]?.at).toBe(0);
    all(calls[1]);
    await second;
  });

  it('rejects one item by its own error and all by one that is thrown, and goes on', async () => {
    const { group, calls } = queue(0);
    const some = Promise.allSettled(['a', 'b'].map((item) => group.submit(item)));
    await settle();
    calls[0]?.answer({ answers: [new Error('mine'), 'B'], pushed: true });
    expect(await some).toMatchObject([{ reason: { message: 'mine' } }, { value: 'B' }]);
    const others = Promise.allSettled(['c', 'd'].map((item) => group.submit(item)));
    await settle();
    calls[1]?.fail(new Error('ours'));
    expect(await others).toMatchObject([{ reason: { message: 'ours' } }, { reason: { message: 'ours' } }]);
    const last = group.submit('e');
    await settle();
    all(calls[2]);
    expect(await last).toBe('E');
    await group.idle();
  });

  it('rejects what waits and what comes when it is closed', async () => {
    const { group, calls, closing } = queue();
    const first = group.submit('a');
    await settle();
    all(calls[0]);
    await first;
    const waiting = group.submit('b');
    await settle();
    closing.abort(new Error('closed'));
    await expect(waiting).rejects.toThrow('closed');
    await group.idle();
    await expect(group.submit('c')).rejects.toThrow('closed');
    expect(calls).toHaveLength(1);
  });

  it('keeps a group to a thousand items', async () => {
    const { group, calls } = queue(0);
    const answers = Promise.all(Array.from({ length: 1_001 }, (_, n) => group.submit(`${n}`)));
    await settle();
    all(calls[0]);
    await settle();
    all(calls[1]);
    expect(calls.map(({ items }) => items.length)).toEqual([1_000, 1]);
    expect(await answers).toHaveLength(1_001);
  });
});
