import { afterEach, expect, it } from 'vitest';
import { type DaemonBench, makeDaemonBench } from '../fakes/daemon-bench.ts';
import { faultOption } from '../fakes/fault-options.ts';
import { FaultProxy, NETWORK_FAULTS } from '../fakes/fault-proxy.ts';
import { GitHttpServer } from '../fakes/git-http-server.ts';
import { seeded } from '../fakes/kill-moments.ts';
import { Tally, tallyFormulas } from '../fakes/tally.ts';
import { until } from '../fakes/until.ts';

let bench: DaemonBench;
let server: GitHttpServer;
let proxy: FaultProxy;

afterEach(async () => {
  await bench.remove();
  await proxy.close();
  await server.close();
});

const first = faultOption('SEED', 1);
const BATCHES = 6;

it.each([first, first + 1, first + 2])(
  'R4, R11: a network that drops, delays, cuts and repeats requests and answers loses nothing and makes nothing twice (seed %i)',
  async (seed) => {
    const random = seeded(seed);
    bench = await makeDaemonBench();
    server = await GitHttpServer.start({ root: bench.dir });
    proxy = await FaultProxy.start(server.origin, { random: seeded(seed + 1), rate: 0.5 });
    await bench.writeConfig({ url: `${proxy.origin}/ops.git` });
    await bench.push(tallyFormulas(bench));
    const tally = new Tally('network');
    const daemon = bench.start(['run']);
    for (let batch = 0; batch < BATCHES; batch += 1) {
      const executed = (await bench.executions()).size;
      await bench.pushOnTip(tally.more(5, random));
      await until('something more ran', async () => (await bench.executions()).size > executed, 60_000);
    }
    await until('every fault happened', () => NETWORK_FAULTS.every((fault) => proxy.done.has(fault)), 60_000);
    proxy.rate = 0;
    await until('all are recorded', () => tally.areRecorded(bench), 60_000);
    await proxy.quiet();
    daemon.child.kill('SIGTERM');
    expect((await daemon.ended).code).toBe(0);
    expect(await tally.compare(bench)).toEqual({ asked: 30, executions: 30, results: 30, wrong: [] });
  },
);
