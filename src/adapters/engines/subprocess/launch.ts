import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import path from 'node:path';
import { RUN_FILES } from '../../../domain/run-directory.ts';
import type { EngineTools } from '../../factory.ts';

/** Nothing of the daemon's own environment: it may hold credentials. */
const RUNNER_ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LANG: 'C.UTF-8',
};

// A directory may hold the streams of an earlier start that failed, and the loser of two starts writes nothing.
const APPEND = constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY | constants.O_NOFOLLOW;

/** A runner that was started and is left alone: it lives on when we end. */
export interface Launched {
  /** `exit code 1`, `signal SIGKILL` or why it could not be started; null while it lives. */
  readonly ended: string | null;
}

/** Starts the runner in a session of its own. `onEnd` is called once when it has ended. Throws Node's own errors. */
export async function launch(
  { runner, runnerEnvironment }: Pick<EngineTools, 'runner' | 'runnerEnvironment'>,
  directory: string,
  onEnd: () => void,
): Promise<Launched> {
  const [program, ...rest] = runner;
  if (program === undefined) throw new Error('the runner has no argv');
  const stdout = await open(path.join(directory, RUN_FILES.stdout), APPEND, 0o600);
  try {
    const stderr = await open(path.join(directory, RUN_FILES.stderr), APPEND, 0o600);
    try {
      const argv = [program, ...rest, '--run-dir', directory] as const;
      return observe(start(argv, { ...RUNNER_ENVIRONMENT, ...runnerEnvironment }, [stdout, stderr]), onEnd);
    } finally {
      await stderr.close();
    }
  } finally {
    await stdout.close();
  }
}

function start(
  [program, ...args]: readonly [string, ...string[]],
  env: Readonly<Record<string, string>>,
  [stdout, stderr]: [FileHandle, FileHandle],
): ChildProcess {
  const child = spawn(program, args, {
    detached: true,
    cwd: '/',
    env,
    stdio: ['ignore', stdout.fd, stderr.fd],
  });
  child.unref();
  return child;
}

function observe(child: ChildProcess, onEnd: () => void): Launched {
  const launched: { ended: string | null } = { ended: null };
  const end = (how: string): void => {
    launched.ended ??= how;
    onEnd();
  };
  child.once('error', (error) => end(error.message));
  child.once('exit', (code, signal) => end(signal === null ? `exit code ${code}` : `signal ${signal}`));
  return launched;
}
