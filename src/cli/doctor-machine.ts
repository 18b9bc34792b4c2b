import { constants } from 'node:fs';
import { access, statfs } from 'node:fs/promises';
import { isErrno } from '../adapters/durable-file.ts';
import { lockHolder, stateLayout } from '../adapters/state-dir.ts';
import type { Config } from '../config.ts';
import { toError } from '../errors.ts';
import { bad, type Finding, good, warning } from './doctor-finding.ts';

/** What the daemon needs of this machine: its state_dir, the lock in it, and room for what runs say (R24). */
export async function checkStateDir(config: Config): Promise<readonly Finding[]> {
  const { root } = stateLayout(config.dispatcher.state_dir);
  try {
    await access(root, constants.R_OK | constants.W_OK | constants.X_OK);
    return [await lockFinding(root), await spaceFinding(root, config)];
  } catch (error) {
    if (isErrno(error, 'ENOENT'))
      return [good('state_dir', `${root} is made at the first start, and what lies in it is checked then`)];
    const fix = 'Call it as the user that the dispatcher runs as, or give that user the directory.';
    return [bad('state_dir', 'ERR_USAGE', `${root} can not be used: ${toError(error).message}`, fix)];
  }
}

async function lockFinding(root: string): Promise<Finding> {
  const holder = await lockHolder(root);
  if (holder === null) return good('state_dir', `${root} is there, and no daemon runs on it`);
  return good('state_dir', `${root} is there, and process ${holder.pid} on ${holder.host} runs on it`);
}

/** The most that the runs of all slots may leave on this disk before it is fetched and kept. */
async function spaceFinding(root: string, { limits }: Config): Promise<Finding> {
  const disk = await statfs(root);
  const free = disk.bavail * disk.bsize;
  const most = limits.in_flight * (2 * limits.log_bytes + limits.artifact_bytes);
  const said = `${inMib(free)} free, and ${limits.in_flight} runs may leave ${inMib(most)}`;
  if (free >= most) return good('state_dir.space', said);
  return warning('state_dir.space', 'ERR_RETENTION', said, 'Free space, or lower in_flight or log_bytes of [limits].');
}

const inMib = (bytes: number): string => `${Math.floor(bytes / (1 << 20))} MiB`;
