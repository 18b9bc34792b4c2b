import { Command } from 'commander';
import { systemClock } from '../adapters/clock.ts';
import { createFileControl } from '../adapters/control.ts';
import { stateLayout } from '../adapters/state-dir.ts';
import { branchPause } from '../story/pause.ts';
import type { CliCommand } from './command.ts';
import { EXIT, type ExitCode, type GlobalOptions, type Io, printJson, printLine, quoted } from './io.ts';
import { configOf, observe, requireOwnStateDir } from './observe.ts';

export function resumeCommand(): CliCommand {
  const command = new Command('resume').description('ends `pause`; says when the branch itself still asks for a pause');
  return { command, run: resume };
}

/** The wish is taken back first: it needs no git, and telling what else holds things up does. */
async function resume(io: Io, options: GlobalOptions): Promise<ExitCode> {
  const config = configOf(io, options);
  const { root } = stateLayout(config.dispatcher.state_dir);
  requireOwnStateDir(root);
  const control = createFileControl(root, () => systemClock.now());
  const before = await control.paused();
  await control.resume();
  const { name } = config.dispatcher;
  if (options.json !== true) {
    const said =
      before === null
        ? `${name} was not paused by \`pause\``
        : `resumed ${name}, which ${quoted(before.by)} had paused at ${quoted(before.at)}`;
    printLine(io, said);
  }
  const held = await observe(io, options, ({ world, context }) => branchPause(world(), context));
  if (options.json === true) printJson(io, { paused: null, paused_by_branch: held !== null, pause_file: held });
  else if (held !== null) printLine(io, `still paused: ${quoted(held.message)}. ${held.hint ?? ''}`);
  return held === null ? EXIT.ok : EXIT.problems;
}
