import { Command } from 'commander';
import type { Plan } from '../domain/plan.ts';
import type { CliCommand } from './command.ts';
import { EXIT, type ExitCode, type GlobalOptions, type Io, paint, printJson, printLine, quoted } from './io.ts';
import { margin, printBeside } from './layout.ts';
import { observe } from './observe.ts';
import { classOf } from './observed-action.ts';
import { FACT_MARGIN, NAME_COLUMN, planOne, printFacts, printTagCommand } from './plan-facts.ts';
import { readPlanned } from './plan-file.ts';

export function planCommand(): CliCommand {
  const command = new Command('plan')
    .description('what would happen with an action file, committed or not')
    .argument('<file>', 'an action file: vault/actions/<id>.toml');
  return { command, run: (io, options, [file]) => plan(io, options, String(file)) };
}

async function plan(io: Io, options: GlobalOptions, file: string): Promise<ExitCode> {
  return observe(io, options, async (observed) => {
    const planned = await planOne(await readPlanned(file, io.cwd, observed), observed, io.signal);
    if (options.json === true) printJson(io, planned);
    else {
      printPlan(io, planned);
      printTagCommand(io, planned, observed);
    }
    return exitOf(planned);
  });
}

/** What has to come by itself or from an approver is no problem of the file. */
const COMES: readonly string[] = ['waiting', 'warning'];
/** Waits that never end. */
const FOR_EVER: readonly string[] = ['ERR_ALREADY_RECORDED', 'ERR_FOREIGN_RESULT'];

function exitOf({ checks }: Plan): ExitCode {
  const codes = checks.flatMap(({ ok, code }) => (ok || code === null ? [] : [code]));
  if (codes.some((code) => FOR_EVER.includes(code))) return EXIT.problems;
  const classes = codes.map((code) => classOf(code) ?? 'bug').filter((each) => !COMES.includes(each));
  if (classes.some((each) => each !== 'transient')) return EXIT.problems;
  return classes.length > 0 ? EXIT.unreachable : EXIT.ok;
}

function printPlan(io: Io, planned: Plan): void {
  const { id, path, committed, checks } = planned;
  const where = committed ? 'as it lies on the branch' : 'not on the branch like this yet';
  printLine(io, `${paint(io, 'bold', quoted(id ?? path))}, ${where}`);
  for (const check of checks) printCheck(io, check);
  printFacts(io, planned);
}

function printCheck(io: Io, { name, ok, code, message, fix }: Plan['checks'][number]): void {
  const comes = code !== null && COMES.includes(classOf(code) ?? '');
  const [word, colour] = ok
    ? (['ok  ', 'green'] as const)
    : comes
      ? (['wait', 'yellow'] as const)
      : (['no  ', 'red'] as const);
  const head = `  ${paint(io, colour, word)} ${name.padEnd(NAME_COLUMN)} `;
  printBeside(io, { head, width: FACT_MARGIN }, code === null ? message : `${message} [${code}]`);
  if (code !== null && fix !== null) printBeside(io, margin(FACT_MARGIN), fix, 'dim');
}
