import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError } from 'commander';
import { lockHolder, openStateDir, stateLayout } from '../adapters/state-dir.ts';
import type { Config } from '../config.ts';
import { createDaemon } from '../daemon/daemon.ts';
import type { Reason } from '../domain/run.ts';
import { StalledError, UsageError } from '../errors.ts';
import { wire } from '../wiring.ts';
import type { CliCommand } from './command.ts';
import { explainAction } from './explain-action.ts';
import { EXIT, type ExitCode, type GlobalOptions, type Io, printJson, printLine, quoted } from './io.ts';
import { configOf, lookAgain, type Observed, observe, quietLog, requireOwnStateDir, userName } from './observe.ts';
import { describeEnded, type ObservedAction } from './observed-action.ts';
import { isSidecarText, type SidecarTarget, sidecarRun, sidecarTarget } from './sidecar-target.ts';

export function cancelCommand(): CliCommand {
  const command = new Command('cancel')
    .description('stops an action in any state, or a live sidecar, and waits for the confirmation')
    .argument('<id>', 'id of the action; or sidecar/<formula>-<issue>')
    .option('--reason <text>', 'why, for its result')
    .option('--wait <seconds>', 'how long a running daemon may take', seconds, 300);
  return { command, run: (io, options, [id]) => cancel(io, options, String(id)) };
}

interface CancelOptions extends GlobalOptions {
  readonly reason?: string;
  readonly wait?: number;
}

