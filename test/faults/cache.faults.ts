import { chmod, open, readdir, rm, stat, truncate } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { type DaemonBench, makeDaemonBench } from '../fakes/daemon-bench.ts';
import { faultOption } from '../fakes/fault-options.ts';
import { seeded } from '../fakes/kill-moments.ts';
import { Tally, tallyFormulas } from '../fakes/tally.ts';
import { until } from '../fakes/until.ts';

let bench: DaemonBench;

afterEach(() => bench.remove());

const seed = faultOption('SEED', 3);

type Damage = 'flip-packs' | 'flip-objects' | 'empty-refs' | 'empty-head' | 'no-repo' | 'no-cache';
const DAMAGES: readonly Damage[] = ['flip-packs', 'flip-objects', 'empty-refs', 'empty-head', 'no-repo', 'no-cache'];

it(`R4: a cache that is damaged or taken away while the daemon runs and between its starts is made anew, and no action is lost or done twice (seed ${seed})`, async () => {
  bench = await makeDaemonBench();
  const random = seeded(seed);
  const tally = new Tally('cache');
  await bench.push(tallyFormulas(bench));
  for (const damage of DAMAGES) {
    // A process makes its clone anew once a minute at most, so each is given one damage, and none that nobody found yet.
    await harm(path.join(bench.stateDir, 'cache'), 'no-cache', random);
    await withDaemon(async (daemon) => {
      await goOn({ daemon, tally, random }, 'it has begun');
      await harm(path.join(bench.stateDir, 'cache'), damage, random);
      await goOn({ daemon, tally, random }, `it has recovered from ${damage}`);
    });
    await harm(path.join(bench.stateDir, 'cache'), damage, random);
    await withDaemon((daemon) => goOn({ daemon, tally, random }, `it has begun in spite of ${damage}`));
  }
  const { size } = tally;
  expect(await tally.compare(bench)).toEqual({ asked: size, executions: size, results: size, wrong: [] });
});

async function withDaemon(work: (daemon: Going['daemon']) => Promise<void>): Promise<void> {
  const daemon = bench.start(['run']);
  await work(daemon);
  daemon.child.kill('SIGTERM');
  expect((await daemon.ended).code).toBe(0);
}

interface Going {
  readonly daemon: ReturnType<DaemonBench['start']>;
  readonly tally: Tally;
  readonly random: () => number;
}

/** Two more actions come to their ends. */
async function goOn({ daemon, tally, random }: Going, what: string): Promise<void> {
  await bench.pushOnTip(tally.more(2, random));
  await until(what, () => tally.areRecorded(bench), 60_000).catch((error: unknown) => {
    throw new Error(daemon.stderr().slice(-6_000), { cause: error });
  });
}

async function harm(cache: string, damage: Damage, random: () => number): Promise<void> {
  // A daemon that runs goes on writing there.
  if (damage === 'no-cache') return rm(cache, { recursive: true, force: true, maxRetries: 20, retryDelay: 20 });
  const names = await readdir(cache, { recursive: true });
  const repos = names.filter((name) => path.basename(name) === 'repo.git').map((name) => path.join(cache, name));
  for (const repo of repos) await harmRepo(repo, damage, random);
}

async function harmRepo(repo: string, damage: Exclude<Damage, 'no-cache'>, random: () => number): Promise<void> {
  if (damage === 'no-repo') return rm(repo, { recursive: true, force: true, maxRetries: 20, retryDelay: 20 });
  if (damage === 'empty-head') return truncate(path.join(repo, 'HEAD'));
  const folder = path.join(repo, damage === 'empty-refs' ? 'refs' : 'objects');
  for (const file of await filesBeneath(folder)) {
    const isPack = file.includes('/pack/');
    if (damage === 'empty-refs') await truncate(file);
    else if (isPack === (damage === 'flip-packs')) await flip(file, random);
  }
}

async function filesBeneath(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => path.join(parentPath, name));
}

/** Some bytes of it become others. */
async function flip(file: string, random: () => number): Promise<void> {
  const { size } = await stat(file).catch(() => ({ size: 0 }));
  if (size === 0) return;
  await chmod(file, 0o600);
  const handle = await open(file, 'r+');
  for (let count = 0; count < 8; count += 1) {
    await handle.write(Buffer.from([Math.floor(random() * 256)]), 0, 1, Math.floor(random() * size));
  }
  await handle.close();
}
