import { afterEach, expect, it } from 'vitest';
import { sha256 } from '../../src/domain/ids.ts';
import { type FakeServices, fakeServices } from '../fakes/fake-services.ts';
import { faultOption } from '../fakes/fault-options.ts';
import { killAt } from '../fakes/kill-moments.ts';
import { openStage, type Stage } from '../fakes/stage.ts';
import { Tally, tallyScripts } from '../fakes/tally.ts';

let services: FakeServices;
let stage: Stage;

afterEach(async () => {
  await stage.remove();
  await services.close();
});

const seed = faultOption('SEED', 8);
const kills = faultOption('KILLS', 40);

it(`R4, R8: over Nomad and Vault the daemon killed at ${kills} seeded moments executes every action once and records its true result (seed ${seed})`, async () => {
  services = await fakeServices();
  stage = await openStage(services, { driver: 'raw_exec', secretCount: 1, formulas: tallyScripts });
  const tally = new Tally('kill');
  const report = await killAt({ bench: stage.bench, start: () => stage.start(), tally, kills, seed });
  const { size } = tally;
  expect(report).toEqual({ seed, killed: kills, asked: size, executions: size, results: size, wrong: [] });
  // A token that was minted just before a kill is held by nobody and ends by itself; of the recorded ones none is left.
  const recorded = new Set([...(await stage.bench.results()).values()].map(({ access }) => access?.accessor_sha256));
  const living = services.fakeVault.runTokens.map(({ accessor }) => sha256(accessor));
  expect(living.filter((accessor) => recorded.has(accessor))).toEqual([]);
});
