import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { opsWith } from './cycle.ts';
import type { BenchOps } from './ops.ts';
import { type Figure, timed } from './table.ts';

const execute = promisify(execFile);
const COUNT = 1000;
const ROUNDS = 5;

/** So many results recorded at once, beside a commit and a push of the same files by hand. */
export async function benchPush(): Promise<readonly Figure[]> {
  const ops = await opsWith(10_000);
  const wired = await ops.wire();
  try {
    await wired.watcher.look();
    const ours: number[] = [];
    const bare: number[] = [];
    let pushes = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const tip = await ops.git('rev-parse', 'main');
      const results = resultsOf(`a${round}`);
      const publish = ([file, content]: readonly [string, string]) =>
        wired.parts.opsRepo.publish({ path: file, content: Buffer.from(content) }, `Result of ${file}`);
      ours.push((await timed(() => Promise.all(results.map(publish)))).ms);
      pushes += Number(await ops.git('rev-list', '--count', `${tip}..main`));
      bare.push(await bareRound(ops, resultsOf(`b${round}`), round));
      // We begin where a clone that is up to date begins, too; and the pause after the push before is no cost of the next.
      await wired.watcher.look();
      await new Promise((resolve) => setTimeout(resolve, 2_000));
    }
    const [best, plain] = [middle(ours), middle(bare)];
    return [
      { name: `pushes for ${COUNT} results`, value: pushes / ROUNDS, unit: 'pushes', target: '1', baseline: 1 },
      { name: `recording ${COUNT} results`, value: best, unit: 'ms', target: null, baseline: plain },
      {
        name: `recording ${COUNT} results to a bare commit and push`,
        value: best / plain,
        unit: 'times',
        target: '1.3 times',
      },
    ];
  } finally {
    await wired.close();
    await ops.remove();
  }
}

const middle = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** Of the size that results have. */
function resultsOf(name: string): readonly (readonly [string, string])[] {
  return Array.from({ length: COUNT }, (_, index) => {
    const id = `${name}-${index}`;
    return [
      `vault/actions/${id}.result.json`,
      `${JSON.stringify({ id, exit_code: 0, log: 'x'.repeat(1500) }, null, 2)}\n`,
    ];
  });
}

/** In a work tree of its own that is up to date: write the files, add, commit, push. */
async function bareRound(
  ops: BenchOps,
  results: readonly (readonly [string, string])[],
  round: number,
): Promise<number> {
  const clone = path.join(ops.dir, `plain-${round}`);
  const git = (...args: readonly string[]) => execute('git', ['-C', clone, ...args], { maxBuffer: 1 << 28 });
  await execute('git', ['clone', '--quiet', ops.remote, clone]);
  await git('config', 'user.name', 'Bench');
  await git('config', 'user.email', 'bench@localhost');
  await mkdir(path.join(clone, 'vault/actions'), { recursive: true });
  const { ms } = await timed(async () => {
    for (const [file, content] of results) await writeFile(path.join(clone, file), content);
    await git('add', 'vault/actions');
    await git('commit', '--quiet', '--message', `${results.length} results`);
    await git('push', '--quiet', 'origin', 'HEAD:main');
  });
  return ms;
}
