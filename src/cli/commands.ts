import { cancelCommand } from './cancel.ts';
import type { CliCommand } from './command.ts';
import { demoCommand } from './demo.ts';
import { deployCommand } from './deploy.ts';
import { doctorCommand } from './doctor.ts';
import { initCommand } from './init.ts';
import { logsCommand } from './logs.ts';
import { pauseCommand } from './pause.ts';
import { planCommand } from './plan.ts';
import { rerunCommand } from './rerun.ts';
import { resumeCommand } from './resume.ts';
import { runCommand } from './run.ts';
import { schemaCommand } from './schema-command.ts';
import { statusCommand } from './status.ts';
import { validateCommand } from './validate.ts';
import { verifyCommand } from './verify.ts';
import { whyCommand } from './why.ts';

/** In the order of `--help`. */
export const commands: readonly (() => CliCommand)[] = [
  demoCommand,
  initCommand,
  runCommand,
  validateCommand,
  planCommand,
  statusCommand,
  whyCommand,
  logsCommand,
  cancelCommand,
  rerunCommand,
  doctorCommand,
  deployCommand,
  pauseCommand,
  resumeCommand,
  verifyCommand,
  schemaCommand,
];
