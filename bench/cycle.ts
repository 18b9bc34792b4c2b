import { action, FORMULA, makeOps } from './ops.ts';
import { type Figure, median, timed } from './table.ts';

/** Cost of a look at the ops repo, by the number of finished actions that lie in it. */
export async function benchCycle(finished: number): Promise<readonly Figure[]> {
  const ops = await makeOps();
  try {
    await ops.commit(
      new Map([
        ['vault/policy.toml', '[tiers]\n'],
        ['vault/formulas/bench.toml', FORMULA],
      ]),
    );
    const files = new Map<string, string>();
    for (let index = 0; index < finished; index += 1) {
      files.set(`vault/actions/done-${index}.toml`, action(`done-${index}`));
      files.set(`vault/actions/done-${index}.result.json`, `{ "id": "done-${index}", "exit_code": 0 }\n`);
    }
    await ops.commit(files);
    const wired = await ops.wire();
    try {
      const first = await timed(() => wired.watcher.look());
      const idle: number[] = [];
      for (let round = 0; round < 15; round += 1) idle.push((await timed(() => wired.watcher.look())).ms);
      const changed: number[] = [];
      for (let round = 0; round < 9; round += 1) {
        await ops.commit(new Map([[`notes/${round}.md`, `${round}\n`]]));
        changed.push((await timed(() => wired.watcher.look())).ms);
      }
      const of = `with ${finished} finished actions`;
      return [
        { name: `first look, clone included, ${of}`, value: first.ms, unit: 'ms', target: null },
        { name: `idle look ${of}`, value: median(idle), unit: 'ms', target: 'same at every size' },
        { name: `look after a push ${of}`, value: median(changed), unit: 'ms', target: 'same at every size' },
      ];
    } finally {
      await wired.close();
    }
  } finally {
    await ops.remove();
  }
}
