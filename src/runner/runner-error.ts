import type { RunnerReason } from '../domain/trailer.ts';
import { EdgeError, toError } from '../errors.ts';

const EXIT_OWN_REASON = 69;
const EXIT_DEADLINE = 124;

/**
 * The runner's own trouble, as opposed to the command's. `message` is printed as it is: it names things (a secret's
 * name, a path), never a value.
 */
export class RunnerError extends EdgeError {
  readonly reason: RunnerReason;

  constructor(reason: RunnerReason, message: string) {
    super(reason, message);
    this.reason = reason;
  }

  get exitCode(): number {
    return this.reason === 'ERR_DEADLINE' ? EXIT_DEADLINE : EXIT_OWN_REASON;
  }
}

/** Whatever was thrown, fit to be printed: of a foreign error only its kind is kept, because its text may quote data. */
export function toRunnerError(thrown: unknown): RunnerError {
  if (thrown instanceof RunnerError) return thrown;
  return new RunnerError('ERR_RUNNER', `the runner itself failed (${errorCode(thrown) ?? toError(thrown).name})`);
}

/** `ENOENT` and the like, of errors that come from the system. */
export function errorCode(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !('code' in thrown)) return undefined;
  return typeof thrown.code === 'string' ? thrown.code : undefined;
}
