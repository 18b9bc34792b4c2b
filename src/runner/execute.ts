import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { OutputStream } from './output.ts';
import { makePipes, type Pipe } from './pipes.ts';
import type { Places } from './places.ts';
import { isAlone, killLeftovers, signalGroup, type Trace } from './processes.ts';
import type { Program } from './program.ts';
import { errorCode, RunnerError } from './runner-error.ts';

export interface Execution {
  readonly program: Program;
  readonly environment: Readonly<Record<string, string>>;
  readonly places: Places;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  /** Aborted: the command is to end. TERM to its process group, KILL after `graceMs`. */
  readonly stop: AbortSignal;
  readonly graceMs: number;
}

export interface CommandEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** ISO 8601. */
  readonly startedAt: string;
  /** It was told to end before it had ended. */
  readonly isStopped: boolean;
}

/** Between two looks at a pipe that stays open although the command has ended. */
const LOOK_MS = 250;

/**
 * Runs the command and forwards its output. Resolves when it has ended, nothing of it is left and its output is handed
 * over. Throws RunnerError (ERR_COMMAND_NOT_FOUND, ERR_RUNNER) when it could not be started.
 */
export async function execute(execution: Execution): Promise<CommandEnd> {
  const pipes = makePipes(execution.places);
  const user = userOfRun(execution.places);
  try {
    const command = await start(execution, pipes);
    const startedAt = new Date().toISOString();
    const forwarded = Promise.all([
      pipes.stdout.forwardTo(execution.stdout),
      pipes.stderr.forwardTo(execution.stderr),
    ]).then(() => true as const);
    const end = await endOf(command, execution);
    await putAway(traceOf(groupOf(command), user, execution), forwarded, [pipes.stdout, pipes.stderr]);
    return { ...end, startedAt };
  } finally {
    pipes.stdout.close();
    pipes.stderr.close();
  }
}

/** In a process group and session of its own, so that all of it can be signalled and none of it gets our signals. */
async function start(execution: Execution, pipes: { stdout: Pipe; stderr: Pipe }): Promise<ChildProcess> {
  const { program, environment, places } = execution;
  const [file, ...args] = program.argv;
  const stdin = openSync(program.stdin ?? '/dev/null', 'r');
  try {
    const command = spawn(file, args, {
      detached: true,
      cwd: places.work,
      env: environment,
      stdio: [stdin, pipes.stdout.fd, pipes.stderr.fd],
      ...places.owner,
    });
    await once(command, 'spawn');
    return command;
  } catch (error) {
    throw startError(file, errorCode(error));
  } finally {
    closeSync(stdin);
    pipes.stdout.release();
    pipes.stderr.release();
  }
}

const NOT_FOUND = new Set(['ENOENT', 'ENOTDIR', 'EACCES', 'ENOEXEC', 'ELOOP']);

function startError(file: string, code = 'error'): RunnerError {
  if (!NOT_FOUND.has(code)) return new RunnerError('ERR_RUNNER', `the command can't be started (${code})`);
  const why = code === 'EACCES' ? "can't be executed" : 'is not there';
  return new RunnerError('ERR_COMMAND_NOT_FOUND', `${JSON.stringify(file)} ${why} (${code})`);
}

/** Never 0: to signal that would be to signal ourselves. */
function groupOf(command: ChildProcess): number {
  if (command.pid !== undefined) return command.pid;
  throw new RunnerError('ERR_RUNNER', 'the command has no process id');
}

async function endOf(command: ChildProcess, { stop, graceMs }: Execution): Promise<Omit<CommandEnd, 'startedAt'>> {
  const group = groupOf(command);
  let patience: NodeJS.Timeout | undefined;
  const onStop = () => {
    signalGroup(group, 'SIGTERM');
    patience = setTimeout(() => signalGroup(group, 'SIGKILL'), graceMs);
  };
  const ended = once(command, 'exit');
  stop.addEventListener('abort', onStop, { once: true });
  if (stop.aborted) onStop();
  try {
    const [code, signal] = (await ended) as [number | null, NodeJS.Signals | null];
    return { code, signal, isStopped: stop.aborted };
  } finally {
    stop.removeEventListener('abort', onStop);
    clearTimeout(patience);
  }
}

/** null: others may run as this user too. To be asked before the command starts. */
function userOfRun({ isOwnRoot, owner }: Places): number | null {
  return isOwnRoot && owner !== null && isAlone() ? owner.uid : null;
}

function traceOf(group: number, user: number | null, { places }: Execution): Trace {
  const { home, work, agentData } = places;
  const directories = [home, work, ...(agentData === null ? [] : [agentData])];
  return { group, user, variables: [`HOME=${home}`], directories, files: [] };
}

/** Kills what is left, and waits for the rest of the output, but not for somebody who keeps the pipes open. */
async function putAway(trace: Trace, forwarded: Promise<true>, pipes: readonly Pipe[]): Promise<void> {
  await killLeftovers(trace);
  while (!(await Promise.race([forwarded, delay(LOOK_MS, false)]))) {
    await killLeftovers({ ...trace, files: pipes.map(({ label }) => label) });
    if (!pipes.every(({ isIdle }) => isIdle)) continue;
    for (const pipe of pipes) pipe.close();
    await forwarded;
    return;
  }
}
