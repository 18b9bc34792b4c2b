import { type Cost, cost } from './measure.ts';
import { action, type BenchOps, FORMULA, finishedActions, makeOps, makeScan } from './ops.ts';
import { type Figure, timed } from './table.ts';

const FEW = 10;
const MANY = 10_000;
const IDLE_ROUNDS = 200;
const IDLE_SCANS = 10;
const NEW_ROUNDS = 12;

interface Measured {
  readonly first: number;
  readonly idle: Cost;
  readonly found: Cost;
  readonly scan: { readonly idle: Cost; readonly found: Cost };
}

/** Cost of a look at the ops repo by the number of finished actions in it, beside that of a script that fetches and lists. */
export async function benchCycle(): Promise<readonly Figure[]> {
  const few = await measure(FEW);
  const many = await measure(MANY);
  const ratio = (one: (of: Measured) => number) => one(many) / one(few);
  return [
    ...figures(FEW, few),
    ...figures(MANY, many),
    {
      name: `idle look, time with ${MANY} finished to time with ${FEW}`,
      value: ratio(({ idle }) => idle.wall),
      unit: 'times',
      target: '1.1 times',
      baseline: ratio(({ scan }) => scan.idle.wall),
    },
    {
      name: `idle look, CPU with ${MANY} finished to CPU with ${FEW}`,
      value: ratio(({ idle }) => idle.cpu),
      unit: 'times',
      target: '1.1 times',
      baseline: ratio(({ scan }) => scan.idle.cpu),
    },
    {
      name: `look that finds one new action, time with ${MANY} finished to time with ${FEW}`,
      value: ratio(({ found }) => found.wall),
      unit: 'times',
      target: null,
      baseline: ratio(({ scan }) => scan.found.wall),
    },
  ];
}

function figures(finished: number, { first, idle, found, scan }: Measured): readonly Figure[] {
  const of = `with ${finished} finished`;
  return [
    { name: `first look, clone included, ${of}`, value: first, unit: 'ms', target: null },
    { name: `idle look ${of}`, value: idle.wall, unit: 'ms', target: null, baseline: scan.idle.wall },
    { name: `idle look ${of}, CPU`, value: idle.cpu, unit: 'ms', target: null, baseline: scan.idle.cpu },
    {
      name: `look that finds one new action ${of}`,
      value: found.wall,
      unit: 'ms',
      target: null,
      baseline: scan.found.wall,
    },
    {
      name: `look that finds one new action ${of}, CPU`,
      value: found.cpu,
      unit: 'ms',
      target: null,
      baseline: scan.found.cpu,
    },
  ];
}

async function measure(finished: number): Promise<Measured> {
  const ops = await opsWith(finished);
  const wired = await ops.wire();
  try {
    const look = () => wired.watcher.look();
    const first = (await timed(look)).ms;
    const scan = await makeScan(ops.dir, ops.remote);
    await scan();
    await cost(IDLE_ROUNDS, look);
    const idle = await cost(IDLE_ROUNDS, look);
    const scanned = await cost(IDLE_SCANS, scan);
    const found = await costOfNews(ops, 'new', look);
    return { first, idle, found, scan: { idle: scanned, found: await costOfNews(ops, 'scanned', scan) } };
  } finally {
    await wired.close();
    await ops.remove();
  }
}

export async function opsWith(finished: number): Promise<BenchOps> {
  const ops = await makeOps();
  await ops.commit(
    new Map([
      ['vault/policy.toml', '[tiers]\n'],
      ['vault/formulas/bench.toml', FORMULA],
    ]),
  );
  await ops.commit(finishedActions(finished));
  return ops;
}

/** The push itself is not counted. */
async function costOfNews(ops: BenchOps, name: string, work: () => Promise<unknown>): Promise<Cost> {
  const costs: Cost[] = [];
  for (let round = 0; round < NEW_ROUNDS; round += 1) {
    await ops.commit(new Map([[`vault/actions/${name}-${round}.toml`, action(`${name}-${round}`)]]));
    costs.push(await cost(1, work));
  }
  const walls = costs.map(({ wall }) => wall).toSorted((a, b) => a - b);
  const cpu = costs.reduce((sum, one) => sum + one.cpu, 0) / costs.length;
  return { wall: walls[Math.floor(walls.length / 2)] ?? Number.NaN, cpu };
}
