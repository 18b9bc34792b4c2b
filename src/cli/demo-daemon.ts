import { openStateDir } from '../adapters/state-dir.ts';
import { type Config, readConfig } from '../config.ts';
import { createDaemon, type OnceReport } from '../daemon/daemon.ts';
import { UsageError } from '../errors.ts';
import { createLog } from '../log.ts';
import { availableParts, sectionSchemas, wire } from '../wiring.ts';
import type { Teller } from './demo-teller.ts';
import type { Io } from './io.ts';
import { plainGit } from './plain-git.ts';

/** The real daemon looks once, with a configuration of the demo's own; nothing of it is special to the demo. */
export async function lookOnce(text: string, stateDir: string, io: Io, teller: Teller): Promise<OnceReport> {
  const config = demoConfig(text, stateDir);
  const { log } = createLog({ stream: { write: () => undefined }, noColor: true });
  const state = await openStateDir(config.dispatcher.state_dir);
  const wired = await wire(config, { log, cacheDir: state.layout.cache });
  try {
    const daemon = createDaemon({ ...wired, onStep: teller.step, onResult: teller.result });
    return await daemon.once(io.signal);
  } finally {
    await wired.close();
    await state.release();
  }
}

function demoConfig(text: string, stateDir: string): Config {
  const read = readConfig({
    ...availableParts(),
    file: { path: 'demo', bytes: Buffer.from(text) },
    env: {},
    sections: sectionSchemas(),
    hostname: 'demo',
    cwd: stateDir,
  });
  if (read.ok) return read.config;
  throw new UsageError('ERR_CONFIG_FIELD', 'the configuration of the demo is wrong', { problems: read.problems });
}

/** Path → text, of all results on the branch: as an auditor would, from the repo and not from the daemon. */
export async function readResults(repo: string, branch = 'main'): Promise<Readonly<Record<string, string>>> {
  const results: Record<string, string> = {};
  const names = await plainGit(repo, ['ls-tree', '-r', '--name-only', branch, 'vault/actions']);
  for (const name of names.split('\n').filter((each) => each.endsWith('.result.json'))) {
    results[name] = await plainGit(repo, ['show', `${branch}:${name}`]);
  }
  return results;
}