function seconds(text: string): number {
  if (/^[0-9]{1,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('must be a whole number of seconds');
}

async function cancel(io: Io, options: CancelOptions, given: string): Promise<ExitCode> {
  const config = configOf(io, options);
  return observe(io, options, async (observed) => {
    if (!isSidecarText(given)) return cancelRun(io, options, { id: given, observed, config });
    const target = sidecarTarget(given, observed);
    const { id, state } = await sidecarRun(target, observed);
    const isRun = state === 'live' || (state === 'recorded' && target.n !== null);
    return isRun ? cancelRun(io, options, { id, observed, config }) : tellIdle(io, options, target);
  });
}

async function cancelRun(io: Io, options: CancelOptions, wish: Wish): Promise<ExitCode> {
  const { id, observed, config } = wish;
  const before = await explainAction(id, observed, io.signal);
  if (isOver(id, observed)) return tell(io, options, before, OVER);
  const entry = observed.world().journal.entries.get(id);
  if (entry !== undefined && entry.dispatcher !== config.dispatcher.name) {
    return tell(io, options, before, `dispatcher ${entry.dispatcher} runs it: cancel it there`);
  }
  requireOwnStateDir(stateLayout(config.dispatcher.state_dir).root);
  const by = userName();
  const request = { kind: 'cancel' as const, by, message: options.reason ?? `cancelled by ${by}` };
  await observed.context.control.requestStop(id, request);
  return confirm(io, options, wish);
}

/** A sidecar that does not run can't be stopped; whether it will run is for its labels to say. */
function tellIdle(io: Io, options: CancelOptions, { formula, issue, rule }: SidecarTarget): ExitCode {
  const id = `sidecar/${formula}-${issue}`;
  const on = `${rule?.repo ?? 'issue '}#${issue}`;
  if (options.json === true) {
    const none = { reason: null, since: null, tier: null, blob: null, attempt: null, run: null };
    printJson(io, {
      id,
      state: 'idle',
      ...none,
      formula,
      issue: { repo: rule?.repo ?? null, number: issue, url: null },
    });
    return EXIT.ok;
  }
  printLine(io, quoted(`${OVER}: no run of ${formula} on ${on} is live`));
  const labels = rule?.labels.join(', ') ?? '';
  const how = `To keep ${formula} away from this issue, take one of these labels off it: ${labels}.`;
  if (labels !== '') printLine(io, quoted(how));
  return EXIT.ok;
}

interface Wish {
  readonly id: string;
  readonly observed: Observed;
  readonly config: Config;
}

/** Until the result is in the repo: by the daemon that holds the state_dir, or else by ourselves. */
async function confirm(io: Io, options: CancelOptions, wish: Wish): Promise<ExitCode> {
  const { id, observed, config } = wish;
  const waitMs = (options.wait ?? 300) * 1000;
  const end = performance.now() + waitMs;
  say(io, options, `asked for ${id} to be stopped`);
  for (let said = false; !io.signal.aborted; ) {
    const carried = await carryOut(io, wish);
    if (carried.trouble !== null) throw new StalledError(carried.trouble.code, carried.trouble.message);
    await lookAgain(observed, io.signal);
    const recorded = observed.world().catalogue.result(id);
    if (recorded !== null) {
      // A wish that came as the action ended would else lie there for ever.
      await observed.context.control.clearStop(id);
      return tell(io, options, await describeEnded(id, recorded, observed), null);
    }
    if (carried.done || performance.now() > end) break;
    if (!said) say(io, options, `waiting for process ${carried.holder ?? ''} to stop it`);
    said = true;
    await sleep(Math.min(POLL_MS, config.dispatcher.poll_seconds * 1000), undefined, { signal: io.signal }).catch(
      () => undefined,
    );
  }
  const now = await explainAction(id, observed, new AbortController().signal);
  return tell(io, options, now, 'not confirmed yet; the wish stays, and a running daemon carries it out');
}

const POLL_MS = 1000;

interface Carried {
  /** False: another process holds the state_dir, and it is its task. */
  readonly done: boolean;
  readonly holder: number | null;
  /** What was away, so that it could not be done. */
  readonly trouble: Reason | null;
}

/** Takes the state_dir, if no daemon has it, and takes just this action to its end. */
async function carryOut(io: Io, { id, config }: Wish): Promise<Carried> {
  const dir = config.dispatcher.state_dir;
  const holder = await lockHolder(dir);
  if (holder !== null) return { done: false, holder: holder.pid, trouble: null };
  const state = await openStateDir(dir).catch((error: unknown) => {
    if (error instanceof UsageError && error.code === 'ERR_LOCKED') return null;
    throw error;
  });
  if (state === null) return { done: false, holder: null, trouble: null };
  try {
    const wired = await wire(config, { log: quietLog(io), cacheDir: state.layout.cache });
    try {
      // Other attempts of ours are taken up as well; they are let go as soon as this one has ended.
      const ended = new AbortController();
      const onResult = (result: { readonly id: string }) => {
        if (result.id === id) ended.abort();
      };
      // Nothing new is started, so that no issue has to be looked at.
      const { sidecars: _issues, ...parts } = wired;
      const daemon = createDaemon({ ...parts, onResult });
      const { unreachable } = await daemon.once(AbortSignal.any([io.signal, ended.signal]), new Set([id]));
      return { done: true, holder: null, trouble: unreachable[0] ?? null };
    } finally {
      await wired.close();
    }
  } finally {
    await state.release();
  }
}

/** It has its result, or had one: nothing of it can run. */
function isOver(id: string, { world }: Observed): boolean {
  const { catalogue, journal } = world();
  if (catalogue.result(id) !== null) return true;
  return !journal.entries.has(id) && (world().everRecorded(id) || journal.ended.has(id));
}

const OVER = 'nothing to stop';

function say(io: Io, options: GlobalOptions, text: string): void {
  if (options.json !== true) io.stderr.write(`${quoted(text)}\n`);
}

/** `note`: why it was not stopped by us; null: it was. */
function tell(io: Io, options: GlobalOptions, action: ObservedAction, note: string | null): ExitCode {
  const { id, state, reason, since, tier, formula, blob, attempt, run, issue } = action;
  if (options.json === true) printJson(io, { id, state, reason, since, tier, formula, blob, attempt, run, issue });
  else {
    const why = reason === null ? '' : `: ${reason.message} [${reason.code}]`;
    printLine(io, quoted(`${id} is ${state}${since === null ? '' : ` since ${since}`}${why}`));
    if (note !== null) printLine(io, quoted(note));
  }
  return note === null || note === OVER ? EXIT.ok : EXIT.problems;
}
