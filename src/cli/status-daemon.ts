import { readDaemonState } from '../adapters/daemon-state.ts';
import { lockHolder } from '../adapters/state-dir.ts';
import { type DaemonState, isFresh } from '../domain/daemon-state.ts';
import type { Io } from './io.ts';
import { ago, margin, printBeside } from './layout.ts';
import type { Observed } from './observe.ts';

/** What the running daemon said of itself a moment ago; null: none runs here, or it says nothing. */
export async function daemonSays({ daemon, blind, config, context }: Observed): Promise<DaemonState | null> {
  if (daemon === null || blind) return null;
  return saidBy(daemon, config.dispatcher.state_dir, context.clock.now());
}

/** The same for who could not look at the world. Never throws: what is away is what has to be told. */
export async function daemonSaysIn(stateDir: string, now: Date): Promise<DaemonState | null> {
  try {
    const daemon = await lockHolder(stateDir);
    return daemon === null ? null : await saidBy(daemon, stateDir, now);
  } catch {
    return null;
  }
}

async function saidBy({ pid }: { readonly pid: number }, stateDir: string, now: Date): Promise<DaemonState | null> {
  const state = await readDaemonState(stateDir);
  return state !== null && state.pid === pid && isFresh(state, now) ? state : null;
}

/** Nothing where all is well. */
export function printDaemonSays(io: Io, state: DaemonState | null, now: Date): void {
  for (const line of state === null ? [] : troublesOf(state, now)) printBeside(io, margin(0), line, 'yellow');
}

export function troublesOf(
  { at, away, unready, queued, starts_per_minute }: DaemonState,
  now: Date,
): readonly string[] {
  const said = `the daemon said ${ago(at, now)} ago: `;
  const known = new Set(away.map(({ reason }) => reason.code));
  return [
    ...away.map(({ service, since, next_try, failed, reason }) => {
      const until = next_try === null ? '' : `, left alone until ${next_try}`;
      const calls = `${failed} ${failed === 1 ? 'call' : 'calls'} failed`;
      return `${said}${service} does not answer since ${since}, ${calls}${until}: ${reason.message}`;
    }),
    ...unready
      .filter(({ code }) => !known.has(code))
      .map(({ code, message }) => `${said}not ready: ${message} [${code}]`),
    ...(queued === 0
      ? []
      : [`${said}${queued} wait for a place in the engine: ${starts_per_minute} may start in a minute`]),
  ];
}
