import { afterEach, describe, expect, it } from 'vitest';
import { type DaemonBench, makeDaemonBench } from '../fakes/daemon-bench.ts';
import { type FakeServices, fakeServices } from '../fakes/fake-services.ts';
import { faultOption } from '../fakes/fault-options.ts';
import { FaultProxy } from '../fakes/fault-proxy.ts';
import { GitHttpServer } from '../fakes/git-http-server.ts';
import { seeded } from '../fakes/kill-moments.ts';
import { startBeside } from '../fakes/second-daemon.ts';
import { openStage, type Stage } from '../fakes/stage.ts';
import { Tally, tallyFormulas, tallyScripts } from '../fakes/tally.ts';
import { until } from '../fakes/until.ts';

/* A daemon that is stopped (a paused VM, a debugger) knows nothing of the time that passed. */

const seed = faultOption('SEED', 9);
const random = seeded(seed);

let bench: DaemonBench;
let closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.toReversed()) await close();
  closing = [];
});

async function onePlace(): Promise<DaemonBench> {
  const made = await makeDaemonBench();
  closing.push(() => made.remove());
  await made.push(tallyFormulas(made, 0.3));
  return made;
}

async function expectAllOnce(tally: Tally): Promise<void> {
  await until('all are recorded', () => tally.areRecorded(bench), 90_000);
  const { size } = tally;
  expect(await tally.compare(bench)).toEqual({ asked: size, executions: size, results: size, wrong: [] });
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe(`a daemon that is stopped and goes on later (seed ${seed})`, () => {
  it('R4: does nothing twice when its runs ended and its connections were cut meanwhile', async () => {
    bench = await onePlace();
    const server = await GitHttpServer.start({ root: bench.dir });
    closing.push(() => server.close());
    const proxy = await FaultProxy.start(server.origin, { random, rate: 0 });
    closing.push(() => proxy.close());
    await bench.writeConfig({ url: `${proxy.origin}/ops.git` });
    const tally = new Tally('stopped');
    const daemon = bench.start(['run']);
    for (let round = 0; round < 4; round += 1) {
      await bench.pushOnTip(tally.more(2, random));
      await pause(random() * 1_500);
      daemon.child.kill('SIGSTOP');
      proxy.cutAll();
      await pause(2_000);
      daemon.child.kill('SIGCONT');
    }
    await expectAllOnce(tally);
  });

  it('R4: with its state directory: another process of its name is refused while it is stopped', async () => {
    bench = await onePlace();
    const tally = new Tally('locked');
    const daemon = bench.start(['run']);
    await bench.pushOnTip(tally.more(3, random));
    await until('one has begun', async () => (await bench.executions()).size > 0, 30_000);
    daemon.child.kill('SIGSTOP');
    const second = bench.start(['run']);
    expect((await second.ended).code).not.toBe(0);
    expect(second.stderr()).toContain('ERR_LOCKED');
    daemon.child.kill('SIGCONT');
    await expectAllOnce(tally);
  });

  it('R4: finds its actions done by a daemon of another name, or its own still to follow', async () => {
    bench = await onePlace();
    const tally = new Tally('beside');
    const daemon = startBeside(bench, 'bench', 'bench');
    startBeside(bench, 'other', 'other');
    for (let round = 0; round < 3; round += 1) {
      await bench.pushOnTip(tally.more(3, random));
      await pause(random() * 1_200);
      daemon.child.kill('SIGSTOP');
      await bench.pushOnTip(tally.more(3, random));
      await pause(2_000);
      daemon.child.kill('SIGCONT');
    }
    await expectAllOnce(tally);
  });
});

describe(`over Nomad, a daemon that is stopped while another one takes its name (seed ${seed})`, () => {
  it('R4: is fenced when it goes on: each action has one result and at most one execution, and none is lost', async () => {
    const services: FakeServices = await fakeServices();
    closing.push(() => services.close());
    const stage: Stage = await openStage(services, { driver: 'raw_exec', secretCount: 1, formulas: tallyScripts });
    closing.push(() => stage.remove());
    bench = stage.bench;
    const tally = new Tally('fenced');
    let current = stage.start();
    for (let round = 0; round < 3; round += 1) {
      await bench.pushOnTip(tally.more(3, random));
      await pause(500 + random() * 1_500);
      current.child.kill('SIGSTOP');
      const next = stage.start({ EDGE_DISPATCHER_STATE_DIR: `${bench.stateDir}-${round}` });
      await until('the next one watches', () => next.stderr().includes('watching'), 30_000);
      await pause(random() * 1_000);
      current.child.kill('SIGCONT');
      await pause(1_500);
      current.child.kill('SIGKILL');
      await current.ended;
      current = next;
    }
    await until('all are recorded', () => tally.areRecorded(bench), 120_000);
    expect(await tally.compareWithUnknown(bench)).toEqual({ asked: tally.size, results: tally.size, wrong: [] });
  });
});
