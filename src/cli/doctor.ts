import { Command } from 'commander';
import type { CliCommand } from './command.ts';
import { examine } from './doctor-examine.ts';
import { type Finding, WARNING } from './doctor-finding.ts';
import { acceptHistory } from './doctor-history.ts';
import { takeOver } from './doctor-take-over.ts';
import { type Colour, EXIT, type ExitCode, type GlobalOptions, type Io, paint, printJson } from './io.ts';
import { margin, printBeside } from './layout.ts';

export function doctorCommand(): CliCommand {
  const command = new Command('doctor')
    .description('checks every outside thing that the daemon needs, and says how to mend it')
    .option('--accept-history', 'accept a branch that was rewritten: its tip counts as seen from now on')
    .option('--take-over <name>', 'go on with what another dispatcher held that is dead');
  return { command, run: doctor };
}

type DoctorOptions = GlobalOptions & { readonly acceptHistory?: boolean; readonly takeOver?: string };

async function doctor(io: Io, options: DoctorOptions): Promise<ExitCode> {
  if (options.acceptHistory === true) return acceptHistory(io, options);
  if (options.takeOver !== undefined) return takeOver(io, options, options.takeOver);
  const findings = await examine(io, options);
  if (options.json === true) printJson(io, { checks: findings.map(({ check }) => check) });
  else printFindings(io, findings);
  return exitOf(findings);
}

/** What is wrong counts before what could not be asked. */
function exitOf(findings: readonly Finding[]): ExitCode {
  const verdicts = findings.map(({ verdict }) => verdict);
  if (verdicts.includes('problem')) return EXIT.problems;
  return verdicts.includes('away') ? EXIT.unreachable : EXIT.ok;
}

const WORDS: Readonly<Record<Finding['verdict'], readonly [string, Colour]>> = {
  good: ['ok', 'green'],
  warning: ['warn', 'yellow'],
  away: ['away', 'red'],
  problem: ['no', 'red'],
};
const WORD_COLUMN = 5;

function printFindings(io: Io, findings: readonly Finding[]): void {
  const names = Math.max(...findings.map(({ check }) => check.name.length));
  const width = WORD_COLUMN + names + 1;
  for (const { check, verdict } of findings) {
    const { name, code, message, fix } = check;
    const [word, colour] = WORDS[verdict];
    const head = `${paint(io, colour, word.padEnd(WORD_COLUMN))}${name.padEnd(names)} `;
    const text = message.startsWith(WARNING) ? message.slice(WARNING.length) : message;
    printBeside(io, { head, width }, code === null ? text : `${text} [${code}]`);
    if (fix !== null) printBeside(io, margin(width), fix, 'dim');
  }
}
