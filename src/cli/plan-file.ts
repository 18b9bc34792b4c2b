import { existsSync, realpathSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { salvageId } from '../domain/action.ts';
import { type ActionId, blobOid, type Oid } from '../domain/ids.ts';
import { toError, UsageError } from '../errors.ts';
import type { Candidate } from '../story/world.ts';
import type { Observed } from './observe.ts';

/** A file of this machine, as the action that it would be. */
export interface Planned {
  /** Its place in the ops repo. */
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly blob: Oid;
  /** null: its name is no id. */
  readonly id: ActionId | null;
  /** Exactly these bytes lie at this path of the branch's tip. */
  readonly committed: boolean;
  /** As the daemon sees it, or would see it right after a push. */
  readonly candidate: Candidate | null;
}

const LARGEST = 1 << 20;

/** Throws UsageError (ERR_USAGE) for what can't be read. */
export async function readPlanned(file: string, cwd: string, observed: Observed): Promise<Planned> {
  const full = path.resolve(cwd, file);
  const bytes = await readBytes(full, file);
  const world = observed.world();
  const where = placeInRepo(full, observed.config.ops_repo.actions_dir);
  const blob = blobOid(bytes, world.tips.tip.length === 64 ? 'sha256' : 'sha1');
  const id = salvageId(where);
  const there = id === null ? undefined : world.catalogue.files(id).find((one) => one.path === where);
  const committed = there?.entry.oid === blob;
  return { path: where, bytes, blob, id, committed, candidate: candidateOf({ where, blob, id, committed }, observed) };
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

interface Found {
  readonly where: string;
  readonly blob: Oid;
  readonly id: ActionId | null;
  readonly committed: boolean;
}

function candidateOf({ where, blob, id, committed }: Found, observed: Observed): Candidate | null {
  if (id === null) return null;
  const world = observed.world();
  const known = world.candidates.get(id);
  if (committed && known?.file.path === where) return known;
  return {
    id,
    file: { id, path: where, entry: { path: where, kind: 'file', oid: blob } },
    commit: world.tips.tip,
    committedAt: observed.context.clock.now().toISOString(),
    duplicates: [],
  };
}
