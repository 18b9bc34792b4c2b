import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { RUN_FILES, type Started } from '../../../domain/run-directory.ts';
import { isErrno } from '../../durable-file.ts';
import { isDead, type ProcessStat, readStat } from '../../process-identity.ts';

export interface MemberQuery {
  readonly directory: string;
  readonly started: Started | null;
}

/**
 * All living processes of these runs, by run directory, from one look through /proc. A process belongs to a run when it
 * is its runner, when its HOME is the run's, or when it shares the session of one of these: the runner is started in a
 * session of its own. A session with a terminal is a person's, who looks into the run; only HOME counts there.
 */
export function findMembers(queries: readonly MemberQuery[]): ReadonlyMap<string, readonly ProcessStat[]> {
  const processes = livingProcesses();
  const homes = homesOf(processes);
  const ownSession = readStat(process.pid)?.session;
  return new Map(queries.map((query) => [query.directory, membersOf(query)]));

  function membersOf({ directory, started }: MemberQuery): ProcessStat[] {
    const home = path.join(directory, RUN_FILES.home);
    const names = new Set([home, realPath(home)]);
    const isRunner = (stat: ProcessStat): boolean => stat.pid === started?.pid && stat.startTime === started.start_time;
    const core = processes.filter((stat) => isRunner(stat) || names.has(homes.get(stat.pid) ?? ''));
    const sessions = new Set(core.filter((stat) => stat.terminal === 0).map((stat) => stat.session));
    if (ownSession !== undefined) sessions.delete(ownSession);
    return processes.filter((stat) => core.includes(stat) || sessions.has(stat.session));
  }
}

/** Kills each that is still the process that was seen. Answers the pids that we were not allowed to kill. */
export function killMembers(members: readonly ProcessStat[]): readonly number[] {
  return members.filter((member) => !signalMember(member, 'SIGKILL')).map((member) => member.pid);
}

/** False: we may not. A process that is gone counts as signalled. */
export function signalMember(member: Pick<ProcessStat, 'pid' | 'startTime'>, signal: NodeJS.Signals): boolean {
  if (readStat(member.pid)?.startTime !== member.startTime) return true;
  try {
    process.kill(member.pid, signal);
    return true;
  } catch (error) {
    if (isErrno(error, 'ESRCH')) return true;
    if (isErrno(error, 'EPERM')) return false;
    throw error;
  }
}

function livingProcesses(): ProcessStat[] {
  const pids = readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name));
  const stats = pids.map((pid) => readStat(Number(pid))).filter((stat) => stat !== null);
  return stats.filter((stat) => !isDead(stat) && stat.pid !== process.pid);
}

function homesOf(processes: readonly ProcessStat[]): ReadonlyMap<number, string> {
  const homes = new Map<number, string>();
  for (const { pid } of processes) {
    const home = homeOf(pid);
    if (home !== null) homes.set(pid, home);
  }
  return homes;
}

/** HOME as the process was started with; null: none, or not ours to know (then it is no process of ours either). */
function homeOf(pid: number): string | null {
  try {
    return /(?:^|\0)HOME=([^\0]*)/.exec(readFileSync(`/proc/${pid}/environ`, 'utf8'))?.[1] ?? null;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH', 'EACCES', 'EPERM')) return null;
    throw error;
  }
}

function realPath(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    return file;
  }
}
