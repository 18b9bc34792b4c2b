import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { type Config, findConfigFile, readConfig } from '../config.ts';
import { type Problem, UsageError } from '../errors.ts';
import { availableParts, sectionSchemas } from '../wiring.ts';
import type { GlobalOptions, Io } from './io.ts';

export interface Settings {
  readonly config: Config;
  readonly warnings: readonly Problem[];
}

/** The configuration of a command. Throws UsageError with every problem of it. */
export function loadSettings(options: GlobalOptions, io: Io): Settings {
  const path = findConfigFile(options.config, io.cwd);
  const file = path === null ? null : { path, bytes: readConfigFile(path) };
  const read = readConfig({
    ...availableParts(),
    file,
    env: io.env,
    sections: sectionSchemas(),
    hostname: hostname(),
    cwd: io.cwd,
  });
  if (read.ok) return { config: read.config, warnings: read.warnings };
  const count = read.problems.length;
  throw new UsageError('ERR_CONFIG_FIELD', `the configuration has ${count} problem${count === 1 ? '' : 's'}`, {
    problems: read.problems,
  });
}

function readConfigFile(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UsageError('ERR_CONFIG_FILE', `cannot read ${path}`, { cause: error });
  }
}
