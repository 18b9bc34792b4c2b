import { expect, it } from 'vitest';
import { burst } from '../fakes/burst.ts';

it('R11: 20 actions at once give one execution and one result each, in at most 14 pushes, while another writer pushes', async () => {
  const { ids, results, executions, pushes, pushedByOther, ...program } = await burst(20);
  expect(program).toEqual({ code: 0, stderr: '' });
  expect([...results.keys()].toSorted()).toEqual(ids);
  expect([...results.values()].filter(({ outcome }) => outcome !== 'succeeded')).toEqual([]);
  expect(ids.filter((id) => executions.get(id) !== 1)).toEqual([]);
  expect(pushes).toBeLessThanOrEqual(14);
  expect(pushes).toBeGreaterThan(0);
  expect(pushedByOther).toBeGreaterThan(3);
}, 120_000);
