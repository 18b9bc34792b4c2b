import { describe, expect, it } from 'vitest';
import { createMemory } from '../../../src/approvals/shared/remember.ts';

describe('a memory', () => {
  it('asks once, however many want to know', async () => {
    const memory = createMemory<number>();
    let asked = 0;
    const ask = () => Promise.resolve((asked += 1));
    expect(await Promise.all([memory.recall('a', ask), memory.recall('a', ask), memory.recall('b', ask)])).toEqual([
      1, 1, 2,
    ]);
    expect(await memory.recall('a', ask)).toBe(1);
  });

  it('does not keep a failure', async () => {
    const memory = createMemory<number>();
    await expect(memory.recall('a', () => Promise.reject(new Error('away')))).rejects.toThrow('away');
    expect(await memory.recall('a', () => Promise.resolve(2))).toBe(2);
  });

  it('forgets the oldest answers when there are too many', async () => {
    const memory = createMemory<string>(2);
    for (const key of ['a', 'b', 'c']) await memory.recall(key, () => Promise.resolve('first'));
    const again = (key: string) => memory.recall(key, () => Promise.resolve('again'));
    expect([await again('b'), await again('c'), await again('a')]).toEqual(['first', 'first', 'again']);
  });
});
