import path from 'node:path';
import { parseArgs } from 'node:util';
import { RUN_FILES } from '../domain/run-directory.ts';
import type { Site } from './run.ts';

/** What the command line says. */
export interface Invocation extends Pick<Site, 'directory' | 'artifacts' | 'runAs'> {
  /** null: stdin. */
  readonly payload: string | null;
}

const TEXT = { type: 'string' } as const;
const OPTIONS = { 'run-dir': TEXT, payload: TEXT, 'run-as': TEXT, artifacts: TEXT };

/** `--run-dir DIR` alone, or any of the others, in any order. null: it makes no sense. */
export function readArguments(args: readonly string[]): Invocation | null {
  const values = parseOptions(args);
  if (values === null) return null;
  const { 'run-dir': runDirectory, payload = null, 'run-as': user, artifacts } = values;
  if (runDirectory !== undefined) {
    if (Object.keys(values).length > 1) return null;
    const directory = path.resolve(runDirectory);
    return { directory, payload: path.join(directory, RUN_FILES.payload), artifacts: null, runAs: null };
  }
  const runAs = user === undefined ? null : userOf(user);
  if (runAs === undefined) return null;
  return { directory: null, payload, artifacts: artifacts === undefined ? null : path.resolve(artifacts), runAs };
}

function parseOptions(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, strict: true }).values;
  } catch {
    return null;
  }
}

/** `UID:GID`, not root's. undefined: it is none. */
function userOf(text: string): { uid: number; gid: number } | undefined {
  const [, uid, gid] = /^([1-9]\d{0,8}):([1-9]\d{0,8})$/.exec(text) ?? [];
  return uid === undefined || gid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) };
}
