import { existsSync, rmSync, statSync } from 'node:fs';
import { access, constants, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { isErrno } from '../adapters/durable-file.ts';
import { lockHolder, openStateDir, stateLayout } from '../adapters/state-dir.ts';
import type { Config } from '../config.ts';
import { EdgeError, StalledError, TransientError, UsageError } from '../errors.ts';
import { createLog, type Logger } from '../log.ts';
import type { Journal } from '../ports/journal.ts';
import type { StoryContext } from '../story/context.ts';
import type { SidecarSettings } from '../story/sidecar/sidecars.ts';
import type { World } from '../story/world.ts';
import { type Wired, wire } from '../wiring.ts';
import type { GlobalOptions, Io } from './io.ts';
import { loadSettings } from './settings.ts';

/** What a command sees that only looks: the same world that the daemon judges, through a clone of its own. */
export interface Observed {
  readonly config: Config;
  readonly settings: Wired['settings'];
  /** The world of the last look. */
  readonly world: () => World;
  /** Issues that are worked on by themselves; null: none are configured. */
  readonly sidecars: SidecarSettings | null;
  /** Judges as the daemon does; whoever tries to claim with it gets an Error. */
  readonly context: StoryContext;
  /** The process that holds the state_dir; null: none does on this machine. */
  readonly daemon: { readonly pid: number; readonly host: string } | null;
  /** This user can't read the state_dir: pause, wishes and notes of attempts are not known. */
  readonly blind: boolean;
  /** Asks git anew. */
  readonly look: (signal?: AbortSignal) => Promise<World>;
}

/**
 * Takes a look at the ops repo and the journal, without the daemon and beside it, and does `work` with what it saw. It
 * changes nothing outside but a clone in state_dir/cache/cli (or, where that can't be had, in a temporary folder).
 * Throws UsageError for the configuration, TransientError and StalledError of the first look.
 */
export async function observe<T>(io: Io, options: GlobalOptions, work: (observed: Observed) => Promise<T>): Promise<T> {
  const config = configOf(io, options);
  const cache = await takeCache(config.dispatcher.state_dir);
  try {
    const acceptedTipFile = await copyAcceptedTip(config.dispatcher.state_dir, cache.dir);
    const wired = await wire(config, { log: quietLog(io), cacheDir: cache.dir, acceptedTipFile, looksOnly: true });
    try {
      return await work(await observedOf(wired, io));
    } catch (error) {
      if (io.signal.aborted && !(error instanceof EdgeError))
        throw new StalledError('ERR_SHUTTING_DOWN', 'interrupted');
      throw error;
    } finally {
      await wired.close();
    }
  } finally {
    await cache.release();
  }
}

/** A look that an outage, or the user's wish to stop, does not end: what was seen last still holds then. */
export async function lookAgain(observed: Observed, signal: AbortSignal): Promise<void> {
  try {
    await observed.look(signal);
  } catch (error) {
    if (!signal.aborted && !(error instanceof TransientError)) throw error;
  }
}

/** The configuration of a command about what is there already: the embedded default only where it was used before. */
export function configOf(io: Io, options: GlobalOptions): Config {
  const { config } = loadSettings(options, io);
  if (config.source !== 'embedded' || existsSync(config.ops_repo.url)) return config;
  throw new UsageError('ERR_CONFIG_FILE', 'there is neither a dispatcher.toml nor an ./edge-data here', {
    hint: 'Call it where dispatcher.toml lies, or name it with --config.',
  });
}

/** Mistakes of ours only: a command's own words are its output. */
export function quietLog(io: Io): Logger {
  return createLog({ stream: io.stderr, noColor: (io.env['NO_COLOR'] ?? '') !== '', level: 'error' }).log;
}

/** The user of the operating system, for "who asked for it". */
export function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}

/**
 * Throws UsageError where what we would write into the state_dir could not be read, or removed, by the daemon that owns
 * it (a command under sudo).
 */
export function requireOwnStateDir(stateDir: string): void {
  const owner = statSync(stateDir, { throwIfNoEntry: false })?.uid;
  if (owner === undefined || owner === process.getuid?.()) return;
  throw new UsageError('ERR_USAGE', `${stateDir} belongs to another user (uid ${owner})`, {
    hint: `Call it as that user: sudo -u '#${owner}' edge-dispatcher …`,
  });
}

async function observedOf(wired: Wired, io: Io): Promise<Observed> {
  const { config, parts, watcher, settings, sidecars = null } = wired;
  const { root } = stateLayout(config.dispatcher.state_dir);
  const blind = !(await isReadable(root));
  let world = await watcher.look(io.signal);
  const context: StoryContext = {
    ...parts,
    journal: readOnly(parts.journal),
    // Where another user's state_dir can't be read, what lies there is not known; `blind` says so.
    control: blind ? { ...parts.control, paused: nothing, stopRequest: nothing } : parts.control,
    records: { ...parts.records, load: (token) => parts.records.load(token).catch(() => null) },
    world: () => world,
    tell: () => undefined,
  };
  return {
    config,
    settings,
    world: () => world,
    sidecars,
    context,
    daemon: blind ? null : await lockHolder(root),
    blind,
    async look(signal) {
      world = await watcher.look(signal);
      return world;
    },
  };
}

const nothing = () => Promise.resolve(null);

function readOnly(journal: Journal): Journal {
  const never = () => Promise.reject(new Error('a command that only looks never writes to the journal'));
  return {
    refresh: (signal) => journal.refresh(signal),
    view: () => journal.view(),
    age: () => journal.age(),
    claim: never,
    update: never,
    end: never,
    adopt: never,
    adoptGiven: never,
    renew: never,
    takeOver: never,
  };
}

/** True also where there is nothing yet: then nothing is missed. */
async function isReadable(root: string): Promise<boolean> {
  const readable = constants.R_OK | constants.X_OK;
  for (const directory of [root, path.join(root, 'control')]) {
    try {
      await access(directory, readable);
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) return false;
    }
  }
  return true;
}

interface CacheDir {
  readonly dir: string;
  release(): Promise<void>;
}

/** The clone of the last command, if it is free and ours; else a new one that goes again. */
async function takeCache(stateDir: string): Promise<CacheDir> {
  const layout = stateLayout(stateDir);
  // Nothing is made in a state_dir that is not there yet or belongs to another user: the daemon could not remove it.
  if (statSync(layout.root, { throwIfNoEntry: false })?.uid === process.getuid?.()) {
    try {
      const own = await openStateDir(path.join(layout.cache, 'cli'));
      return { dir: own.layout.cache, release: () => own.release() };
    } catch (error) {
      const isTaken = error instanceof UsageError && error.code === 'ERR_LOCKED';
      if (!isTaken && !isErrno(error, 'EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'EDQUOT', 'ENOTDIR')) throw error;
    }
  }
  const dir = await mkdtemp(path.join(tmpdir(), 'edge-dispatcher-cli-'));
  // Also when the reader of our output goes away and ends us (`… | head`).
  const remove = () => rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  process.once('exit', remove);
  return {
    dir,
    async release() {
      process.off('exit', remove);
      await rm(dir, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

/** A rewritten branch shows as it does to the daemon; what we see ourselves must not count as seen by it. */
async function copyAcceptedTip(stateDir: string, cacheDir: string): Promise<string> {
  const copy = path.join(cacheDir, 'accepted-tip');
  try {
    await writeFile(copy, await readFile(path.join(stateDir, 'accepted-tip')));
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'EACCES', 'EPERM', 'ENOTDIR')) throw error;
    await rm(copy, { force: true });
  }
  return copy;
}
