import type { Behaviour } from './dummy-engine.ts';
import { type Process, type ProcessOptions, StoryBench } from './story-bench.ts';

/** edge-1 and edge-2, which name each other as peers, on one repo, engine and access. */
export function peer(bench: StoryBench, dispatcher: string, options: ProcessOptions = {}): Process {
  const peers = ['edge-1', 'edge-2', 'edge-3'].filter((name) => name !== dispatcher);
  return bench.process({ dispatcher, ...options, settings: { peers, ...options.settings } });
}

/** A bench with one action, which names a secret. */
export function oneAction(behaviour: Behaviour = {}): StoryBench {
  const bench = new StoryBench();
  bench.access.secrets.set('TOKEN', 'present');
  bench.addFormula('tidy', { secrets: ['TOKEN'], concurrency: 'one' });
  bench.addAction('a', { secrets: ['TOKEN'] });
  bench.engine.behaviours.set('a', { runMs: 600_000, ...behaviour });
  return bench;
}

/** Starts the daemon; it is stopped with the answer. */
export function started({ daemon }: Process): () => void {
  const stop = new AbortController();
  void daemon.run(stop.signal);
  return () => stop.abort();
}

/** Lets time pass until the result is there; the most is in minutes. */
export async function untilResult(bench: StoryBench, id: string, minutes = 60): Promise<void> {
  for (let minute = 0; minute < minutes * 6 && bench.result(id) === null; minute += 1) await bench.pass(10_000);
}

export const whole = (bench: StoryBench, id = 'a') => ({
  executions: bench.engine.executions.length,
  results: bench.recorded(id),
  outcome: bench.result(id)?.outcome ?? null,
  entries: bench.journal.state.entries.size,
  loose: bench.access.loose,
});
