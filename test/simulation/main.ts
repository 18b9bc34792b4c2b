import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { findMutants } from './find-mutants.ts';
import { simulate } from './simulate.ts';
import { emptySummary, type Summary, summaryText, withReport } from './summary.ts';

/*
 * npm run simulate -- --seeds 100000 [--from 1] [--workers 2]   worlds by their seeds; what was broken, and a summary
 * npm run simulate -- --seed 17                                 one of them, line by line
 * npm run simulate -- --mutants [--seeds 10000]                 whether planted mistakes are found
 */

interface Share {
  readonly from: number;
  readonly to: number;
  /** Ends with the first seed that breaks something. */
  readonly isShort: boolean;
}

const print = (text: string) => void process.stdout.write(`${text}\n`);

/** The seeds of one worker; told now and then. */
async function work({ from, to, isShort }: Share, tell: (part: Summary) => void): Promise<void> {
  let part = emptySummary();
  for (let seed = from; seed < to; seed += 1) {
    part = withReport(part, await simulate(seed));
    if (isShort && part.failures.length > 0) break;
    if (part.seeds < 50) continue;
    tell(part);
    part = emptySummary();
  }
  tell(part);
}

/** A worker's memory grows with every process that dies in a world, so each has so many worlds and then goes. */
const WORLDS = 500;

/** All seeds from `from` to `to`, by so many workers at a time. */
async function many({ from, to, isShort }: Share, workers: number): Promise<Summary> {
  let sum = emptySummary();
  let next = from;
  const add = (part: Summary): void => {
    for (const { seed, violations } of part.failures) {
      for (const violation of violations) print(`seed ${seed}: ${violation}`);
      print(`  again, line by line: npm run simulate -- --seed ${seed}`);
    }
    sum = withSummary(sum, part);
    process.stderr.write(`\r${sum.seeds} seeds, ${sum.failures.length} broken `);
  };
  const workThrough = async (): Promise<void> => {
    while (next < to && !(isShort && sum.failures.length > 0)) {
      const begin = next;
      next = Math.min(to, begin + WORLDS);
      await inWorker({ from: begin, to: next, isShort }, add);
    }
  };
  await Promise.all(Array.from({ length: workers }, workThrough));
  process.stderr.write('\r');
  return sum;
}

function inWorker(share: Share, add: (part: Summary) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData: share });
    worker.on('message', add);
    worker.on('error', reject);
    worker.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`a worker ended with ${code}`))));
  });
}

function withSummary(sum: Summary, part: Summary): Summary {
  const outcomes = new Map(sum.outcomes);
  for (const [name, count] of part.outcomes) outcomes.set(name, (outcomes.get(name) ?? 0) + count);
  const facts = new Map(sum.facts);
  for (const [name, count] of part.facts) facts.set(name, (facts.get(name) ?? 0) + count);
  return {
    seeds: sum.seeds + part.seeds,
    steps: sum.steps + part.steps,
    starts: sum.starts + part.starts,
    executions: sum.executions + part.executions,
    simulatedMs: sum.simulatedMs + part.simulatedMs,
    failures: [...sum.failures, ...part.failures],
    outcomes,
    facts,
  };
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string' },
      seed: { type: 'string' },
      from: { type: 'string', default: '1' },
      workers: { type: 'string', default: '2' },
      mutants: { type: 'boolean', default: false },
      first: { type: 'boolean', default: false },
    },
  });
  if (values.seed !== undefined) return one(Number(values.seed));
  if (values.mutants) return (await findMutants(Number(values.seeds ?? 10_000), Number(values.workers), print)) ? 0 : 1;
  const from = Number(values.from);
  const to = from + Number(values.seeds ?? 1000);
  const begin = performance.now();
  const sum = await many({ from, to, isShort: values.first }, Number(values.workers));
  print(summaryText(sum, (performance.now() - begin) / 1000));
  return sum.failures.length === 0 ? 0 : 1;
}

async function one(seed: number): Promise<number> {
  const { trace, violations, facts } = await simulate(seed, { traces: true });
  print(trace.join('\n'));
  print(`seed ${seed}; what befell it: ${facts.join(', ') || 'nothing but the weather'}`);
  for (const violation of violations) print(`broken at ${violation}`);
  if (violations.length === 0) print('nothing was broken');
  return violations.length === 0 ? 0 : 1;
}

if (isMainThread) process.exitCode = await main();
else await work(workerData as Share, (part) => parentPort?.postMessage(part));
