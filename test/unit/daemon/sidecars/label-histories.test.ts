import { describe, expect, it } from 'vitest';
import { play, readHistories, told } from '../../../fakes/label-history.ts';

describe('label histories (S2.2, S2.3, S2.4)', () => {
  const histories = readHistories();

  it('are at least 25', () => {
    expect(histories.length).toBeGreaterThanOrEqual(25);
  });

  it.each(histories.map((history) => [history.name, history] as const))('%s', async (_name, history) => {
    const runs = await play(history);
    expect(told(runs, history)).toEqual(history.expect);
  });
});
