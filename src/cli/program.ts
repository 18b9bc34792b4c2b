import { Command, CommanderError, Option } from 'commander';
import { EdgeError, toError } from '../errors.ts';
import { commands } from './commands.ts';
import { coloured, EXIT, type ExitCode, type GlobalOptions, type Io, printJson, problemLine, quoted } from './io.ts';
import { VERSION } from './version.ts';

/**
 * One command line to one exit code. Nothing is thrown: errors of ours are said with their code and what to do, anything
 * else is a mistake of ours and shows its stack.
 */
export async function runProgram(argv: readonly string[], io: Io): Promise<ExitCode> {
  let code: ExitCode = EXIT.ok;
  const program = new Command('edge-dispatcher')
    .description('Runs approved actions from a git repository, once, with exactly the secrets they name.')
    .version(VERSION)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(coloured(text)),
    })
    .showHelpAfterError('(edge-dispatcher --help lists the commands)');
  for (const make of commands) {
    const { command, run } = make();
    command
      .addOption(
        new Option('--config <file>', 'configuration (default: dispatcher.toml here, else the embedded default)'),
      )
      .addOption(new Option('--json', 'print one JSON value'))
      .exitOverride()
      .configureOutput({
        writeOut: (text) => void io.stdout.write(text),
        writeErr: (text) => void io.stderr.write(coloured(text)),
      })
      .action(async (...given: unknown[]) => {
        const options = command.opts<GlobalOptions & Record<string, unknown>>();
        code = await run(io, options, given.slice(0, -2));
      });
    program.addCommand(command);
  }
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return code;
  } catch (error) {
    return explain(error, io, argv.includes('--json'));
  }
}

function explain(thrown: unknown, io: Io, asJson: boolean): ExitCode {
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (thrown instanceof EdgeError) {
    const { code, message, hint, problems } = thrown;
    if (asJson) printJson(io, { error: { code, message, hint, problems } });
    io.stderr.write(`${thrown.code}: ${quoted(thrown.message)}\n`);
    for (const problem of thrown.problems) io.stderr.write(`${problemLine({ ...io, stdout: io.stderr }, problem)}\n`);
    if (thrown.problems.length === 0) io.stderr.write(`    ${quoted(thrown.hint)}\n`);
    return thrown.name === 'TransientError' || thrown.name === 'StalledError' ? EXIT.unreachable : EXIT.usage;
  }
  io.stderr.write(`ERR_INTERNAL: ${coloured(toError(thrown).stack ?? 'no stack')}\n`);
  return EXIT.problems;
}
