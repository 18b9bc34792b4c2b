import { afterEach, expect, it } from 'vitest';
import { SILENCE_MS } from '../../src/domain/lease.ts';
import { type FakeServices, fakeServices } from '../fakes/fake-services.ts';
import { faultOption } from '../fakes/fault-options.ts';
import { seeded } from '../fakes/kill-moments.ts';
import { openStage, type Stage } from '../fakes/stage.ts';
import { Tally, tallyScripts } from '../fakes/tally.ts';
import { until } from '../fakes/until.ts';

let services: FakeServices;
let stage: Stage;

afterEach(async () => {
  await stage.remove();
  await services.close();
});

const seed = faultOption('SEED', 6);

it(`R4: a daemon that is stopped for longer than any time-out is taken over by its peer, and does nothing when it goes on (seed ${seed})`, async () => {
  services = await fakeServices();
  stage = await openStage(services, { driver: 'raw_exec', secretCount: 1, formulas: tallyScripts });
  const { bench } = stage;
  const random = seeded(seed);
  const tally = new Tally('silent');
  const stopped = stage.start({ EDGE_DISPATCHER_PEERS: '["peer"]' });
  await until('it watches', () => stopped.stderr().includes('watching'), 30_000);
  await bench.pushOnTip(tally.more(10, random));
  await until('one has begun', async () => (await bench.executions()).size > 0, 60_000);
  stopped.child.kill('SIGSTOP');
  const peer = stage.start({
    EDGE_DISPATCHER_NAME: 'peer',
    EDGE_DISPATCHER_PEERS: '["stage"]',
    EDGE_DISPATCHER_STATE_DIR: `${bench.stateDir}-peer`,
  });
  await until('its peer has recorded all', () => tally.areRecorded(bench), 2 * SILENCE_MS);
  stopped.child.kill('SIGCONT');

  await bench.pushOnTip(tally.more(4, random));
  await until('the new ones are recorded', () => tally.areRecorded(bench), 60_000);
  for (const daemon of [stopped, peer]) daemon.child.kill('SIGTERM');
  expect([(await stopped.ended).code, (await peer.ended).code]).toEqual([0, 0]);
  expect(await tally.compareWithUnknown(bench)).toEqual({ asked: 14, results: 14, wrong: [] });
});
