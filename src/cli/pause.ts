import { Command } from 'commander';
import { systemClock } from '../adapters/clock.ts';
import { createFileControl } from '../adapters/control.ts';
import { mkdirDurably } from '../adapters/durable-file.ts';
import { stateLayout } from '../adapters/state-dir.ts';
import type { CliCommand } from './command.ts';
import { EXIT, type ExitCode, type GlobalOptions, type Io, printJson, printLine, quoted } from './io.ts';
import { configOf, requireOwnStateDir, userName } from './observe.ts';

export function pauseCommand(): CliCommand {
  const command = new Command('pause').description('nothing new is started until `resume`; what runs goes on');
  return { command, run: pause };
}

const MEANING = 'nothing new starts until `resume`, what runs goes on';

async function pause(io: Io, options: GlobalOptions): Promise<ExitCode> {
  const config = configOf(io, options);
  const { root } = stateLayout(config.dispatcher.state_dir);
  requireOwnStateDir(root);
  await mkdirDurably(root, 0o711);
  const control = createFileControl(root, () => systemClock.now());
  const before = await control.paused();
  if (before === null) await control.pause(userName());
  const paused = before ?? (await control.paused());
  if (options.json === true) printJson(io, { paused });
  else if (before === null) printLine(io, `paused ${config.dispatcher.name}: ${MEANING}`);
  else
    printLine(
      io,
      `${config.dispatcher.name} is paused already, by ${quoted(before.by)} since ${quoted(before.at)}: ${MEANING}`,
    );
  return EXIT.ok;
}
