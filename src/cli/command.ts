import type { Command } from 'commander';
import type { ExitCode, GlobalOptions, Io } from './io.ts';

/** One command: its words for the parser, and what it does. `given`: its positional arguments. */
export interface CliCommand {
  readonly command: Command;
  readonly run: (
    io: Io,
    options: GlobalOptions & Record<string, unknown>,
    given: readonly unknown[],
  ) => Promise<ExitCode>;
}
