import { actionText, countingFormula, type DaemonBench, POLICY } from './daemon-bench.ts';
import { until } from './until.ts';

/** A small seeded generator (mulberry32), so that a moment that failed can be asked for again. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export interface KillReport {
  readonly killed: number;
  readonly wrong: readonly string[];
}

/**
 * Starts the real daemon, kills it with SIGKILL at `moments` seeded moments (new actions are committed before each), lets
 * a last one finish, and compares executions and results with what was asked for.
 */
export async function killAt(bench: DaemonBench, moments: number, seed: number): Promise<KillReport> {
  const random = seeded(seed);
  await bench.push({
    'vault/policy.toml': POLICY,
    'vault/formulas/count.toml': countingFormula(bench, 'count', '; sleep 0.2'),
    'vault/formulas/fail.toml': countingFormula(bench, 'fail', '; exit 3'),
  });
  const expected = new Map<string, string>();
  let killed = 0;
  for (let moment = 0; moment < moments; moment += 1) {
    await bench.pushOnTip(newActions(moment, random, expected));
    if (await killOnce(bench, Math.floor(random() * 1500))) killed += 1;
  }
  const last = bench.start(['run', '--once', '--json']);
  const { code } = await last.ended;
  const wrong = code === 0 ? [] : [`the last start ended with ${code}: ${last.stderr()}`];
  return { killed, wrong: [...wrong, ...(await compare(bench, expected))] };
}

function newActions(moment: number, random: () => number, expected: Map<string, string>): Record<string, string> {
  const files: Record<string, string> = {};
  for (let index = 0; index < 2; index += 1) {
    const id = `kill-${String(moment).padStart(3, '0')}-${index}`;
    const formula = random() < 0.75 ? 'count' : 'fail';
    expected.set(id, formula === 'count' ? 'succeeded' : 'failed');
    files[`vault/actions/${id}.toml`] = actionText(id, formula);
  }
  return files;
}

/** True: it lived until the kill. The moment counts from when it watches. */
async function killOnce(bench: DaemonBench, afterMs: number): Promise<boolean> {
  const daemon = bench.start(['run']);
  const isUp = () => daemon.stderr().includes('watching') || daemon.child.exitCode !== null;
  await until('it is up', isUp, 30_000);
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  daemon.child.kill('SIGKILL');
  return (await daemon.ended).signal === 'SIGKILL';
}

/** A kill of the daemon touches no run: each has its true end. */
async function compare(bench: DaemonBench, expected: ReadonlyMap<string, string>): Promise<readonly string[]> {
  const results = await bench.results();
  const executions = await bench.executions();
  const wrong: string[] = [];
  for (const [id, outcome] of expected) {
    const got = results.get(id)?.outcome ?? 'no result';
    if (got !== outcome) wrong.push(`${id}: ${got} instead of ${outcome}`);
    if (executions.get(id) !== 1) wrong.push(`${id}: executed ${executions.get(id) ?? 0} times`);
  }
  return wrong;
}
