import { systemClock } from '../adapters/clock.ts';
import { StalledError, TransientError } from '../errors.ts';
import { EXIT, type ExitCode, type GlobalOptions, type Io, printJson, quoted } from './io.ts';
import { configOf } from './observe.ts';
import { daemonSaysIn, printDaemonSays } from './status-daemon.ts';

/**
 * `status` where git can't be asked, which the daemon beside it may know more about: the error as every command says it,
 * and what the daemon said of itself. Throws what is neither a TransientError nor a StalledError.
 */
export async function statusWithoutGit(error: unknown, io: Io, options: GlobalOptions): Promise<ExitCode> {
  if (!(error instanceof TransientError || error instanceof StalledError)) throw error;
  const { code, message, hint } = error;
  const now = systemClock.now();
  const said = await daemonSaysIn(configOf(io, options).dispatcher.state_dir, now);
  if (options.json === true) printJson(io, { daemon_says: said, error: { code, message, hint } });
  else printDaemonSays(io, said, now);
  io.stderr.write(`${code}: ${quoted(message)}\n    ${quoted(hint)}\n`);
  return EXIT.unreachable;
}
