import { spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isAlive, ownIdentity, parseStat, readPidNamespace, readStat } from '../../../src/adapters/process-identity.ts';
import { until } from '../../fakes/until.ts';

describe('the identity of a process', () => {
  it('is alive while this very process is', () => {
    expect(isAlive(ownIdentity())).toBe(true);
  });

  it('is dead when its pid is used by a process that started at another time', () => {
    expect(isAlive({ ...ownIdentity(), start_time: '1' })).toBe(false);
  });

  it('is dead when the machine was started anew', () => {
    expect(isAlive({ ...ownIdentity(), boot_id: 'an earlier one' })).toBe(false);
  });

  it('is dead as a zombie, which executes nothing any more', async () => {
    // The shell replaces itself by a sleep that never waits for the child that it has inherited.
    const parent = spawn('sh', ['-c', 'true & exec sleep 1000'], { stdio: 'ignore' });
    await once(parent, 'spawn');
    const zombie = await until('the child is a zombie', () => zombieOf(parent.pid ?? 0));
    const identity = { ...ownIdentity(), pid: zombie, start_time: readStat(zombie)?.startTime ?? '' };
    const alive = isAlive(identity);
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    expect(alive).toBe(false);
  });

  it('is read of any program name, brackets and spaces included', () => {
    const name = fc.string({ unit: fc.constantFrom('(', ')', ' ', 'R', '1', '\n'), maxLength: 15 });
    const rest = `S 1 30 31 5 ${Array.from({ length: 30 }, (_, i) => 100 + i).join(' ')}\n`;
    fc.assert(
      fc.property(name, (comm) => {
        const stat = parseStat(`42 (${comm}) ${rest}`);
        expect(stat).toEqual({ pid: 42, state: 'S', group: 30, session: 31, terminal: 5, startTime: '114' });
      }),
    );
  });

  it('is nothing for what is no line of /proc/<pid>/stat', () => {
    expect(['', 'x (y) S', '42 (sh', ') '].map(parseStat)).toEqual([null, null, null, null]);
    expect(readStat(2 ** 30)).toBeNull();
  });

  it('belongs to a namespace of pids', () => {
    expect(readPidNamespace()).toMatch(/^pid:\[[0-9]+\]$/);
  });
});

function zombieOf(parent: number): number | null {
  for (let pid = parent + 1; pid < parent + 50; pid += 1) {
    const stat = readStat(pid);
    if (stat?.state === 'Z' && stat.session === readStat(process.pid)?.session) return pid;
  }
  return null;
}
