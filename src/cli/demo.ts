import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Command } from 'commander';
import type { OnceReport } from '../daemon/daemon.ts';
import type { CliCommand } from './command.ts';
import { lookOnce, readResults } from './demo-daemon.ts';
import { forgeDemo } from './demo-forge/demo.ts';
import { DEMO_ACTIONS, type DemoRepo, makeDemoRepo } from './demo-repo.ts';
import { createTeller } from './demo-teller.ts';
import { EXIT, type ExitCode, type GlobalOptions, type Io, paint, printJson, printLine, quoted } from './io.ts';

export function demoCommand(): CliCommand {
  const command = new Command('demo')
    .description('the whole story on this machine, in a temporary folder')
    .option('--forge', 'approvals by reviews, on a fake forge of its own')
    .option('--keep', 'keep the folder and say where it is');
  return { command, run: (io, options) => demo(io, options) };
}

async function demo(io: Io, options: GlobalOptions & { keep?: boolean; forge?: boolean }): Promise<ExitCode> {
  const root = await mkdtemp(path.join(tmpdir(), 'edge-dispatcher-demo-'));
  try {
    const code = await (options.forge === true ? forgeDemo : signedDemo)(root, io, options.json === true);
    if (options.keep === true && options.json !== true) printLine(io, `\nEverything is in ${root}`);
    return code;
  } finally {
    if (options.keep !== true) await rm(root, { recursive: true, force: true });
  }
}

/** Approvals by signed commits, with no forge. */
async function signedDemo(root: string, io: Io, json: boolean): Promise<ExitCode> {
  const repo = await makeDemoRepo(root);
  if (!json) introduce(io);
  const teller = createTeller(io, json);
  const report = await lookOnce(demoConfig(repo), repo.stateDir, io, teller);
  teller.end();
  const results = await readResults(repo.url);
  if (json) printJson(io, { results, waiting: report.waiting });
  else conclude(io, report, results);
  return report.unreachable.length > 0 ? EXIT.unreachable : EXIT.ok;
}

function introduce(io: Io): void {
  printLine(io, paint(io, 'bold', 'Four actions were committed to an ops repo:'));
  for (const { id, about } of DEMO_ACTIONS) printLine(io, `  ${paint(io, 'cyan', id.padEnd(14))} ${about}`);
  printLine(io, `\n${paint(io, 'bold', 'The dispatcher looks at it, once:')}`);
}

function demoConfig(repo: DemoRepo): string {
  return `
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
