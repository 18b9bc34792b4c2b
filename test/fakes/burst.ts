import path from 'node:path';
import type { Result } from '../../src/domain/result.ts';
import { actionText, countingFormula, type DaemonBench, makeDaemonBench, POLICY } from './daemon-bench.ts';
import { GitHttpServer } from './git-http-server.ts';
import { git, Writer } from './git-repo.ts';

/** What came of many actions that were pushed at once. */
export interface Burst {
  readonly code: number | null;
  readonly stderr: string;
  readonly ids: readonly string[];
  readonly results: ReadonlyMap<string, Result>;
  readonly executions: ReadonlyMap<string, number>;
  /** Pushes of results that landed. */
  readonly pushes: number;
  /** Pushes of somebody else that landed meanwhile. */
  readonly pushedByOther: number;
}

/** `count` actions over a git server with another writer beside, taken to their end by the built program. */
export async function burst(count: number): Promise<Burst> {
  const bench = await makeDaemonBench();
  const server = await GitHttpServer.start({ root: bench.dir });
  try {
    await bench.writeConfig({ url: `${server.origin}/ops.git` });
    const ids = Array.from({ length: count }, (_, index) => `burst-${String(index).padStart(3, '0')}`);
    await bench.push({
      'vault/policy.toml': POLICY,
      'vault/formulas/count.toml': countingFormula(bench, 'count'),
      ...Object.fromEntries(ids.map((id) => [`vault/actions/${id}.toml`, actionText(id, 'count')])),
    });
    const other = otherWriter(bench);
    const program = bench.start(['run', '--once', '--json']);
    const { code } = await program.ended;
    const pushedByOther = await other.stop();
    return {
      code,
      stderr: code === 0 ? '' : program.stderr(),
      ids,
      results: await bench.results(),
      executions: await bench.executions(),
      pushes: (await resultCommits(bench)).length,
      pushedByOther,
    };
  } finally {
    await bench.remove();
    await server.close();
  }
}

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
