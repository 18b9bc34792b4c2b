import { writeFileSync, writeSync } from 'node:fs';
import process from 'node:process';
import { type Invocation, readArguments } from './arguments.ts';
import { type Ending, ownEnding } from './ending.ts';
import { writeAll } from './output.ts';
import { takePayload } from './payload.ts';
import { whenThereIsRoom } from './room.ts';
import { run, type Site } from './run.ts';
import { claimRunDirectory, readHost, writeExit } from './run-directory.ts';
import { RunnerError, toRunnerError } from './runner-error.ts';
import { Stop } from './stop.ts';

/**
 * The program inside the job: `--run-dir DIR` (the subprocess engine's run directory), or the payload in `--payload FILE`
 * or on stdin; then also `--run-as UID:GID` (the command's user, not root; needs root) and `--artifacts DIR` (is made,
 * 0700; without it none are kept). Of the environment only VAULT_CACERT is read, and TMPDIR by the system's rule.
 *
 * `--vault ADDRESS` (and `--vault-namespace NAME`): what redeems a wrapper anywhere else is refused, unasked. Whoever may dispatch could name a store of his
 * own, which would approve whatever he likes.
 *
 * The job of sidecars has `--bot-token FILE` (becomes EDGE_BOT_TOKEN, and is deleted) and `--agent-data DIR` (has to be
 * there; EDGE_AGENT_DATA is a directory in it, made for this run and removed after it). With either no action is run.
 *
 * Ends with the command's exit code, 128 + signal, 124 at the deadline, 69 for a reason of its own, 75 when the run
 * directory has its runner already, 64 when the command line makes no sense. Prints the command's scrubbed streams, at
 * most one line of its own and the trailer; nothing else.
 */
const ALREADY_RUNS = 75;
const WRONG_USAGE = 64;
const RUNNER_FAILED = 69;
const DEFAULT_GRACE_MS = 10_000;

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
  if (directory !== null) await keepExit(directory, ending);
  return ending.exit;
}

/** Whatever goes wrong here happens before there is a key to sign a trailer with, so it is said in a line only. */
async function attempt(invocation: Invocation): Promise<Ending> {
  try {
    const taken = await takePayload(invocation.payload);
    return await run(taken, siteOf(invocation), stop);
  } catch (error) {
    const ending = ownEnding(toRunnerError(error));
    await writeAll(process.stderr.fd, Buffer.from(`${ending.message ?? ''}\n`));
    return ending;
  }
}

/** Throws RunnerError (ERR_RUNNER). */
function siteOf(invocation: Invocation): Site {
  const { directory, runAs } = invocation;
  const caFile = process.env['VAULT_CACERT'] ?? '';
  const vaultCaFile = caFile === '' ? null : caFile;
  if (directory !== null) {
    const host = readHost(directory);
    return { ...invocation, mounts: host.mounts, runAs: host.run_as, graceMs: host.grace_ms, vaultCaFile };
  }
  if (runAs !== null && process.getuid?.() !== 0) {
    throw new RunnerError('ERR_RUNNER', 'only root can run commands as another user (--run-as); nothing was started');
  }
  return { ...invocation, mounts: null, graceMs: DEFAULT_GRACE_MS, vaultCaFile };
}

/** On a full disk it waits for room: how the run ended is known to nobody else. */
async function keepExit(directory: string, ending: Ending): Promise<void> {
  const exit = {
    exit_code: ending.exit,
    signal: ending.signal,
    oom: ending.oom,
    stopped: ending.isCancelled,
    started_at: ending.startedAt,
    finished_at: new Date().toISOString(),
  };
  try {
    await whenThereIsRoom(() => writeExit(directory, exit));
  } catch {
    // The disk is gone: the engine sees a runner that left no end, and says so.
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
