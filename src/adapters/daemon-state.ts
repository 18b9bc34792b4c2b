import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { type DaemonState, daemonStateSchema } from '../domain/daemon-state.ts';
import { isErrno, writeDurably } from './durable-file.ts';

const fileIn = (stateDir: string): string => path.join(stateDir, 'daemon.json');

/** Replaces what the daemon said of itself before. Throws Node's own errors. */
export async function writeDaemonState(stateDir: string, state: DaemonState): Promise<void> {
  await writeDurably(fileIn(stateDir), `${JSON.stringify(state)}\n`);
}

/** What the daemon of this state_dir said last, also if it has ended since; null: nothing that can be read. */
export async function readDaemonState(stateDir: string): Promise<DaemonState | null> {
  try {
    return daemonStateSchema.parse(JSON.parse(await readFile(fileIn(stateDir), 'utf8')));
  } catch (error) {
    if (error instanceof Error && (error.name === 'ZodError' || error instanceof SyntaxError)) return null;
    if (isErrno(error, 'ENOENT', 'EACCES', 'EPERM', 'ENOTDIR')) return null;
    throw error;
  }
}
