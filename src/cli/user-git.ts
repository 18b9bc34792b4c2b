import { execFile } from 'node:child_process';
import { isErrno } from '../adapters/durable-file.ts';
import { StalledError } from '../errors.ts';
import type { Io } from './io.ts';

/**
 * Git in the user's own repo and with the user's own configuration, without a final newline; null: git said no. Nothing
 * is asked and nothing is run by it: no prompt, no hook, no pager. Throws StalledError when there is no git.
 */
export async function userGit(io: Io, dir: string, args: readonly string[]): Promise<string | null> {
  const out = await runQuietly(
    io,
    'git',
    ['-c', 'core.hooksPath=/dev/null', '-c', 'core.fsmonitor=false', ...args],
    dir,
  );
  return out?.toString('utf8').replace(/\n$/, '') ?? null;
}

/** The bytes of a blob of that repo. Throws StalledError when it can't be read. */
export async function readBlob(io: Io, dir: string, oid: string): Promise<Uint8Array> {
  const bytes = await runQuietly(io, 'git', ['cat-file', 'blob', oid], dir);
  if (bytes !== null) return bytes;
  throw new StalledError('ERR_GIT_UNAVAILABLE', `git cannot read the object ${oid}`, { hint: 'Run git fsck.' });
}

/** A program's stdout; null when it ended badly or took too long. Its own words may hold anything and are dropped. */
export function runQuietly(io: Io, program: string, args: readonly string[], cwd: string): Promise<Buffer | null> {
  const options = {
    encoding: 'buffer',
    cwd,
    env: environment(io),
    timeout: TIMEOUT_MS,
    maxBuffer: MAX_OUTPUT_BYTES,
    signal: io.signal,
  } as const;
  return new Promise((resolve, reject) => {
    const child = execFile(program, args, options, (error, stdout) => {
      if (error === null) resolve(stdout);
      else if (isErrno(error, 'ENOENT')) reject(notThere(program));
      else resolve(null);
    });
    child.stdin?.end();
  });
}

const TIMEOUT_MS = 30_000;
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

function notThere(program: string): StalledError {
  return new StalledError('ERR_GIT_UNAVAILABLE', `${program} could not be started`, { hint: `Install ${program}.` });
}

/** A hook's variables name the repo that the hook runs for, which need not be the one that is meant here. */
function environment(io: Io): Record<string, string | undefined> {
  const kept = Object.entries(io.env).filter(([name]) => !/^GIT_(?!CONFIG)/.test(name));
  return {
    ...Object.fromEntries(kept),
    LC_ALL: 'C',
    GIT_TERMINAL_PROMPT: '0',
    GIT_OPTIONAL_LOCKS: '0',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_PAGER: 'cat',
  };
}
