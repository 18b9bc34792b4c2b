import process from 'node:process';
import { benchAdoption } from './adoption.ts';
import { benchCycle } from './cycle.ts';
import { benchNomad } from './nomad.ts';
import { type Figure, print, printTable, writeJson } from './table.ts';
import { benchResults, benchThroughput } from './throughput.ts';

/** Nothing here is a test: a figure passes or fails nothing. Each set takes a few minutes. */
const SETS: Readonly<Record<string, readonly (() => Promise<readonly Figure[]>)[]>> = {
  embedded: [
    () => benchCycle(100),
    () => benchCycle(1000),
    () => benchCycle(10_000),
    () => benchThroughput(100),
    () => benchResults(1000),
    () => benchAdoption(1000),
  ],
  nomad: [benchNomad],
};

const [name = 'embedded'] = process.argv.slice(2);
const measures = SETS[name];
if (measures === undefined) throw new Error(`there is no set ${name}; there are: ${Object.keys(SETS).join(', ')}`);
const figures: Figure[] = [];
for (const measure of measures) {
  const measured = await measure();
  figures.push(...measured);
  printTable(measured);
}
print(`\nwritten to ${await writeJson(name, figures)}`);
