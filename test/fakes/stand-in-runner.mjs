// A small runner for tests of the subprocess engine: keeps to src/domain/run-directory.ts, and does what its payload
// says. The payload is plain JSON: { script, timeoutMs?, lingerMs?, knob? } with a bash script and a knob of
// `crash` (ends before it has started), `silent` (never starts), `stuck` (does not hear TERM), `mute` (leaves no exit).
import { spawn } from 'node:child_process';
import { existsSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const directory = process.argv[process.argv.indexOf('--run-dir') + 1];
const inside = (name) => path.join(directory, name);

// Heard before anybody can know of this runner: `started` is what a TERM is sent for.
let isAsked = false;
let stop = () => {
  isAsked = true;
};
process.on('SIGTERM', () => stop());

const job = readJob();
if (job?.knob === 'crash') process.exit(7);
if (job?.knob === 'silent') setInterval(() => existsSync(directory) || process.exit(), 100);
else if (takeStart()) run();

/** Gone already: another runner took it. */
function readJob() {
  try {
    return JSON.parse(readFileSync(inside('payload'), 'utf8'));
  } catch {
    return null;
  }
}

function takeStart() {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  const started = {
    pid: process.pid,
    start_time: stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19],
    boot_id: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    at: new Date().toISOString(),
  };
  const temporary = inside(`started.${process.pid}`);
  writeFileSync(temporary, JSON.stringify(started));
  try {
    linkSync(temporary, inside('started'));
    return true;
  } catch {
    return false;
  } finally {
    rmSync(temporary);
  }
}

function run() {
  const host = JSON.parse(readFileSync(inside('host.json'), 'utf8'));
  rmSync(inside('payload'));
  for (const name of ['home', 'work', 'artifacts']) mkdirSync(inside(name));
  const startedAt = new Date().toISOString();
  const env = {
    PATH: process.env.PATH,
    HOME: inside('home'),
    RUNNER_ENVIRONMENT: Object.keys(process.env).sort().join(),
  };
  const command = spawn('bash', ['-c', job.script], {
    cwd: inside('work'),
    env,
    detached: true,
    stdio: ['ignore', 1, 2],
  });
  let stopped = false;
  const stopCommand = () => {
    stopped = true;
    signalGroup(command.pid, 'SIGTERM');
    setTimeout(() => signalGroup(command.pid, 'SIGKILL'), host.grace_ms).unref();
  };
  if (job.knob !== 'stuck') stop = stopCommand;
  if (isAsked) stop();
  if (job.timeoutMs !== undefined) setTimeout(stopCommand, job.timeoutMs).unref();
  command.on('exit', (code, signal) => {
    const exitCode = code ?? 128 + { SIGTERM: 15, SIGKILL: 9 }[signal];
    if (job.knob === 'mute') process.exit(exitCode);
    writeExit({ exit_code: exitCode, signal, oom: false, stopped, started_at: startedAt });
    setTimeout(() => process.exit(exitCode), job.lingerMs ?? 0);
  });
}

function writeExit(exit) {
  writeFileSync(inside('exit.tmp'), JSON.stringify({ ...exit, finished_at: new Date().toISOString() }));
  renameSync(inside('exit.tmp'), inside('exit.json'));
}

function signalGroup(group, signal) {
  try {
    process.kill(-group, signal);
  } catch {
    // It is gone.
  }
}
