import type { CliCommand } from './command.ts';
import { demoCommand } from './demo.ts';
import { runCommand } from './run.ts';

/** In the order of `--help`. */
export const commands: readonly (() => CliCommand)[] = [demoCommand, runCommand];
