import { randomBytes } from 'node:crypto';
import process from 'node:process';
import { fakeServices } from '../test/fakes/fake-services.ts';
import { scriptedDriver } from '../test/fakes/nomad/scripted-driver.ts';
import { realServices, type Services } from '../test/fakes/services.ts';
import { openStage, type Stage } from '../test/fakes/stage.ts';
import { until } from '../test/fakes/until.ts';
import { type Figure, print, timed } from './table.ts';

/*
 * Dispatches per second through the whole path (judge, preflight, mint, verify, claim, find, dispatch, compare) against
 * what the engine takes bare, on the same server in one run. Both dispatch children of the same registered job.
 */

const COUNT = 200;
const CONNECTIONS = 8;

/** The fakes always; real servers when the environment gives them. */
export async function benchNomad(): Promise<readonly Figure[]> {
  const fakes = await fakeServices(scriptedDriver({ outcome: 'constraint' }));
  const figures: Figure[] = [];
  try {
    figures.push(...(await onServices('fake', fakes)));
  } finally {
    await fakes.close();
  }
  const { NOMAD_ADDR, NOMAD_TOKEN, VAULT_ADDR, VAULT_TOKEN } = process.env;
  if (NOMAD_ADDR && NOMAD_TOKEN && VAULT_ADDR && VAULT_TOKEN) {
    figures.push(...(await onServices('real', realServices({ NOMAD_ADDR, NOMAD_TOKEN, VAULT_ADDR, VAULT_TOKEN }))));
  } else print('real servers: not measured, NOMAD_ADDR, NOMAD_TOKEN, VAULT_ADDR and VAULT_TOKEN were not given');
  return figures;
}

async function onServices(name: string, services: Services): Promise<readonly Figure[]> {
  const stage = await openStage(services, {
    driver: 'raw_exec',
    secretCount: 1,
    formulas: () => ({ nothing: { script: 'true' } }),
    more: `[limits]\nin_flight = ${COUNT}\ndispatches_per_minute = 100000\n`,
    // Nothing of this size is ever placed: what is measured is the way to the engine, not the client's processes.
    nomad: 'datacenters = ["nowhere"]',
  });
  try {
    const bare = await bareRate(services, stage);
    const whole = await wholeRate(stage, services);
    return [
      { name: `${name}: bare dispatches, ${CONNECTIONS} at once`, value: bare, unit: '/s', target: null },
      { name: `${name}: dispatches through the whole path`, value: whole, unit: '/s', target: null },
      { name: `${name}: whole path against bare`, value: (100 * whole) / bare, unit: '%', target: null },
    ];
  } finally {
    await stage.remove();
  }
}

/** As any client of Nomad would: the registered job, a payload of the usual size, a token each. */
async function bareRate({ nomad }: Services, { namespace }: Stage): Promise<number> {
  const meta = { action_id: 'bare', attempt: '1', formula: 'bare', mounts: '', secrets_csv: '' };
  const body = JSON.stringify({ Payload: randomBytes(1500).toString('base64'), Meta: meta });
  let left = COUNT;
  const one = async () => {
    while (left > 0) {
      left -= 1;
      const token = randomBytes(16).toString('hex');
      const url = `${nomad.address}/v1/job/vault-runner/dispatch?namespace=${namespace}&idempotency_token=${token}`;
      const headers = { 'X-Nomad-Token': nomad.adminToken, 'Content-Type': 'application/json' };
      const response = await fetch(url, { method: 'POST', headers, body });
      if (!response.ok) throw new Error(`a bare dispatch was answered ${response.status}`);
      await response.arrayBuffer();
    }
  };
  const { ms } = await timed(() => Promise.all(Array.from({ length: CONNECTIONS }, one)));
  return COUNT / (ms / 1000);
}

/** By the times at which Nomad took the children, the first of them counted from. */
async function wholeRate(stage: Stage, services: Services): Promise<number> {
  const daemon = stage.start();
  const names = stage.secrets;
  const before = new Set((await children(services, stage)).map(({ ID }) => ID));
  await stage.act(
    ...Array.from({ length: COUNT }, (_, index) => ({ id: `n-${index}`, formula: 'nothing', secrets: names })),
  );
  const all = async () => {
    const found = (await children(services, stage)).filter(({ ID }) => !before.has(ID));
    return found.length >= COUNT ? found : null;
  };
  const dispatched = await until(`${COUNT} children are there`, all, 300_000);
  daemon.child.kill('SIGKILL');
  await daemon.ended;
  const times = dispatched.map(({ SubmitTime }) => SubmitTime / 1e9);
  return (COUNT - 1) / (Math.max(...times) - Math.min(...times));
}

interface Child {
  readonly ID: string;
  /** Nanoseconds since 1970. */
  readonly SubmitTime: number;
}

async function children({ nomad }: Services, { namespace }: Stage): Promise<readonly Child[]> {
  const url = `${nomad.address}/v1/jobs?namespace=${namespace}&prefix=${encodeURIComponent('vault-runner/dispatch-')}`;
  const response = await fetch(url, { headers: { 'X-Nomad-Token': nomad.adminToken } });
  return (await response.json()) as readonly Child[];
}
