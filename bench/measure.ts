import { createHook } from 'node:async_hooks';
import { readFile } from 'node:fs/promises';
import process from 'node:process';

/** Milliseconds in one tick of the times in /proc. */
const TICK_MS = 10;

/** Processor time of a process and of all its children that have ended, in milliseconds; exact to 10 ms. */
export async function cpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // Behind the name, which may hold anything: the third field and on.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
  return ticks * TICK_MS;
}

/** Resident memory of a process in MiB: now, and at its highest. */
export async function memory(pid: number): Promise<{ readonly now: number; readonly highest: number }> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const of = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024;
  return { now: of('VmRSS'), highest: of('VmHWM') };
}

/** What the work costs: median time of a round, mean processor time of a round with that of its child processes, both in ms. */
export async function cost(rounds: number, work: (round: number) => Promise<unknown>): Promise<Cost> {
  const times: number[] = [];
  const before = await cpuMs(process.pid);
  for (let round = 0; round < rounds; round += 1) {
    const start = performance.now();
    await work(round);
    times.push(performance.now() - start);
  }
  const cpu = ((await cpuMs(process.pid)) - before) / rounds;
  times.sort((a, b) => a - b);
  return { wall: times[Math.floor(rounds / 2)] ?? Number.NaN, cpu };
}

export interface Cost {
  readonly wall: number;
  readonly cpu: number;
}

/** Child processes that this process starts during the work. */
export async function processesOf(work: () => Promise<unknown>): Promise<number> {
  let count = 0;
  const hook = createHook({
    init(_id, type) {
      if (type === 'PROCESSWRAP') count += 1;
    },
  }).enable();
  try {
    await work();
  } finally {
    hook.disable();
  }
  return count;
}
