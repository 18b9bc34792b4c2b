import { existsSync, readFileSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { type AttemptToken, isAttemptToken } from '../../../domain/ids.ts';
import type { StopRequest } from '../../../domain/run.ts';
import {
  type Exit,
  exitSchema,
  type Host,
  RUN_FILES,
  type Started,
  startedSchema,
} from '../../../domain/run-directory.ts';
import { createDurably, isErrno, mkdirDurably, writeDurably } from '../../durable-file.ts';

/** What the engine keeps beside the files of domain/run-directory.ts; the runner does not know of them. */
const ENGINE_FILES = {
  /** Since when the run is to stop, so that the wish and its patience outlive this process. */
  stop: 'stop.json',
  /** We are about to kill the runner ourselves: its end without exit.json is then no riddle. */
  killed: 'killed',
} as const;

const stopSchema = z.strictObject({ kind: z.enum(['cancel', 'deadline']), uptime_seconds: z.number() });

/** A file that its writer puts in place whole; `damaged` was therefore written by somebody else. */
export type Read<T> =
  | { readonly kind: 'none' }
  | { readonly kind: 'damaged' }
  | { readonly kind: 'read'; readonly value: T };

/** Throws a plain Error for what is no token: it would be a path of its own choice. */
export function runDirectory(runs: string, token: AttemptToken): string {
  if (!isAttemptToken(token)) throw new Error('not an attempt token');
  return path.join(runs, token);
}

/** What a run finds: its directory and, for the runner alone, what to do. The same bytes again are no error. */
export async function prepareRun(directory: string, host: Host, payload: Uint8Array): Promise<void> {
  const mode = host.run_as === null ? 0o700 : 0o711;
  await mkdirDurably(path.dirname(directory), 0o711);
  await mkdirDurably(directory, mode);
  await chmod(directory, mode);
  await writeDurably(path.join(directory, RUN_FILES.host), JSON.stringify(host));
  await writeDurably(path.join(directory, RUN_FILES.payload), payload);
}

export function hasRunDirectory(directory: string): boolean {
  return existsSync(directory);
}

export function readStarted(directory: string): Read<Started> {
  return readJson(path.join(directory, RUN_FILES.started), startedSchema);
}

export function readExit(directory: string): Read<Exit> {
  return readJson(path.join(directory, RUN_FILES.exit), exitSchema);
}

/** The exit of a runner that we killed. Never in the place of its own. */
export async function writeKilledExit(directory: string, startedAt: string, finishedAt: string): Promise<void> {
  const exit: Exit = {
    exit_code: 137,
    signal: 'SIGKILL',
    oom: false,
    stopped: true,
    started_at: startedAt,
    finished_at: finishedAt,
  };
  await createDurably(path.join(directory, RUN_FILES.exit), JSON.stringify(exit));
}

/** Notes the first wish to stop; later ones change nothing. `uptimeSeconds`: of the machine, which never jumps. */
export async function noteStop(directory: string, kind: StopRequest['kind'], uptimeSeconds: number): Promise<void> {
  const content = JSON.stringify({ kind, uptime_seconds: uptimeSeconds });
  await createDurably(path.join(directory, ENGINE_FILES.stop), content);
}

/** Uptime of the machine in seconds when the run was first asked to stop; null: it was not. */
export function stopNotedAt(directory: string): number | null {
  const stop = readJson(path.join(directory, ENGINE_FILES.stop), stopSchema);
  return stop.kind === 'read' ? stop.value.uptime_seconds : null;
}

export async function noteKill(directory: string): Promise<void> {
  await createDurably(path.join(directory, ENGINE_FILES.killed), '');
}

export function isKillNoted(directory: string): boolean {
  return existsSync(path.join(directory, ENGINE_FILES.killed));
}

function readJson<S extends z.ZodType>(file: string, schema: S): Read<z.output<S>> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return { kind: 'none' };
    throw error;
  }
  try {
    const parsed = schema.safeParse(JSON.parse(text));
    return parsed.success ? { kind: 'read', value: parsed.data } : { kind: 'damaged' };
  } catch {
    return { kind: 'damaged' };
  }
}
