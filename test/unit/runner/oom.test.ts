import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { oomKills } from '../../../src/runner/oom.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'oom-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('the count of OOM kills (E1)', () => {
  it('is read from the own group of cgroup v2', () => {
    put('proc/self/cgroup', '0::/jobs/one\n');
    put('sys/fs/cgroup/jobs/one/memory.events', 'low 0\nhigh 3\noom 2\noom_kill 2\noom_group_kill 0\n');
    put('sys/fs/cgroup/memory.events', 'oom_kill 9\n');
    expect(oomKills(root)).toBe(2);
  });

  it('is read from the top where a container shows its own group there', () => {
    put('proc/self/cgroup', '0::/\n');
    put('sys/fs/cgroup/memory.events', 'oom_kill 1\n');
    expect(oomKills(root)).toBe(1);
    put('proc/self/cgroup', '0::/docker/abc\n');
    expect(oomKills(root)).toBe(1);
  });

  it('is read from the memory controller of cgroup v1', () => {
    put('proc/self/cgroup', '5:cpu:/\n4:cpuset,memory:/jobs/one\n0::/\n');
    put('sys/fs/cgroup/memory/jobs/one/memory.oom_control', 'oom_kill_disable 0\nunder_oom 0\noom_kill 4\n');
    expect(oomKills(root)).toBe(4);
  });

  it('is not known where the kernel does not say', () => {
    expect(oomKills(root)).toBeNull();
    put('proc/self/cgroup', '0::/\n');
    expect(oomKills(root)).toBeNull();
  });
});

function put(file: string, content: string): void {
  mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
  writeFileSync(path.join(root, file), content);
}
