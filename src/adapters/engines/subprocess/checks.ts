import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { Check } from '../../../domain/check.ts';
import { toError } from '../../../errors.ts';
import { mkdirDurably, writeDurably } from '../../durable-file.ts';
import { readBootId } from '../../process-identity.ts';
import type { RunAs } from './run-as.ts';

export interface CheckedSetting {
  readonly runs: string;
  readonly runner: readonly string[];
  readonly runAs: RunAs;
}

/** Everything that the subprocess engine needs of this machine; never throws for a bad answer. */
export async function checkMachine({ runs, runner, runAs }: CheckedSetting): Promise<readonly Check[]> {
  return [
    checkProc(),
    checkRunner(runner),
    await checkWritable(runs),
    checkIsolation(runAs),
    ...checkPassage(runs, runAs),
  ];
}

function checkProc(): Check {
  const name = 'engine.subprocess.proc';
  try {
    readBootId();
    return good(name, '/proc can be read');
  } catch {
    return bad(name, '/proc can not be read', 'Run it on Linux with /proc mounted.');
  }
}

function checkRunner(runner: readonly string[]): Check {
  const name = 'engine.subprocess.runner';
  const [program, script] = runner;
  if (program === undefined || !isUsable(program, constants.X_OK)) {
    return bad(name, `the runner can not be started: ${program ?? '(none)'}`, 'Reinstall the dispatcher.');
  }
  if (script !== undefined && path.isAbsolute(script) && !isUsable(script, constants.R_OK)) {
    return bad(name, `the runner is not there: ${script}`, 'Reinstall or build the dispatcher.');
  }
  return good(name, 'the runner is there');
}

async function checkWritable(runs: string): Promise<Check> {
  const name = 'engine.subprocess.state';
  const probe = path.join(runs, '.probe');
  try {
    await mkdirDurably(runs, 0o711);
    await writeDurably(probe, '');
    await rm(probe, { force: true });
    return good(name, `${runs} takes files`);
  } catch (error) {
    return bad(name, `${runs} takes no files: ${toError(error).message}`, 'Make it writable, or free some space.');
  }
}

function checkIsolation(runAs: RunAs): Check {
  const name = 'engine.subprocess.isolation';
  switch (runAs.kind) {
    case 'none':
      return good(name, 'WARNING: commands run as the dispatcher itself; it is protected against accidents only');
    case 'user':
      return good(name, `commands run as ${runAs.ids.uid}:${runAs.ids.gid}`);
    case 'refused':
      return bad(name, runAs.message, runAs.fix);
    default:
      return runAs satisfies never;
  }
}

/** Another user has to pass through every directory above its own. */
function checkPassage(runs: string, runAs: RunAs): Check[] {
  if (runAs.kind !== 'user') return [];
  const name = 'engine.subprocess.passage';
  const closed = withParents(runs).find((directory) => existsSync(directory) && !isOpenTo(directory, runAs.ids.uid));
  if (closed === undefined) return [good(name, 'commands can reach their directories')];
  return [bad(name, `the user of run_as may not pass through ${closed}`, `chmod o+x ${closed}`)];
}

function isOpenTo(directory: string, uid: number): boolean {
  const stat = statSync(directory);
  return stat.uid === uid ? (stat.mode & 0o100) !== 0 : (stat.mode & 0o001) !== 0;
}

function withParents(directory: string): string[] {
  const parent = path.dirname(directory);
  return parent === directory ? [directory] : [...withParents(parent), directory];
}

function isUsable(file: string, mode: number): boolean {
  try {
    accessSync(file, mode);
    return true;
  } catch {
    return false;
  }
}

const good = (name: string, message: string): Check => ({ name, ok: true, code: null, message, fix: null });
const bad = (name: string, message: string, fix: string): Check => ({
  name,
  ok: false,
  code: 'ERR_ENGINE_UNAVAILABLE',
  message,
  fix,
});
