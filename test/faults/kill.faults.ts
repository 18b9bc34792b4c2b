import { afterEach, expect, it } from 'vitest';
import { type DaemonBench, makeDaemonBench } from '../fakes/daemon-bench.ts';
import { faultOption } from '../fakes/fault-options.ts';
import { killAt } from '../fakes/kill-moments.ts';
import { Tally, tallyFormulas } from '../fakes/tally.ts';

let bench: DaemonBench;

afterEach(() => bench.remove());

const seed = faultOption('SEED', 7);
const kills = faultOption('KILLS', 40);

it(`R4, R8: the daemon killed at ${kills} seeded moments executes every action once and records its true result (seed ${seed})`, async () => {
  bench = await makeDaemonBench();
  await bench.push(tallyFormulas(bench));
  const tally = new Tally('kill');
  const report = await killAt({ bench, start: () => bench.start(['run']), tally, kills, seed });
  const { size } = tally;
  expect(report).toEqual({ seed, killed: kills, asked: size, executions: size, results: size, wrong: [] });
});
