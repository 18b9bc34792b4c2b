import type { Command } from 'commander';
import type { ExitCode, GlobalOptions, Io } from './io.ts';
import { demoCommand } from './demo.ts';
import { runCommand } from './run.ts';

/** One command: its words for the parser, and what it does. `given`: its positional arguments. */
export interface CliCommand {
  readonly command: Command;
  readonly run: (io: Io, options: GlobalOptions & Record<string, unknown>, given: readonly unknown[]) => Promise<ExitCode>;
}

/** In the order of `--help`. */
export const commands: readonly (() => CliCommand)[] = [demoCommand, runCommand];
