import { afterEach, expect, it } from 'vitest';
import { type DaemonBench, makeDaemonBench } from '../fakes/daemon-bench.ts';
import { faultOption } from '../fakes/fault-options.ts';
import { seeded } from '../fakes/kill-moments.ts';
import { startBeside } from '../fakes/second-daemon.ts';
import { Tally, tallyFormulas } from '../fakes/tally.ts';
import { until } from '../fakes/until.ts';

let bench: DaemonBench;

afterEach(() => bench.remove());

const seed = faultOption('SEED', 5);
const ACTIONS = 100;

it(`R4: two daemons of different names on one repo, killed and restarted at random, share 100 actions and do each once (seed ${seed})`, async () => {
  bench = await makeDaemonBench();
  await bench.push(tallyFormulas(bench));
  const random = seeded(seed);
  const tally = new Tally('shared');
  const names = ['bench', 'other'];
  const daemons = names.map((name) => startBeside(bench, name, name));
  while (tally.size < ACTIONS) {
    await bench.pushOnTip(tally.more(5, random));
    const which = Math.floor(random() * names.length);
    await new Promise((resolve) => setTimeout(resolve, random() * 1_000));
    daemons[which]?.child.kill('SIGKILL');
    await daemons[which]?.ended;
    daemons[which] = startBeside(bench, names[which] ?? '', names[which] ?? '');
  }
  await until('all are recorded', () => tally.areRecorded(bench), 120_000);
  for (const { child } of daemons) child.kill('SIGTERM');
  expect(await Promise.all(daemons.map(({ ended }) => ended))).toEqual(daemons.map(() => ({ code: 0, signal: null })));

  const counted = { asked: ACTIONS, executions: ACTIONS, results: ACTIONS, wrong: [] };
  expect(await tally.compare(bench)).toEqual(counted);
  const by = new Set([...(await bench.results()).values()].map(({ attempt }) => attempt?.dispatcher));
  expect(by).toEqual(new Set(names));
});
