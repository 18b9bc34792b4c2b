import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { StalledError } from '../errors.ts';

const execute = promisify(execFile);

export interface Author {
  readonly name: string;
  readonly email: string;
}

/**
 * Git in a work tree of ours (`demo`, the embedded default), without the user's configuration, hooks and prompts.
 * Throws StalledError with git's exit code; the tree holds nothing secret, so its own words are shown.
 */
export async function plainGit(dir: string, args: readonly string[], author: Author = OURSELVES): Promise<string> {
  try {
    const { stdout } = await execute('git', ['-c', 'core.hooksPath=/dev/null', '-c', 'gpg.format=ssh', ...args], {
      cwd: dir,
      env: {
        PATH: '/usr/local/bin:/usr/bin:/bin',
        HOME: dir,
        LC_ALL: 'C',
        GIT_CONFIG_NOSYSTEM: '1',
        GIT_CONFIG_GLOBAL: '/dev/null',
        GIT_TERMINAL_PROMPT: '0',
        GIT_AUTHOR_NAME: author.name,
        GIT_AUTHOR_EMAIL: author.email,
        GIT_COMMITTER_NAME: author.name,
        GIT_COMMITTER_EMAIL: author.email,
      },
    });
    return stdout.trim();
  } catch (error) {
    const words = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : 'could not be started';
    throw new StalledError('ERR_GIT_UNAVAILABLE', `git ${args[0] ?? ''}: ${words}`, { cause: error });
  }
}

const OURSELVES: Author = { name: 'edge-dispatcher', email: 'edge-dispatcher@localhost' };

/** Writes files (paths relative to `dir`, folders made as needed). Never overwrites. */
export async function writeNewFiles(dir: string, files: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const written: string[] = [];
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(dir, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, content, { flag: 'wx' }).then(
      () => written.push(name),
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
      },
    );
  }
  return written;
}
