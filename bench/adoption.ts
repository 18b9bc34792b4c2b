import { spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { createDaemon } from '../src/daemon/daemon.ts';
import { attemptToken, isActionId } from '../src/domain/ids.ts';
import { action, FORMULA, makeOps } from './ops.ts';
import type { Figure } from './table.ts';

/** Start-up of a daemon whose journal holds `count` live claims, until it follows every one of them again. */
export async function benchAdoption(count: number): Promise<readonly Figure[]> {
  const ops = await makeOps();
  // One process stands for all runs: what is measured is the dispatcher, not the machine.
  const sleeper = spawn('sleep', ['600'], { stdio: 'ignore' });
  const stop = new AbortController();
  try {
    const files = new Map<string, string>([
      ['vault/policy.toml', '[tiers]\n'],
      ['vault/formulas/bench.toml', FORMULA],
    ]);
    for (let index = 0; index < count; index += 1) files.set(`vault/actions/a-${index}.toml`, action(`a-${index}`));
    await ops.commit(files);
    const before = await ops.wire();
    await claimAll(before, ops.dir, count, sleeper.pid ?? 0);
    await before.close();
    const wired = await ops.wire();
    const start = performance.now();
    const running = new Set<string>();
    let done = () => {};
    const all = new Promise<void>((resolve) => {
      done = resolve;
    });
    const daemon = createDaemon({
      ...wired,
      onStep: (id, state) => {
        if (state === 'running') running.add(id);
        if (running.size === count) done();
      },
    });
    const work = daemon.run(stop.signal);
    await all;
    const ms = performance.now() - start;
    const megabytes = process.memoryUsage().rss / 2 ** 20;
    stop.abort();
    await work;
    await wired.close();
    return [
      { name: `start with ${count} live claims until all are followed`, value: ms, unit: 'ms', target: '5000 ms' },
      { name: `memory (RSS) with ${count} live claims`, value: megabytes, unit: 'MiB', target: null },
    ];
  } finally {
    stop.abort();
    sleeper.kill();
    await ops.remove();
  }
}

type Wired = Awaited<ReturnType<Awaited<ReturnType<typeof makeOps>>['wire']>>;

async function claimAll(wired: Wired, dir: string, count: number, pid: number): Promise<void> {
  const world = await wired.watcher.look();
  const started = {
    pid,
    start_time: (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ')[19] ?? '',
    boot_id: (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim(),
    at: new Date().toISOString(),
  };
  const claims = Array.from({ length: count }, async (_, index) => {
    const id = `a-${index}`;
    const candidate = isActionId(id) ? world.candidates.get(id) : undefined;
    if (candidate === undefined) throw new Error('an action is missing');
    const blob = candidate.file.entry.oid;
    const token = attemptToken({ repo: world.tips.root, id: candidate.id, blob, attempt: 1 });
    const run = path.join(dir, 'state/runs', token);
    await mkdir(run, { recursive: true });
    await writeFile(path.join(run, 'started'), JSON.stringify(started));
    return wired.parts.journal.claim(
      {
        id,
        blob,
        formula_blob: blob,
        attempt: 1,
        token,
        dispatcher: 'bench',
        instance: wired.parts.settings.instance,
        claimed_at: new Date().toISOString(),
        timeout_seconds: 3600,
        state: 'claimed',
        engine: 'subprocess',
        group: null,
        payload_sha256: '0'.repeat(64),
        accessors: [],
      },
      { groupLimit: 1, replaces: null, now: new Date() },
    );
  });
  await Promise.all(claims);
}
