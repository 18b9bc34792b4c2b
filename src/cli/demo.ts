import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Command } from 'commander';
import { openStateDir } from '../adapters/state-dir.ts';
import { type Config, readConfig } from '../config.ts';
import { createDaemon, type OnceReport } from '../daemon/daemon.ts';
import { UsageError } from '../errors.ts';
import { createLog } from '../log.ts';
import { availableParts, sectionSchemas, wire } from '../wiring.ts';
import type { CliCommand } from './command.ts';
import { DEMO_ACTIONS, type DemoRepo, makeDemoRepo } from './demo-repo.ts';
import { createTeller, type Teller } from './demo-teller.ts';
import { EXIT, type ExitCode, type GlobalOptions, type Io, paint, printJson, printLine, quoted } from './io.ts';
import { plainGit } from './plain-git.ts';

export function demoCommand(): CliCommand {
  const command = new Command('demo')
    .description('the whole story on this machine, in a temporary folder')
    .option('--keep', 'keep the folder and say where it is');
  return { command, run: (io, options) => demo(io, options) };
}

async function demo(io: Io, options: GlobalOptions & { keep?: boolean }): Promise<ExitCode> {
  const root = await mkdtemp(path.join(tmpdir(), 'edge-dispatcher-demo-'));
  try {
    const repo = await makeDemoRepo(root);
    if (options.json !== true) introduce(io);
    const teller = createTeller(io, options.json === true);
    const report = await runDaemon(repo, io, teller);
    teller.end();
    const results = await readResults(repo);
    if (options.json === true) printJson(io, { results, waiting: report.waiting });
    else conclude(io, report, results);
    if (options.keep === true) printLine(io, `\nEverything is in ${root}`);
    return report.unreachable.length > 0 ? EXIT.unreachable : EXIT.ok;
  } finally {
    if (options.keep !== true) await rm(root, { recursive: true, force: true });
  }
}

function introduce(io: Io): void {
  printLine(io, paint(io, 'bold', 'Four actions were committed to an ops repo:'));
  for (const { id, about } of DEMO_ACTIONS) printLine(io, `  ${paint(io, 'cyan', id.padEnd(14))} ${about}`);
  printLine(io, `\n${paint(io, 'bold', 'The dispatcher looks at it, once:')}`);
}

/** The real daemon with a configuration of its own; nothing of it is special to the demo. */
async function runDaemon(repo: DemoRepo, io: Io, teller: Teller): Promise<OnceReport> {
  const config = demoConfig(repo);
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

function demoConfig(repo: DemoRepo): Config {
  const text = `
[dispatcher]
name = "demo"
state_dir = ${JSON.stringify(repo.stateDir)}
[ops_repo]
url = ${JSON.stringify(repo.url)}
[approval]
medium = ["signed-commit"]
high = ["signed-commit"]
trusted_commit = "${repo.trustedCommit}"
[engine]
kind = "subprocess"
[access]
kind = "file"
`;
  const read = readConfig({
    ...availableParts(),
    file: { path: 'demo', bytes: Buffer.from(text) },
    env: {},
    sections: sectionSchemas(),
    hostname: 'demo',
    cwd: repo.stateDir,
  });
  if (read.ok) return read.config;
  throw new UsageError('ERR_CONFIG_FIELD', 'the configuration of the demo is wrong', { problems: read.problems });
}

/** As an auditor would: from the repo, not from the daemon. */
async function readResults(repo: DemoRepo): Promise<Readonly<Record<string, string>>> {
  await plainGit(repo.clone, ['pull', '--quiet', '--ff-only', 'origin', 'main']);
  const results: Record<string, string> = {};
  for (const name of (await plainGit(repo.clone, ['ls-files', 'vault/actions/*.result.json'])).split('\n')) {
    results[name] = await plainGit(repo.clone, ['show', `HEAD:${name}`]);
  }
  return results;
}

function conclude(io: Io, report: OnceReport, results: Readonly<Record<string, string>>): void {
  printLine(io, `\n${paint(io, 'bold', 'What lies in the repo now, beside the actions:')}`);
  for (const [name, text] of Object.entries(results)) {
    printLine(io, `\n${paint(io, 'cyan', name)}`);
    for (const line of text.split('\n')) printLine(io, `  ${quoted(line)}`);
  }
  for (const { id, reason } of report.waiting) {
    printLine(io, `\n${paint(io, 'yellow', id)} has no result: ${quoted(reason.message)}`);
    printLine(io, paint(io, 'dim', `  ${reason.code}: ${reason.hint ?? ''}`));
  }
}
