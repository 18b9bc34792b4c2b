import { readFileSync } from 'node:fs';
import path from 'node:path';

/**
 * How often the kernel killed for want of memory in this process's control group, since the group was made; null where
 * it does not say. Works with cgroup v2 and v1, inside of containers too. `root`: `/`, but for tests.
 */
export function oomKills(root = '/'): number | null {
  const groups = readText(path.join(root, 'proc/self/cgroup')).split('\n');
  for (const file of groups.flatMap((line) => counterFiles(line))) {
    const [, count] = /^oom_kill (\d+)$/m.exec(readText(path.join(root, 'sys/fs/cgroup', file))) ?? [];
    if (count !== undefined) return Number(count);
  }
  return null;
}

/** In a container the group's path is that of the host, and the group itself lies at the top. */
function counterFiles(line: string): string[] {
  const [, controllers = '', group = ''] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
  if (line.startsWith('0::')) return [path.join(group, 'memory.events'), 'memory.events'];
  if (!controllers.split(',').includes('memory')) return [];
  return [path.join('memory', group, 'memory.oom_control'), 'memory/memory.oom_control'];
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
