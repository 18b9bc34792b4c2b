import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import process from 'node:process';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findMembers, killMembers, signalMember } from '../../../../src/adapters/engines/subprocess/members.ts';
import { ownIdentity, readBootId, readStat } from '../../../../src/adapters/process-identity.ts';
import { makeTools, type TestTools } from '../../../fakes/tools.ts';
import { until } from '../../../fakes/until.ts';

describe('the processes of a run', () => {
  let tools: TestTools;
  let directory: string;
  let started: ChildProcess[];

  beforeEach(() => {
    tools = makeTools();
    directory = path.join(tools.stateDir, 'run');
    started = [];
  });

  afterEach(async () => {
    for (const child of started) {
      if (child.pid !== undefined && isGroupLeader(child.pid)) process.kill(-child.pid, 'SIGKILL');
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
    tools.remove();
  });

  it('are those with its HOME, and nobody else', async () => {
    const own = await start('sleep 1000', `${directory}/home`);
    await start('sleep 1000', `${directory}/home2`);
    await start('sleep 1000', `${directory}x/home`);
    expect(pidsOf(null)).toEqual([own]);
  });

  it('are also those in the session of one of them, whatever their environment says', async () => {
    const leader = await start('env -i sleep 1000 & wait', `${directory}/home`, true);
    const pids = await until('both are there', () => (pidsOf(null).length === 2 ? pidsOf(null) : null));
    expect(pids).toContain(leader);
  });

  it('are its runner and all in the session of its runner', async () => {
    const runner = await start('env -i sleep 1000 & wait', '/', true);
    const identity = { pid: runner, start_time: readStat(runner)?.startTime ?? '' };
    await until('both are there', () => pidsOf(identity).length === 2);
    expect(pidsOf({ ...identity, start_time: '1' })).toEqual([]);
  });

  it('are never we ourselves or our own session', async () => {
    const sibling = await start('sleep 1000', '/');
    const own = ownIdentity();
    expect(pidsOf(own)).toEqual([]);
    expect(pidsOf({ pid: sibling, start_time: readStat(sibling)?.startTime ?? '' })).toEqual([sibling]);
  });

  it('are killed, and gone then', async () => {
    const pid = await start('sleep 1000', `${directory}/home`);
    expect(killMembers(members(null))).toEqual([]);
    await until('it is gone', () => pidsOf(null).length === 0);
    expect(readStat(pid)?.state ?? 'Z').toBe('Z');
  });

  it('are not confused with a process that has got their pid', async () => {
    const pid = await start('sleep 1000', '/');
    expect(signalMember({ pid, startTime: '1' }, 'SIGKILL')).toBe(true);
    expect(readStat(pid)?.state).not.toBe('Z');
    expect(started[0]?.signalCode).toBeNull();
  });

  function members(runner: { readonly pid: number; readonly start_time: string } | null) {
    const identity = runner === null ? null : { ...runner, boot_id: readBootId(), at: '2026-11-21T00:00:00.000Z' };
    return findMembers([{ directory, started: identity }]).get(directory) ?? [];
  }

  function pidsOf(runner: { readonly pid: number; readonly start_time: string } | null): number[] {
    return members(runner).map((member) => member.pid);
  }

  async function start(script: string, home: string, detached = false): Promise<number> {
    const exec = detached ? script : `exec ${script}`;
    const child = spawn('bash', ['-c', exec], {
      env: { PATH: '/usr/bin:/bin', HOME: home },
      detached,
      stdio: 'ignore',
    });
    started.push(child);
    await once(child, 'spawn');
    return child.pid ?? 0;
  }
});

function isGroupLeader(pid: number): boolean {
  return readStat(pid)?.group === pid;
}
