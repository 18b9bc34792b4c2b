import path from 'node:path';
import { actionText, countingFormula, type DaemonBench, POLICY } from './daemon-bench.ts';
import { git } from './git-repo.ts';

/** What came of all that was asked for. `wrong` names each action that did not come to exactly its one true end. */
export interface Figures {
  readonly asked: number;
  readonly executions: number;
  readonly results: number;
  readonly wrong: readonly string[];
}

type Ending = 'succeeded' | 'failed';

/** Actions as they are asked for, to be held against what was executed and recorded. */
export class Tally {
  readonly #expected = new Map<string, Ending>();
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  get size(): number {
    return this.#expected.size;
  }

  get ids(): readonly string[] {
    return [...this.#expected.keys()];
  }

  /** So many more action files; about every fourth is one that fails. */
  more(count: number, random: () => number): Record<string, string> {
    const files: Record<string, string> = {};
    for (let index = 0; index < count; index += 1) {
      const id = `${this.#prefix}-${String(this.#expected.size).padStart(4, '0')}`;
      const formula = random() < 0.75 ? 'count' : 'fail';
      this.#expected.set(id, formula === 'count' ? 'succeeded' : 'failed');
      files[`vault/actions/${id}.toml`] = actionText(id, formula);
    }
    return files;
  }

  async areRecorded(bench: DaemonBench): Promise<boolean> {
    const added = new Set((await resultChanges(bench)).map((line) => line.slice(2)));
    return this.ids.every((id) => added.has(resultFile(id)));
  }

  /** Executions, results and the commits that brought them. */
  async compare(bench: DaemonBench): Promise<Figures> {
    const results = await bench.results();
    const executions = await bench.executions();
    const changes = await resultChanges(bench);
    const wrong: string[] = [];
    for (const [id, outcome] of this.#expected) {
      const got = results.get(id)?.outcome ?? 'no result';
      if (got !== outcome) wrong.push(`${id}: ${got} instead of ${outcome}, because ${results.get(id)?.reason?.code}`);
      if (executions.get(id) !== 1) wrong.push(`${id}: executed ${executions.get(id) ?? 0} times`);
      const touched = changes.filter((line) => line.slice(2) === resultFile(id)).map((line) => line.slice(0, 1));
      if (touched.join() !== 'A') wrong.push(`${id}: its result was touched by [${touched.join()}]`);
    }
    const runs = [...executions.values()].reduce((sum, each) => sum + each, 0);
    return { asked: this.size, executions: runs, results: results.size, wrong };
  }

  /**
   * The same where a daemon took over another one's attempts without its notes: then nobody may be able to say whether a
   * run began, and `unknown` with at most one execution is true.
   */
  async compareWithUnknown(bench: DaemonBench): Promise<Omit<Figures, 'executions'>> {
    const found = await bench.results();
    const { asked, results, wrong } = await this.compare(bench);
    const isUnknown = (line: string) => found.get(line.split(':')[0] ?? '')?.outcome === 'unknown';
    const isTrue = (line: string) => isUnknown(line) && /unknown instead of|executed 0 times/.test(line);
    return { asked, results, wrong: wrong.filter((line) => !isTrue(line)) };
  }
}

/** The formulas that a tally asks for. `pause`: how long each execution takes, in seconds. */
export function tallyFormulas(bench: DaemonBench, pause = 0.2): Record<string, string> {
  return {
    'vault/policy.toml': POLICY,
    'vault/formulas/count.toml': countingFormula(bench, 'count', `; sleep ${pause}`),
    'vault/formulas/fail.toml': countingFormula(bench, 'fail', '; exit 3'),
  };
}

/** The same as scripts, for a stage. `dir`: that of its bench. */
export function tallyScripts(dir: string): Readonly<Record<string, { readonly script: string }>> {
  const count = `echo $EDGE_ACTION_ID >> ${path.join(dir, 'executions')}`;
  return { count: { script: `${count}; sleep 0.2` }, fail: { script: `${count}; exit 3` } };
}

const resultFile = (id: string): string => `vault/actions/${id}.result.json`;

/** Each change of a result file in the history of the branch, as `A<tab>path`, newest first. */
async function resultChanges(bench: DaemonBench): Promise<readonly string[]> {
  const only = ':(glob)vault/actions/*.result.json';
  const args = ['log', '--format=', '--name-status', '--no-renames', '--first-parent', '-m', 'main', '--', only];
  return (await git(args, { GIT_DIR: bench.remote })).split('\n').filter((line) => line !== '');
}
