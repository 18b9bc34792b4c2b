import { afterEach, expect, it } from 'vitest';
import { type DaemonBench, makeDaemonBench } from '../fakes/daemon-bench.ts';
import { killAt } from '../fakes/kill-moments.ts';

let bench: DaemonBench;

afterEach(() => bench.remove());

it('R4, R8: the daemon killed at 3 seeded moments executes every action once and records its true result', async () => {
  bench = await makeDaemonBench();
  expect(await killAt(bench, 3, 20_261_121)).toEqual({ killed: 3, wrong: [] });
}, 120_000);
