import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Check } from '../domain/check.ts';
import type { JournalEntry } from '../domain/journal.ts';
import { signedAt } from '../domain/lease.ts';
import { StalledError, UsageError } from '../errors.ts';
import { wire } from '../wiring.ts';
import { EXIT, type ExitCode, type GlobalOptions, type Io, printJson, printLine, quoted } from './io.ts';
import { configOf, quietLog } from './observe.ts';
import { type Looked, takeIfSilent } from './take-over-look.ts';

/**
 * Gives what the dispatcher `from`, which the operator knows to be dead, holds in the journal to the dispatcher of this
 * configuration: the daemon that runs, or the next one, goes on with it. Safe to repeat. Throws UsageError for the own
 * name; TransientError and StalledError of the journal.
 */
export async function takeOver(io: Io, options: GlobalOptions, from: string): Promise<ExitCode> {
  const config = configOf(io, options);
  const to = config.dispatcher.name;
  if (from === to) {
    throw new UsageError('ERR_USAGE', `${to} is the dispatcher of this configuration itself`, {
      hint: 'Start it: what it held goes on by itself. To give it to another one, call this with the configuration of that.',
    });
  }
  const scratch = await mkdtemp(path.join(tmpdir(), 'edge-take-over-'));
  try {
    const wired = await wire(config, { log: quietLog(io), cacheDir: scratch, looksOnly: true });
    try {
      const { journal, clock, engine } = wired.parts;
      const onLook = (ms: number): void => {
        if (options.json !== true) io.stderr.write(`looking for signs of life for ${ms / 1000} seconds\n`);
      };
      const wish = { from, to, engine: engine.kind, signal: io.signal, onLook };
      const looked = await takeIfSilent(journal, clock, wish);
      if (looked.kind === 'interrupted') throw new StalledError('ERR_SHUTTING_DOWN', 'interrupted; nothing was taken');
      return tell(io, options, { from, to, looked });
    } finally {
      await wired.close();
    }
  } finally {
    await rm(scratch, { recursive: true, force: true, maxRetries: 3 });
  }
}

interface Told {
  readonly from: string;
  readonly to: string;
  readonly looked: Looked;
}

function tell(io: Io, options: GlobalOptions, told: Told): ExitCode {
  const { from, to, looked } = told;
  const check = checkOf(told);
  if (options.json === true) {
    const taken = looked.kind === 'taken';
    printJson(io, {
      checks: [check],
      from,
      to,
      taken,
      entries: looked.entries.map(shown),
      left: looked.left.map(shown),
    });
  } else {
    printLine(io, quoted(check.message));
    for (const entry of looked.entries) printLine(io, lineOf(entry));
    for (const entry of looked.left) printLine(io, `${lineOf(entry)}, left alone: it runs on ${quoted(entry.engine)}`);
    if (check.fix !== null) printLine(io, quoted(check.fix));
  }
  return check.ok ? EXIT.ok : EXIT.problems;
}

function checkOf({ from, to, looked }: Told): Check {
  const name = 'take-over';
  const count = looked.entries.length;
  switch (looked.kind) {
    case 'taken':
      return { name, ok: true, code: null, message: `${to} goes on with what ${from} held (${count})`, fix: null };
    case 'alive': {
      const message = `${from} lives: what it holds (${count}) changed during the look; nothing was taken`;
      return {
        name,
        ok: false,
        code: 'ERR_CLAIMED_ELSEWHERE',
        message,
        fix: `Stop ${from} first, then call this again.`,
      };
    }
    case 'nothing':
    case 'interrupted':
      return { name, ok: true, code: null, message: `${from} holds nothing that ${to} could go on with`, fix: null };
  }
}

function shown({ id, attempt, engine, claimed_at, lease_until }: JournalEntry) {
  const last_sign = lease_until === undefined ? null : signedAt(lease_until);
  return { id, attempt, engine, claimed_at, last_sign };
}

function lineOf(entry: JournalEntry): string {
  const { id, attempt, claimed_at, last_sign } = shown(entry);
  const sign = last_sign === null ? 'it gives no signs of life' : `last sign of life ${last_sign}`;
  return `  ${quoted(id)}, attempt ${attempt}, claimed ${claimed_at}, ${sign}`;
}
