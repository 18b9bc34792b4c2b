import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { STANDARD_PATH } from './environment.ts';

/** What the processes of a run are known by. A process that shows any of it belongs to the run. */
export interface Trace {
  /** Process group and session of the command. */
  readonly group: number;
  /** `NAME=value` of the environment that the run's processes were started with and no other is. */
  readonly variables: readonly string[];
  /** A working directory in one of these; not at a terminal, where a person may look into the run. */
  readonly directories: readonly string[];
  /** Files held open, as /proc/<pid>/fd shows them; looking for these is dear. */
  readonly files: readonly string[];
  /** A user that only the run has processes of; null: others may have some. For where we may not look into them. */
  readonly user: number | null;
}

/** A process that forks faster than we look is killed in one of these rounds. */
const ROUNDS = 100;
const ROUND_MS = 10;

/** Field 22 of /proc/<pid>/stat: clock ticks since boot. Together with the boot id it tells a recycled pid apart. */
export function startTimeOf(pid: number): string {
  return statOf(pid)[19] ?? '';
}

export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
}

/** Signals every process of the group; none left is no error. */
export function signalGroup(group: number, signal: 'SIGTERM' | 'SIGKILL'): void {
  signalPid(-group, signal);
}

/**
 * Kills what a run left behind, also what left its process group (setsid, a daemon). Resolves when nothing of it can be
 * seen any more, or after about a second when something can't be killed.
 */
export async function killLeftovers(trace: Trace): Promise<void> {
  for (let round = 0; round < ROUNDS; round += 1) {
    signalGroup(trace.group, 'SIGKILL');
    const left = otherProcesses().filter((pid) => belongs(pid, trace));
    if (left.length === 0) return;
    if (trace.user !== null && round > 0) killAllOf(trace.user);
    for (const pid of left) signalPid(pid, 'SIGKILL');
    await delay(ROUND_MS);
  }
}

/**
 * In one step of the kernel, which nobody outruns by forking. Said by that user, who may signal nobody else: said by root it
 * would end everything that there is, so for root it is never said.
 */
function killAllOf(user: number): void {
  if (user === 0 || process.getuid?.() !== 0) return;
  // It may fail where no process can be made; what is killed one by one makes room for the next round.
  const options = { uid: user, gid: user, env: { PATH: STANDARD_PATH }, stdio: 'ignore', timeout: 1_000 } as const;
  spawnSync('/bin/sh', ['-c', 'kill -KILL -1'], options);
}

/** Nobody but an init is here with us: the process table was made for this run, as a container's is. */
export function isAlone(): boolean {
  return otherProcesses().every((pid) => pid === 1);
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

/** A process that is gone, dead or not ours to look into belongs to nobody. */
function belongs(pid: number, trace: Trace): boolean {
  try {
    const [state = '', , , session, terminal] = statOf(pid);
    if ('ZX'.includes(state)) return false;
    if (Number(session) === trace.group || isOf(pid, trace) || carries(pid, trace)) return true;
    return (terminal === '0' && isIn(pid, trace)) || holds(pid, trace);
  } catch {
    return false;
  }
}

/** By `status`, which everybody may read of every process; root without CAP_SYS_PTRACE may not read the rest. */
function isOf(pid: number, { user }: Trace): boolean {
  if (user === null) return false;
  const [, ids = ''] = /^Uid:\s+(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? [];
  return ids.split(/\s+/).includes(String(user));
}

function carries(pid: number, { variables }: Trace): boolean {
  const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  return variables.some((variable) => environment.includes(variable));
}

function isIn(pid: number, { directories }: Trace): boolean {
  const cwd = readlinkSync(`/proc/${pid}/cwd`);
  return directories.some((directory) => `${cwd}/`.startsWith(`${directory}/`));
}

function holds(pid: number, { files }: Trace): boolean {
  if (files.length === 0) return false;
  return readdirSync(`/proc/${pid}/fd`).some((fd) => files.includes(readlinkSync(`/proc/${pid}/fd/${fd}`)));
}

/** Fields of /proc/<pid>/stat from the third on; the second, the name in brackets, may hold blanks and brackets. */
function statOf(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}
