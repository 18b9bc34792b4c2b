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
    const files: Record<string, string> = {};
    for (let index = 0; index < 2; index += 1) {
      const id = `kill-${String(moment).padStart(3, '0')}-${index}`;
      const formula = random() < 0.75 ? 'count' : 'fail';
      expected.set(id, formula === 'count' ? 'succeeded' : 'failed');
      files[`vault/actions/${id}.toml`] = actionText(id, formula);
    }
    await bench.pushOnTip(files);
    const daemon = bench.start(['run']);
    await until(
      'it is up or the moment has come',
      () => daemon.stderr().includes('watching') || daemon.child.exitCode !== null,
    );
    await new Promise((resolve) => setTimeout(resolve, Math.floor(random() * 1500)));
    daemon.child.kill('SIGKILL');
    if ((await daemon.ended).signal === 'SIGKILL') killed += 1;
  }
  const last = bench.start(['run', '--once', '--json']);
  const { code } = await last.ended;
  const wrong = code === 0 ? [] : [`the last start ended with ${code}: ${last.stderr()}`];
  const results = await bench.results();
  const executions = await bench.executions();
  for (const [id, outcome] of expected) {
    const got = results.get(id)?.outcome ?? 'no result';
    const count = executions.get(id) ?? 0;
    // A kill may hit a runner's host only by way of the daemon: runs live on, so each has its true end.
    if (got !== outcome) wrong.push(`${id}: ${got} instead of ${outcome}`);
    if (count !== 1) wrong.push(`${id}: executed ${count} times`);
  }
  return { killed, wrong };
}
