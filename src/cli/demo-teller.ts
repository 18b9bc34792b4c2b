import type { Result } from '../domain/result.ts';
import type { Reason } from '../domain/run.ts';
import { type Io, paint, quoted } from './io.ts';

/** Tells the story as it happens: one line a change, and on a terminal a bar while something runs. */
export interface Teller {
  readonly step: (id: string, state: string, why: Reason | null) => void;
  readonly result: (result: Result) => void;
  end(): void;
}

const SAYS: Readonly<Record<string, string>> = {
  granting: 'mints a single-use ticket for exactly the secrets it names',
  claiming: 'claims the attempt in the journal',
  dispatching: 'starts the run',
  running: 'runs',
  revoking: 'makes sure that its access is gone',
  collecting: 'keeps its output',
  recording: 'commits the result',
};

export function createTeller(io: Io, silent: boolean): Teller {
  const started = performance.now();
  const running = new Map<string, number>();
  const bar = io.stdout.isTTY === true && !silent;
  const timer = bar ? setInterval(() => io.stdout.write(barLine(io, running)), 100) : undefined;

  function say(id: string, text: string): void {
    if (silent) return;
    const at = `${((performance.now() - started) / 1000).toFixed(1)} s`.padStart(7);
    const clear = bar ? '\r\u001b[K' : '';
    io.stdout.write(`${clear}${paint(io, 'dim', at)}  ${paint(io, 'cyan', id.padEnd(14))} ${text}\n`);
  }

  return {
    step(id, state, why) {
      if (state === 'running') running.set(id, performance.now());
      else running.delete(id);
      say(id, why === null ? (SAYS[state] ?? state) : `${state}, but: ${quoted(why.message)}`);
    },
    result({ id, outcome, exit_code, reason, output }) {
      running.delete(id);
      const masked = Object.entries(output?.masked ?? {}).map(([name, count]) => `${name} masked ${count} times`);
      const why = reason === null ? masked.join(', ') : quoted(reason.message);
      const mark = paint(io, outcome === 'succeeded' ? 'green' : 'red', outcome);
      say(id, `${mark} (exit code ${exit_code})${why === '' ? '' : `: ${why}`}`);
    },
    end() {
      clearInterval(timer);
      if (bar) io.stdout.write('\r\u001b[K');
    },
  };
}

const WIDTH = 24;

/** Nobody knows how long it will take, so the bar only shows that something moves, and for how long. */
function barLine(io: Io, running: ReadonlyMap<string, number>): string {
  if (running.size === 0) return '\r\u001b[K';
  const since = performance.now() - Math.min(...running.values());
  const at = Math.floor(since / 100) % (2 * WIDTH);
  const place = at < WIDTH ? at : 2 * WIDTH - at - 1;
  const cells = Array.from({ length: WIDTH }, (_, index) => (Math.abs(index - place) < 3 ? '━' : '─')).join('');
  const names = [...running.keys()].join(', ');
  return `\r\u001b[K         ${paint(io, 'green', cells)} ${names} ${(since / 1000).toFixed(1)} s`;
}
