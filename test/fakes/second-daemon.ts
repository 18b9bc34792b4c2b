import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { DaemonBench } from './daemon-bench.ts';

/** Another daemon on the same ops repo, with a state directory of its own. `name`: `[dispatcher] name`. */
export function startBeside(bench: DaemonBench, name: string, stateName: string): ReturnType<DaemonBench['start']> {
  // Beside the first one and beginning like it, so that the bench puts its runs away too.
  const stateDir = `${bench.stateDir}-${stateName}`;
  mkdirSync(path.join(stateDir, 'secrets'), { recursive: true });
  return bench.start(['run'], { EDGE_DISPATCHER_NAME: name, EDGE_DISPATCHER_STATE_DIR: stateDir });
}
