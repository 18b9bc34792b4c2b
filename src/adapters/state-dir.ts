import { readdir, readFile, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { TransientError, UsageError } from '../errors.ts';
import { createDurably, isErrno, mkdirDurably, sweepTemporaries, writeDurably } from './durable-file.ts';
import { isAlive, ownIdentity, readBootId, readPidNamespace } from './process-identity.ts';

/** Where things lie beneath `[dispatcher] state_dir`. */
export interface StateLayout {
  readonly root: string;
  /** The clone and log spools; may be deleted at any time. */
  readonly cache: string;
  /** Unanswered requests and subprocess runs; no cache. */
  readonly runs: string;
  /** Tickets of `file` access. */
  readonly tickets: string;
  /** Default of `[access.file] dir`. */
  readonly secrets: string;
}

export function stateLayout(stateDir: string): StateLayout {
  const root = path.resolve(stateDir);
  const runs = path.join(root, 'runs');
  return {
    root,
    cache: path.join(root, 'cache'),
    runs,
    tickets: path.join(runs, 'tickets'),
    secrets: path.join(root, 'secrets'),
  };
}

export interface StateDir {
  readonly layout: StateLayout;
  /** Frees the lock; again is no error. */
  release(): Promise<void>;
}

/**
 * Makes the directories and takes the lock: one process uses a state_dir. Throws UsageError (ERR_LOCKED) while another
 * one holds it, TransientError (ERR_STORE_UNAVAILABLE) while the disk is full. Whoever gets an answer holds it until `release` or its own death.
 */
export async function openStateDir(stateDir: string): Promise<StateDir> {
  try {
    return await takeStateDir(stateLayout(stateDir));
  } catch (error) {
    if (!isErrno(error, 'ENOSPC', 'EDQUOT')) throw error;
    throw new TransientError('ERR_STORE_UNAVAILABLE', 'cannot take the lock of state_dir: the disk is full', {
      cause: error,
    });
  }
}

async function takeStateDir(layout: StateLayout): Promise<StateDir> {
  // A run under another uid has to pass through the root and runs/ to its own directory, but can list neither.
  await mkdirDurably(layout.root, 0o711);
  await mkdirDurably(layout.cache);
  await mkdirDurably(layout.runs, 0o711);
  const release = await takeLock(layout.root);
  for (const directory of [layout.root, layout.runs, layout.tickets]) await sweepTemporaries(directory);
  return { layout, release };
}

/** Who holds the lock of a state_dir at this moment; null: nobody. Changes nothing. Throws Node's own errors. */
export async function lockHolder(stateDir: string): Promise<{ readonly pid: number; readonly host: string } | null> {
  const { root } = stateLayout(stateDir);
  const numbers = await lockNumbers(root).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  });
  return numbers.length === 0 ? null : holderOf(lockFile(root, Math.max(...numbers)));
}

/*
 * The lock is a row of numbered files `lock.<n>`; the highest one counts, and it is never deleted, only freed. Whoever
 * finds the highest one free or its holder dead links lock.<n + 1>: exactly one link succeeds. Since the highest number
 * never falls, a number that existed before and was tidied away shows by a higher one beside it, so a slow process that
 * decided on an old view backs off. With a single file that is unlinked and made anew two processes can both win.
 */
const LOCK = /^lock\.([1-9][0-9]*)$/;
/** A holder that we can't look up (another container or machine) counts as alive this long after its last sign. */
const SIGN_EVERY_MS = 5_000;
const SIGN_LASTS_MS = 20_000;

const lockSchema = z.object({
  pid: z.int().min(1),
  start_time: z.string(),
  boot_id: z.string(),
  pid_namespace: z.string(),
  host: z.string(),
  released: z.boolean(),
});
type Lock = z.infer<typeof lockSchema>;

/** Answers the function that frees the lock. */
async function takeLock(root: string): Promise<() => Promise<void>> {
  const own: Lock = { ...ownIdentity(), pid_namespace: readPidNamespace(), host: hostname(), released: false };
  const highest = Math.max(0, ...(await lockNumbers(root)));
  if (highest > 0) await refuseIfHeld(lockFile(root, highest));
  const file = lockFile(root, highest + 1);
  if (!(await createDurably(file, JSON.stringify(own)))) throw lockedBy(file, 'a process that was quicker');
  const numbers = await lockNumbers(root);
  if (numbers.some((number) => number > highest + 1)) {
    await rm(file, { force: true });
    throw lockedBy(file, 'a process that was quicker');
  }
  for (const number of numbers.filter((older) => older <= highest)) await rm(lockFile(root, number), { force: true });
  const signs = setInterval(() => void giveSign(file), SIGN_EVERY_MS);
  signs.unref();
  return async () => {
    clearInterval(signs);
    await writeDurably(file, JSON.stringify({ ...own, released: true }));
  };
}

const lockFile = (root: string, number: number): string => path.join(root, `lock.${number}`);

async function lockNumbers(root: string): Promise<number[]> {
  const names = await readdir(root);
  return names.flatMap((name) => LOCK.exec(name)?.[1] ?? []).map(Number);
}

async function refuseIfHeld(file: string): Promise<void> {
  const holder = await holderOf(file);
  if (holder !== null) throw lockedBy(file, `process ${holder.pid} on ${JSON.stringify(holder.host)}`);
}

/** null: freed, or its holder is dead. */
async function holderOf(file: string): Promise<Lock | null> {
  const lock = await readLock(file);
  if (lock === null || lock.released) return null;
  const canLookUp = lock.boot_id === readBootId() && lock.pid_namespace === readPidNamespace();
  return (canLookUp ? isAlive(lock) : await hasFreshSign(file)) ? lock : null;
}

/** null: gone, or no lock of ours. It is linked into place whole, so a torn one is nobody's. */
async function readLock(file: string): Promise<Lock | null> {
  try {
    return lockSchema.safeParse(JSON.parse(await readFile(file, 'utf8'))).data ?? null;
  } catch (error) {
    if (error instanceof SyntaxError || isErrno(error, 'ENOENT')) return null;
    throw error;
  }
}

async function hasFreshSign(file: string): Promise<boolean> {
  try {
    return Math.abs(Date.now() - (await stat(file)).mtimeMs) < SIGN_LASTS_MS;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

async function giveSign(file: string): Promise<void> {
  const now = new Date();
  // Only a stranger in another container reads the sign; a full or vanished disk shows elsewhere.
  await utimes(file, now, now).catch(() => undefined);
}

function lockedBy(file: string, holder: string): UsageError {
  return new UsageError('ERR_LOCKED', `${path.dirname(file)} is in use by ${holder}`);
}
