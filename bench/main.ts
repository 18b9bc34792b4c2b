import process from 'node:process';
import { benchAdoption } from './adoption.ts';
import { benchCycle } from './cycle.ts';
import { benchFleet } from './fleet.ts';
import { benchNomad } from './nomad.ts';
import { benchPoll } from './poll.ts';
import { benchPush } from './results.ts';
import { type Figure, print, printTable, writeJson } from './table.ts';
import { benchResults, benchThroughput } from './throughput.ts';

/** Nothing here is a test: a figure passes or fails nothing. All together they take some minutes. */
const SETS: Readonly<Record<string, readonly (() => Promise<readonly Figure[]>)[]>> = {
  scale: [benchCycle, benchPoll, benchPush, () => benchAdoption(1000), benchFleet],
  cycle: [benchCycle],
  poll: [benchPoll],
  push: [benchPush],
  adoption: [() => benchAdoption(1000)],
  fleet: [benchFleet],
  throughput: [() => benchThroughput(100), () => benchResults(1000)],
  nomad: [benchNomad],
};
const ALL = ['scale', 'throughput', 'nomad'];

const names = process.argv.slice(2);
const figures: Figure[] = [];
for (const name of names.length === 0 ? ALL : names) {
  const measures = SETS[name];
  if (measures === undefined) throw new Error(`there is no set ${name}; there are: ${Object.keys(SETS).join(', ')}`);
  for (const measure of measures) {
    print(`measuring ${measure.name || name}`);
    figures.push(...(await measure()));
  }
}
printTable(figures);
print(`\nwritten to ${await writeJson(names.join('-') || 'all', figures)}`);
