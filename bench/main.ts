import { benchAdoption } from './adoption.ts';
import { benchCycle } from './cycle.ts';
import { type Figure, print, printTable, writeJson } from './table.ts';
import { benchResults, benchThroughput } from './throughput.ts';

/** Every figure of the embedded default, in a few minutes. Nothing here is a test: a figure passes or fails nothing. */
const figures: Figure[] = [];
for (const measure of [
  () => benchCycle(100),
  () => benchCycle(1000),
  () => benchCycle(10_000),
  () => benchThroughput(100),
  () => benchResults(1000),
  () => benchAdoption(1000),
]) {
  const measured = await measure();
  figures.push(...measured);
  printTable(measured);
}
print(`\nwritten to ${await writeJson('embedded', figures)}`);
