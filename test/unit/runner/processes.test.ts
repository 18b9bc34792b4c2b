import { spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { expect, it } from 'vitest';
import { isAlone, killLeftovers, type Trace } from '../../../src/runner/processes.ts';

/** Nobody else's. Without root a process is only known by its environment. */
const USER = process.getuid?.() === 0 ? 1_000_000_000 + process.pid : null;

it('a process that left everything behind but its user belongs to the run that has the user for itself (R9)', async () => {
  const env = USER === null ? { MARK: 'of this run' } : {};
  const left = spawn('/bin/sleep', ['60'], { detached: true, cwd: '/', stdio: 'ignore', env, ...userOf(USER) });
  const exit = once(left, 'exit');
  await once(left, 'spawn');
  const trace: Trace = {
    group: await endedGroup(),
    user: USER,
    variables: ['MARK=of this run'],
    directories: [],
    files: [],
  };
  await killLeftovers(trace);
  expect(await exit).toEqual([null, 'SIGKILL']);
});

it('a process beside others is not alone', () => {
  expect(isAlone()).toBe(false);
});

function userOf(uid: number | null): { uid?: number; gid?: number } {
  return uid === null ? {} : { uid, gid: uid };
}

/** A process group that is no more. */
async function endedGroup(): Promise<number> {
  const ended = spawn('/bin/true', { detached: true, stdio: 'ignore' });
  await once(ended, 'exit');
  return ended.pid ?? 0;
}
