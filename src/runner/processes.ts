import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';

const ROUNDS = 100;
const ROUND_MS = 10;

/** Field 22 of /proc/<pid>/stat: clock ticks since boot. Together with the boot id it tells a recycled pid apart. */
export function startTimeOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The second field is the program's name in brackets and may hold blanks and brackets itself.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[19] ?? '';
}

export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
}

/** Signals every process of the group; none left is no error. */
export function signalGroup(group: number, signal: 'SIGTERM' | 'SIGKILL'): void {
  signalPid(-group, signal);
}

/**
 * Kills what a run left behind: the rest of its process group, and every process that left the group (setsid, a daemon)
 * but still carries one of `marks` (`HOME=/…/home`) in its environment, or holds one of the files `pipes` open.
 * Returns when there is none any more, or after about a second.
 */
export async function killLeftovers(group: number, marks: readonly string[], pipes: readonly string[]): Promise<void> {
  for (let round = 0; round < ROUNDS; round += 1) {
    signalGroup(group, 'SIGKILL');
    const left = otherProcesses().filter((pid) => carries(pid, marks) || holds(pid, pipes));
    if (left.length === 0) return;
    for (const pid of left) signalPid(pid, 'SIGKILL');
    await delay(ROUND_MS);
  }
}

function signalPid(pid: number, signal: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone already, or not ours to signal: nothing more can be done about it.
  }
}

function otherProcesses(): number[] {
  const pids = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  return pids.filter((pid) => pid !== process.pid);
}

function carries(pid: number, marks: readonly string[]): boolean {
  try {
    const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    return marks.some((mark) => environment.includes(mark));
  } catch {
    return false;
  }
}

function holds(pid: number, pipes: readonly string[]): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => pipes.includes(readlinkSync(`/proc/${pid}/fd/${fd}`)));
  } catch {
    return false;
  }
}
