import path from 'node:path';
import { parseArgs } from 'node:util';
import { RUN_FILES } from '../domain/run-directory.ts';
import type { Site } from './run.ts';

/** What the command line says. */
export interface Invocation
  extends Pick<Site, 'directory' | 'artifacts' | 'runAs' | 'vault' | 'vaultNamespace' | 'botToken' | 'agentData'> {
  /** null: stdin. */
  readonly payload: string | null;
}

const TEXT = { type: 'string' } as const;
const OPTIONS = {
  'run-dir': TEXT,
  payload: TEXT,
  'run-as': TEXT,
  artifacts: TEXT,
  vault: TEXT,
  'vault-namespace': TEXT,
  'bot-token': TEXT,
  'agent-data': TEXT,
};

/** `--run-dir DIR` alone, or any of the others, in any order. null: it makes no sense. */
export function readArguments(args: readonly string[]): Invocation | null {
  const values = parseOptions(args);
  // An empty path is a variable that was not set; resolved it would be our working directory.
  if (values === null || Object.values(values).includes('')) return null;
  const { 'run-dir': runDirectory, payload = null, 'run-as': user, artifacts } = values;
  if (runDirectory !== undefined) {
    if (Object.keys(values).length > 1) return null;
    const directory = path.resolve(runDirectory);
    return { ...NONE, directory, payload: path.join(directory, RUN_FILES.payload) };
  }
  const runAs = user === undefined ? null : userOf(user);
  if (runAs === undefined) return null;
  return {
    directory: null,
    payload,
    artifacts: full(artifacts),
    runAs,
    vault: values.vault ?? null,
    vaultNamespace: values['vault-namespace'] ?? '',
    botToken: full(values['bot-token']),
    agentData: full(values['agent-data']),
  };
}

const NONE = { artifacts: null, runAs: null, vault: null, vaultNamespace: '', botToken: null, agentData: null };

const full = (file: string | undefined) => (file === undefined ? null : path.resolve(file));

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
