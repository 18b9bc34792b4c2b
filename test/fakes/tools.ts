import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock } from '../../src/adapters/clock.ts';
import type { Tools, Wanted } from '../../src/adapters/factory.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type { Log } from '../../src/ports/log.ts';

/** A temporary folder as state_dir, a log that says nothing and a clock that can be moved forward. */
export interface TestTools extends Tools {
  /** Moves wall and monotonic time. */
  advance(seconds: number): void;
  remove(): void;
}

/** Of a dispatcher with default limits and no mounts. */
export const WANTED: Wanted = {
  mounts: {},
  logBytes: 64 * 1024 ** 2,
  inFlight: 16,
  dispatchesPerMinute: 600,
  placementSeconds: 600,
  vaultAddress: null,
  vaultNamespace: '',
  sidecar: null,
  engineNamespace: 'agents',
  wrapSeconds: 720,
};

const quiet = (): void => undefined;
/** A log that says nothing. */
export const silentLog: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet };

export function makeTools(): TestTools {
  let ahead = 0;
  const clock: Clock = {
    ...systemClock,
    now: () => new Date(Date.now() + ahead),
    monotonic: () => performance.now() + ahead,
  };
  const stateDir = mkdtempSync(path.join(tmpdir(), 'adapters-'));
  return {
    stateDir,
    clock,
    token: null,
    wanted: WANTED,
    log: silentLog,
    advance: (seconds) => {
      ahead += seconds * 1000;
    },
    remove: () => rmSync(stateDir, { recursive: true, force: true }),
  };
}
