import { createDaemon } from '../src/daemon/daemon.ts';
import { action, FORMULA, makeOps } from './ops.ts';
import { type Figure, timed } from './table.ts';

/** Actions per second through the whole story, with `true` as the command. */
export async function benchThroughput(count: number): Promise<readonly Figure[]> {
  const { ms, commits } = await runAll(count, FORMULA, 'succeeded');
  return [
    {
      name: `whole story, ${count} actions with the command \`true\``,
      value: count / (ms / 1000),
      unit: 'actions/s',
      target: null,
    },
    { name: `landed pushes of results for ${count} actions`, value: commits, unit: 'pushes', target: null },
  ];
}

/** Results alone: every action names a formula that is not there. */
export async function benchResults(count: number): Promise<readonly Figure[]> {
  const { ms, commits } = await runAll(count, null, 'invalid');
  return [
    { name: `${count} results without a run`, value: ms, unit: 'ms', target: null },
    { name: `landed pushes for ${count} results`, value: commits, unit: 'pushes', target: 'a few' },
  ];
}

async function runAll(count: number, formula: string | null, outcome: string) {
  const ops = await makeOps();
  try {
    const files = new Map<string, string>([['vault/policy.toml', '[tiers]\n']]);
    if (formula !== null) files.set('vault/formulas/bench.toml', formula);
    for (let index = 0; index < count; index += 1) files.set(`vault/actions/a-${index}.toml`, action(`a-${index}`));
    await ops.commit(files);
    const wired = await ops.wire('[limits]\ndispatches_per_minute = 100000\n');
    try {
      const { ms, value } = await timed(() => createDaemon(wired).once(new AbortController().signal));
      const wrong = value.results.filter((result) => result.outcome !== outcome);
      if (value.results.length !== count || wrong.length > 0) throw new Error(`not every action ended as ${outcome}`);
      const log = await ops.git(
        'log',
        '--format=%H',
        '--diff-filter=A',
        'main',
        '--',
        ':(glob)vault/actions/*.result.json',
      );
      return { ms, commits: log.split('\n').length };
    } finally {
      await wired.close();
    }
  } finally {
    await ops.remove();
  }
}
