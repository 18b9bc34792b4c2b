import { spawn } from 'node:child_process';
import process from 'node:process';
import type { Environment } from './environment.ts';

/** Runs one program to its end in a process group of its own, so that stopping it also stops what it started. */

export interface RunOptions {
  readonly env: Environment;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly input?: Uint8Array | string;
  /** Takes stdout piece by piece; false: it has seen enough, the program is stopped and the run counts as ended well. */
  readonly onStdout?: (chunk: Buffer) => boolean;
}

export type RunEnd =
  | { readonly kind: 'exited'; readonly code: number; readonly stdout: Buffer; readonly stderr: string }
  | { readonly kind: 'enough' }
  | { readonly kind: 'timeout' | 'aborted' }
  /** Such as ENOENT. */
  | { readonly kind: 'not-started'; readonly errno: string };

const KEPT_STDERR = 64 * 1024;
const KILL_AFTER_MS = 2_000;

/** Never rejects. */
export function runProcess(command: string, args: readonly string[], options: RunOptions): Promise<RunEnd> {
  if (options.signal.aborted) return Promise.resolve({ kind: 'aborted' });
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: '/', env: { ...options.env }, detached: true, stdio: 'pipe' });
    const stdout: Buffer[] = [];
    let stderr = '';
    let stopped: 'enough' | 'timeout' | 'aborted' | undefined;
    let killTimer: NodeJS.Timeout | undefined;

    const stop = (why: 'enough' | 'timeout' | 'aborted'): void => {
      if (stopped !== undefined) return;
      stopped = why;
      killGroup(child.pid, 'SIGTERM');
      killTimer = setTimeout(() => killGroup(child.pid, 'SIGKILL'), KILL_AFTER_MS);
    };
    const timer = setTimeout(() => stop('timeout'), options.timeoutMs);
    const onAbort = (): void => stop('aborted');
    const end = (answer: RunEnd): void => {
      clearTimeout(timer);
      clearTimeout(killTimer);
      options.signal.removeEventListener('abort', onAbort);
      resolve(answer);
    };

    options.signal.addEventListener('abort', onAbort, { once: true });
    child.stdout.on('data', (chunk: Buffer) => {
      if (options.onStdout === undefined) stdout.push(chunk);
      else if (stopped === undefined && !options.onStdout(chunk)) stop('enough');
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (stderr.length < KEPT_STDERR) stderr += text;
    });
    // A program that ends without reading its input is judged by its exit code.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
    child.once('error', (error: NodeJS.ErrnoException) => end({ kind: 'not-started', errno: error.code ?? 'error' }));
    child.once('close', (code) => {
      if (stopped === undefined) end({ kind: 'exited', code: code ?? -1, stdout: Buffer.concat(stdout), stderr });
      else end({ kind: stopped });
    });
  });
}

function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // It is gone already.
  }
}
