import path from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { actionText, countingFormula, type DaemonBench, makeDaemonBench, POLICY } from '../fakes/daemon-bench.ts';
import { GitHttpServer } from '../fakes/git-http-server.ts';
import { git, Writer } from '../fakes/git-repo.ts';
import { seeded } from '../fakes/kill-moments.ts';
import { until } from '../fakes/until.ts';

let bench: DaemonBench;
let server: GitHttpServer;

afterEach(async () => {
  await bench.remove();
  await server.close();
});

const OUTAGE_MS = 20_000;

it('R11: 50 other writers, every twentieth answer to a push lost and an outage give one result commit an action, and nothing runs twice', async () => {
  bench = await makeDaemonBench();
  server = await GitHttpServer.start({ root: bench.dir });
  await bench.writeConfig({ url: `${server.origin}/ops.git` });
  await bench.push({ 'vault/policy.toml': POLICY, 'vault/formulas/count.toml': countingFormula(bench, 'count') });
  const stopping = new AbortController();
  const random = seeded(11);
  const writers = Array.from({ length: 50 }, (_, index) => keepWriting(index, stopping.signal, random));
  const loser = loseEveryTwentieth(stopping.signal);
  const daemon = bench.start(['run']);

  const ids: string[] = [];
  for (let batch = 0; batch < 4; batch += 1) {
    const files: Record<string, string> = {};
    for (let index = 0; index < 10; index += 1) {
      const id = `result-${batch}-${index}`;
      ids.push(id);
      files[`vault/actions/${id}.toml`] = actionText(id, 'count');
    }
    await bench.pushOnTip(files);
    await until('something runs', async () => (await bench.executions()).size > batch * 5, 120_000);
    if (batch === 1) {
      server.unavailable = Number.POSITIVE_INFINITY;
      await new Promise((resolve) => setTimeout(resolve, OUTAGE_MS));
      server.unavailable = 0;
    }
  }
  await until('all have a result', async () => (await bench.results()).size === ids.length, 240_000);
  stopping.abort();
  const pushed = (await Promise.all(writers)).reduce((a, b) => a + b, 0);
  const lost = await loser;
  daemon.child.kill('SIGTERM');
  expect((await daemon.ended).code).toBe(0);

  const executions = await bench.executions();
  expect(ids.filter((id) => executions.get(id) !== 1)).toEqual([]);
  expect([...(await bench.results()).values()].filter(({ outcome }) => outcome !== 'succeeded')).toEqual([]);
  const args = [
    'log',
    '--format=',
    '--name-status',
    '--no-renames',
    'main',
    '--',
    ':(glob)vault/actions/*.result.json',
  ];
  const touched = (await git(args, { GIT_DIR: bench.remote })).split('\n').filter((line) => line !== '');
  expect(touched.toSorted()).toEqual(ids.map((id) => `A\tvault/actions/${id}.result.json`).toSorted());
  expect([pushed > 50, lost > 0]).toEqual([true, true]);
});

/** Answers how many pushes of this writer landed. */
async function keepWriting(index: number, signal: AbortSignal, random: () => number): Promise<number> {
  const writer = await Writer.open(bench.remote, path.join(bench.dir, `writer-${index}.git`));
  let landed = 0;
  while (!signal.aborted) {
    await new Promise((resolve) => setTimeout(resolve, 5000 + random() * 10_000));
    await writer.pull();
    await writer.commit({ [`notes/${index}-${landed}.md`]: 'a note\n' });
    await writer.push().then(
      () => {
        landed += 1;
      },
      () => undefined,
    );
  }
  return landed;
}

/** Answers how many answers to pushes of the dispatcher were lost. */
async function loseEveryTwentieth(signal: AbortSignal): Promise<number> {
  let lost = 0;
  for (let next = 5; !signal.aborted; ) {
    if (server.receivedPushes >= next) {
      server.dropPushAnswers = 1;
      next += 20;
      lost += 1;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return lost;
}
