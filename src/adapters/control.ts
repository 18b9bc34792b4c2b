import { statSync, watch } from 'node:fs';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { isRunId } from '../domain/ids.ts';
import type { StopRequest } from '../domain/run.ts';
import type { Control } from '../ports/control.ts';
import { isErrno, mkdirDurably, writeDurably } from './durable-file.ts';

const pauseSchema = z.object({ by: z.string(), at: z.string() });
const stopSchema = z.object({
  kind: z.literal('cancel'),
  by: z.string(),
  message: z.string(),
  at: z.string().optional(),
});

/** The operator's wishes as small files beneath `state_dir/control`; whoever may write there may ask. */
export function createFileControl(stateDir: string, now: () => Date): Control {
  const dir = path.join(stateDir, 'control');
  const pauseFile = path.join(dir, 'pause.json');
  // Only ids of sidecars have a slash, and no id has a tilde.
  const stopFile = (id: string) => path.join(dir, `cancel-${id.replaceAll('/', '~')}.json`);
  // Ids come from the journal too, where anybody may have written them: what is none names no file. Thousands are asked
  // for at a start, and hardly one is there: finding that out costs a twentieth of an open that fails.
  const stopRequest = async (id: string): Promise<StopRequest | null> =>
    isRunId(id) && isThere(stopFile(id)) ? readJson(stopFile(id), stopSchema) : null;

  return {
    paused: () => readJson(pauseFile, pauseSchema),
    async pause(by) {
      await mkdirDurably(dir);
      await writeDurably(pauseFile, JSON.stringify({ by, at: now().toISOString() }));
    },
    resume: () => rm(pauseFile, { force: true }),
    stopRequest,
    async stopRequests() {
      const wishes = new Map<string, StopRequest>();
      for (const name of await namesIn(dir)) {
        const id = STOP_FILE.exec(name)?.[1]?.replaceAll('~', '/');
        const wish = id === undefined ? null : await stopRequest(id);
        if (id !== undefined && wish !== null) wishes.set(id, wish);
      }
      return wishes;
    },
    async requestStop(id, request) {
      if (!isRunId(id)) throw new Error('not the id of an action or sidecar');
      await mkdirDurably(dir);
      await writeDurably(stopFile(id), JSON.stringify({ at: now().toISOString(), ...request }));
    },
    async clearStop(id) {
      if (isRunId(id)) await rm(stopFile(id), { force: true });
    },
    onChange(callback, signal) {
      void (async () => {
        await mkdir(dir, { recursive: true, mode: 0o700 });
        if (signal.aborted) return;
        // A hint only: where it can't be had, the next poll sees the file.
        const watcher = watch(dir, { signal, persistent: false }, callback);
        watcher.on('error', () => undefined);
        if ((await readdir(dir)).length > 0) callback();
      })().catch(() => undefined);
    },
  };
}

const isThere = (file: string): boolean => statSync(file, { throwIfNoEntry: false }) !== undefined;

const STOP_FILE = /^cancel-(.+)\.json$/;

async function namesIn(dir: string): Promise<readonly string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

/** null: there is none, or it is no wish of ours. */
async function readJson<T>(file: string, schema: z.ZodType<T>): Promise<T | null> {
  try {
    return schema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    if (isErrno(error, 'ENOENT') || error instanceof SyntaxError || error instanceof z.ZodError) return null;
    throw error;
  }
}
