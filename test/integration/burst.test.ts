import path from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { actionText, countingFormula, type DaemonBench, makeDaemonBench, POLICY } from '../fakes/daemon-bench.ts';
import { GitHttpServer } from '../fakes/git-http-server.ts';
import { git, Writer } from '../fakes/git-repo.ts';

let bench: DaemonBench;
let server: GitHttpServer;

afterEach(async () => {
  await bench.remove();
  await server.close();
});

it('R11: 200 actions at once give one execution and one result each, in at most 20 pushes, while another writer pushes', async () => {
  bench = await makeDaemonBench();
  server = await GitHttpServer.start({ root: bench.dir });
  await bench.writeConfig({ url: `${server.origin}/ops.git` });
  const ids = Array.from({ length: 200 }, (_, index) => `burst-${String(index).padStart(3, '0')}`);
  await bench.push({
    'vault/policy.toml': POLICY,
    'vault/formulas/count.toml': countingFormula(bench, 'count'),
    ...Object.fromEntries(ids.map((id) => [`vault/actions/${id}.toml`, actionText(id, 'count')])),
  });
  const other = otherWriter(bench);
  const program = bench.start(['run', '--once', '--json']);
  const { code } = await program.ended;
  const pushedByOther = await other.stop();

  expect({ code, stderr: code === 0 ? '' : program.stderr() }).toEqual({ code: 0, stderr: '' });
  const results = await bench.results();
  expect([...results.keys()].toSorted()).toEqual(ids);
  expect([...results.values()].filter(({ outcome }) => outcome !== 'succeeded')).toEqual([]);
  const executions = await bench.executions();
  expect(ids.filter((id) => executions.get(id) !== 1)).toEqual([]);
  const landed = await resultCommits(bench);
  expect(landed.length).toBeLessThanOrEqual(20);
  expect(landed.length).toBeGreaterThan(0);
  expect(pushedByOther).toBeGreaterThan(3);
}, 120_000);

/** Somebody else who pushes a note every 200 ms, rebuilding when the dispatcher was first. */
function otherWriter(of: DaemonBench): { stop: () => Promise<number> } {
  const stopping = new AbortController();
  let landed = 0;
  const work = (async () => {
    const writer = await Writer.open(of.remote, path.join(of.dir, 'other.git'));
    for (let note = 0; !stopping.signal.aborted; note += 1) {
      await writer.pull();
      await writer.commit({ [`notes/${note}.md`]: `note ${note}\n` });
      await writer.push().then(
        () => {
          landed += 1;
        },
        () => undefined,
      );
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  })();
  return {
    stop: async () => {
      stopping.abort();
      await work;
      return landed;
    },
  };
}

/** Commits of the branch that brought results: each was one landed push. */
async function resultCommits(of: DaemonBench): Promise<readonly string[]> {
  const args = ['log', '--format=%H', '--diff-filter=A', 'main', '--', ':(glob)vault/actions/*.result.json'];
  return (await git(args, { GIT_DIR: of.remote })).split('\n').filter((line) => line !== '');
}
