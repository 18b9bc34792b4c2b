import { readFileSync, readlinkSync } from 'node:fs';
import process from 'node:process';
import { isErrno } from './durable-file.ts';

/**
 * Tells one process from every other that has or will have its pid: a pid is used again, but not with the same start
 * time in the same boot.
 */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/<pid>/stat: clock ticks since boot. */
  readonly start_time: string;
  readonly boot_id: string;
}

/** What /proc/<pid>/stat says of a process. */
export interface ProcessStat {
  readonly pid: number;
  readonly state: string;
  readonly group: number;
  readonly session: number;
  /** 0: no controlling terminal. */
  readonly terminal: number;
  readonly startTime: string;
}

/** Of this boot of the machine. Throws Node's own error where there is no /proc. */
export function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

/** The caller's own identity. */
export function ownIdentity(): ProcessIdentity {
  const stat = readStat(process.pid);
  if (stat === null) throw new Error('no /proc entry of the own process');
  return { pid: process.pid, start_time: stat.startTime, boot_id: readBootId() };
}

/** Pids mean the same to two processes only where this is equal. */
export function readPidNamespace(): string {
  return readlinkSync('/proc/self/ns/pid');
}

/** True while exactly this process lives; a zombie is dead, it executes nothing any more. */
export function isAlive(identity: ProcessIdentity, bootId: string = readBootId()): boolean {
  if (identity.boot_id !== bootId) return false;
  return isRunning(readStat(identity.pid), identity.start_time);
}

function isRunning(stat: ProcessStat | null, startTime: string): boolean {
  return stat !== null && stat.startTime === startTime && !isDead(stat);
}

export function isDead(stat: ProcessStat): boolean {
  return stat.state === 'Z' || stat.state === 'X';
}

/** null: there is no such process. */
export function readStat(pid: number): ProcessStat | null {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return null;
    throw error;
  }
}

/** null: no line of this file. */
export function parseStat(line: string): ProcessStat | null {
  // The second field is the program's name in brackets and may itself hold spaces and brackets.
  const end = line.lastIndexOf(')');
  const fields = line.slice(end + 2).split(' ');
  const [state, , group, session, terminal] = fields;
  const startTime = fields[19];
  const pid = Number.parseInt(line, 10);
  if (end < 0 || state === undefined || startTime === undefined || !Number.isSafeInteger(pid)) return null;
  return { pid, state, group: Number(group), session: Number(session), terminal: Number(terminal), startTime };
}
