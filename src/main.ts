#!/usr/bin/env node
import process from 'node:process';
import { runProgram } from './cli/program.ts';
import { processEnvironment } from './config.ts';

// The first signal asks politely: no new claims, runs go on, what is under way is finished or left to be taken up. The
// second one ends the process at once; everything that counts is on disk or in git.
const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    if (stop.signal.aborted) process.exit(name === 'SIGINT' ? 130 : 143);
    stop.abort();
  });
}
// A reader that went away (`… | head`) is no reason for a stack.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
});

process.exitCode = await runProgram(process.argv.slice(2), {
  cwd: process.cwd(),
  env: processEnvironment(),
  stdout: process.stdout,
  stderr: process.stderr,
  signal: stop.signal,
});
