import { existsSync, realpathSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { toError, UsageError } from '../errors.ts';
import { type Planned, plannedAt } from '../story/planned.ts';
import type { Observed } from './observe.ts';

const LARGEST = 1 << 20;

/** A file of this machine. Throws UsageError (ERR_USAGE) for what can't be read. */
export async function readPlanned(file: string, cwd: string, { config, context }: Observed): Promise<Planned> {
  const full = path.resolve(cwd, file);
  const bytes = await readBytes(full, file);
  return plannedAt(placeInRepo(full, config.ops_repo.actions_dir), bytes, context);
}

async function readBytes(full: string, file: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(full);
    if (size <= LARGEST) return await readFile(full);
  } catch (error) {
    throw new UsageError('ERR_USAGE', `cannot read ${file}: ${toError(error).message}`, {
      cause: error,
      hint: 'Name an action file, like vault/actions/<id>.toml.',
    });
  }
  throw new UsageError('ERR_USAGE', `${file} is larger than 1 MiB: no action file`);
}

/** Relative to the work tree around it; a file that lies anywhere else is taken for one of the actions folder. */
function placeInRepo(full: string, actionsDir: string): string {
  const real = realpathSync(full);
  for (let dir = path.dirname(real); dir !== path.dirname(dir); dir = path.dirname(dir)) {
    if (!existsSync(path.join(dir, '.git'))) continue;
    const inside = path.relative(dir, real).split(path.sep).join('/');
    if (inside.startsWith(`${actionsDir}/`)) return inside;
    break;
  }
  return `${actionsDir}/${path.basename(full)}`;
}
