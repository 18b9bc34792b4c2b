import { afterEach, expect, it } from 'vitest';
import { type DaemonBench, makeDaemonBench } from '../fakes/daemon-bench.ts';
import { faultOption } from '../fakes/fault-options.ts';
import { seeded } from '../fakes/kill-moments.ts';
import { Tally, tallyFormulas } from '../fakes/tally.ts';
import { type TinyDisk, tinyDisk } from '../fakes/tiny-disk.ts';
import { until } from '../fakes/until.ts';

let bench: DaemonBench;
let disk: TinyDisk;

afterEach(async () => {
  await disk.remove();
  await bench.remove();
});

const seed = faultOption('SEED', 4);
const ROUNDS = 6;

it(`R4, R20: while the disk of state_dir is full actions wait with that reason, and each comes to its one end when there is room again (seed ${seed})`, async () => {
  bench = await makeDaemonBench();
  disk = await tinyDisk(bench);
  const random = seeded(seed);
  const tally = new Tally('full');
  await bench.push(tallyFormulas(bench, 0.5));
  const daemon = disk.start();
  await until('it watches', () => daemon.stderr().includes('watching'), 30_000);
  for (let round = 0; round < ROUNDS; round += 1) {
    await bench.pushOnTip(tally.more(3, random));
    await new Promise((resolve) => setTimeout(resolve, random() * 1_500));
    const before = daemon.stderr().length;
    disk.fill();
    await bench.pushOnTip(tally.more(1, random));
    await until('it says why', () => daemon.stderr().slice(before).includes('ERR_STORE_UNAVAILABLE'), 30_000);
    disk.free();
    await until('all are recorded', () => tally.areRecorded(bench), 60_000).catch((error: unknown) => {
      throw new Error(daemon.stderr().slice(-4_000), { cause: error });
    });
  }
  daemon.child.kill('SIGKILL');
  await daemon.ended;

  disk.fill();
  const refused = disk.start();
  expect(await refused.ended).not.toBe(0);
  expect(refused.stderr()).toContain('ERR_STORE_UNAVAILABLE');
  disk.free();
  await bench.pushOnTip(tally.more(3, random));
  disk.start();
  await until('the last are recorded', () => tally.areRecorded(bench), 60_000);
  const { size } = tally;
  expect(await tally.compare(bench)).toEqual({ asked: size, executions: size, results: size, wrong: [] });
  expect(daemon.stderr()).not.toContain('a cycle failed');
});
