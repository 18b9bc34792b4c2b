import { writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { RUN_FILES } from '../domain/run-directory.ts';
import { type Ending, ownEnding } from './ending.ts';
import { writeAll } from './output.ts';
import { takePayload } from './payload.ts';
import { run, type Site } from './run.ts';
import { claimRunDirectory, readHost, writeExit } from './run-directory.ts';
import { toRunnerError } from './runner-error.ts';
import { Stop } from './stop.ts';

/**
 * The program inside the job: `--run-dir DIR` (the subprocess engine's run directory), `--payload FILE`, or the payload
 * on stdin. Ends with the command's exit code, 128 + signal, 124 at the deadline, 69 for a reason of its own, 75 when
 * the run directory has its runner already. Prints the command's scrubbed streams, at most one line of its own and the
 * trailer; nothing else.
 */
const ALREADY_RUNS = 75;
const WRONG_USAGE = 64;
const RUNNER_FAILED = 69;
const DEFAULT_GRACE_MS = 10_000;

interface Invocation {
  readonly directory: string | null;
  /** null: stdin. */
  readonly payload: string | null;
}

const stop = new Stop();
stop.listen();
closeCoreFiles();
process.on('uncaughtException', failSilently);
process.exit(await main(process.argv.slice(2)));

async function main(args: readonly string[]): Promise<number> {
  const invocation = readArguments(args);
  if (invocation === null) return WRONG_USAGE;
  const { directory } = invocation;
  if (directory !== null && !claimRunDirectory(directory)) return ALREADY_RUNS;
  const ending = await attempt(invocation);
  if (directory !== null) keepExit(directory, ending);
  return ending.exit;
}

function readArguments([option, value, ...rest]: readonly string[]): Invocation | null {
  if (option === undefined) return { directory: null, payload: null };
  if (value === undefined || rest.length > 0) return null;
  if (option === '--payload') return { directory: null, payload: value };
  if (option !== '--run-dir') return null;
  const directory = path.resolve(value);
  return { directory, payload: path.join(directory, RUN_FILES.payload) };
}

/** Whatever goes wrong here happens before there is a key to sign a trailer with, so it is said in a line only. */
async function attempt({ directory, payload }: Invocation): Promise<Ending> {
  try {
    const taken = await takePayload(payload);
    return await run(taken, siteOf(directory), stop);
  } catch (error) {
    const ending = ownEnding(toRunnerError(error));
    await writeAll(process.stderr.fd, Buffer.from(`${ending.message ?? ''}\n`));
    return ending;
  }
}

function siteOf(directory: string | null): Site {
  if (directory === null) return { directory, mounts: null, runAs: null, graceMs: DEFAULT_GRACE_MS };
  const host = readHost(directory);
  return { directory, mounts: host.mounts, runAs: host.run_as, graceMs: host.grace_ms };
}

function keepExit(directory: string, ending: Ending): void {
  try {
    writeExit(directory, {
      exit_code: ending.exit,
      signal: ending.signal,
      oom: ending.oom,
      stopped: ending.isCancelled,
      started_at: ending.startedAt,
      finished_at: new Date().toISOString(),
    });
  } catch {
    // The disk is full or gone: the engine sees a runner that left no end, and says so.
  }
}

/** A core file of ours or of the command's would hold its secrets; children inherit this. */
function closeCoreFiles(): void {
  try {
    writeFileSync('/proc/self/coredump_filter', '0');
  } catch {
    // Not everywhere to be had; core files are off by default where it is not.
  }
}

/** A mistake of ours: Node would print the source line and the message, and these may quote a secret. */
function failSilently(): void {
  writeSync(process.stderr.fd, 'edge-runner: ERR_RUNNER: the runner itself failed\n');
  process.exit(RUNNER_FAILED);
}
