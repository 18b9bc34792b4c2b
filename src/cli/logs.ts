import { Command } from 'commander';
import { isAttemptToken } from '../domain/ids.ts';
import type { Result } from '../domain/result.ts';
import { UsageError } from '../errors.ts';
import type { LogStream } from '../ports/engine.ts';
import type { CliCommand } from './command.ts';
import { candidateOf, explainAction, explainBegun } from './explain-action.ts';
import { EXIT, type ExitCode, type GlobalOptions, type Io, printJson, quoted } from './io.ts';
import { LogOutput } from './log-output.ts';
import { keptPlace, livePlaces, measured, type Taken, tellPlaces } from './log-places.ts';
import { lookAgain, type Observed, observe } from './observe.ts';
import { describeUnreadable, liveEntries, type ObservedAction, readResult } from './observed-action.ts';
import { elsewhere, findRun } from './observed-live.ts';
import { isSidecarText, sidecarRun, sidecarTarget } from './sidecar-target.ts';
import { explainIssue } from './why-issue.ts';

export function logsCommand(): CliCommand {
  const command = new Command('logs')
    .description('output of an action or sidecar, live if it is running')
    .argument('<id>', 'id of the action; or sidecar/<formula>-<issue>')
    .option('-f, --follow', 'go on until it has ended');
  return { command, run: (io, options, [id]) => logs(io, options, String(id)) };
}

interface LogsOptions extends GlobalOptions {
  readonly follow?: boolean;
}

/**
 * From the store once the result is recorded, from the engine before. The two hold the same bytes, so a run that ends
 * while it is followed goes on from the store where the engine was left.
 */
async function logs(io: Io, options: LogsOptions, given: string): Promise<ExitCode> {
  return observe(io, options, async (observed) => {
    const id = isSidecarText(given) ? (await sidecarRun(sidecarTarget(given, observed), observed)).id : given;
    const shown: Shown = { output: new LogOutput(io, options.json === true), observed, options };
    for (let turn = 0; !io.signal.aborted; turn += 1) {
      const recorded = observed.world().catalogue.result(id);
      if (recorded !== null) {
        const result = await readResult(recorded, observed);
        return result === null ? notReadable(io, id) : fromStore(io, result, shown);
      }
      const isLive = await fromEngine(id, shown, io.signal);
      if (isOver(isLive, shown)) return isLive ? soFar(io, id, shown) : notStarted(io, id, shown);
      if (turn === 0 && !isLive) tellWaiting(io, await stateOf(id, observed, io.signal));
      await waitForMore(isLive, shown, io.signal);
    }
    return EXIT.ok;
  });
}

interface Shown {
  readonly output: LogOutput;
  readonly observed: Observed;
  readonly options: LogsOptions;
}

/** Nothing more is wanted; or nothing more comes, because the run has ended and nobody here records its result. */
function isOver(isLive: boolean, { output, observed, options }: Shown): boolean {
  return options.follow !== true || (isLive && output.hasEnded && observed.daemon === null);
}

async function waitForMore(isLive: boolean, { output, observed }: Shown, signal: AbortSignal): Promise<void> {
  await observed.context.clock.sleep(isLive ? LIVE_POLL_MS : PENDING_POLL_MS, signal);
  if (output.isDue(LOOK_EVERY_MS)) await lookAgain(observed, signal);
}

const LIVE_POLL_MS = 250;
const PENDING_POLL_MS = 1000;
const LOOK_EVERY_MS = 1000;

/** What the engine has beyond what was shown; false: it knows of no run. */
async function fromEngine(id: string, { output, observed }: Shown, signal: AbortSignal): Promise<boolean> {
  const entry = (await liveEntries(observed)).find((live) => live.id === id);
  if (entry === undefined) {
    // Throws for an id of no action; of a sidecar that has not begun, its issue was asked for before.
    if (!isSidecarText(id)) candidateOf(id, observed);
    return false;
  }
  const { run } = await findRun(entry, observed);
  if (run === null || !isAttemptToken(entry.token)) return output.offset('stdout') + output.offset('stderr') > 0;
  const record = await observed.context.records.load(entry.token);
  output.begin(entry.token, record?.trailer_key ?? null);
  for (const stream of ['stdout', 'stderr'] as const) {
    const bytes = observed.context.engine.logs(run, stream, output.offset(stream), signal);
    for await (const chunk of bytes) await output.put(stream, chunk);
  }
  return true;
}

async function fromStore(io: Io, result: Result, shown: Shown): Promise<ExitCode> {
  const { output, options } = shown;
  if (result.attempt === null || result.output === null) {
    const why = result.reason === null ? '' : `: ${result.reason.message} [${result.reason.code}]`;
    if (options.json === true) printJson(io, output.asJson(result.id, result.outcome, null));
    io.stderr.write(`${quoted(`${result.id} is ${result.outcome} and left no output${why}`)}\n`);
    return EXIT.problems;
  }
  // A stderr that was not proven whole may still end with the runner's own words.
  output.begin(result.attempt.token, null);
  const { stdout, stderr } = result.output;
  const { dispatcher, limits } = shown.observed.config;
  const here = { dispatcher: dispatcher.name, logBytes: limits.log_bytes };
  const places = {
    stdout: keptPlace(stdout, result, await takeStored('stdout', stdout, shown), here),
    stderr: keptPlace(stderr, result, await takeStored('stderr', stderr, shown), here),
  };
  await output.end();
  if (options.json === true) printJson(io, output.asJson(result.id, result.outcome, places));
  const isHere = [places.stdout, places.stderr].every(({ why, complete }) => why === null || !complete);
  const isWhole = [places.stdout, places.stderr].every(({ missing }) => missing === 0);
  if (!isWhole) io.stderr.write(`the end of it, from the result:\n${lines(result.logs)}\n`);
  tellPlaces(io, places);
  return isHere && isWhole ? EXIT.ok : EXIT.problems;
}

/** null: the store has lost it, or is another one. */
async function takeStored(
  stream: LogStream,
  { uri, complete }: NonNullable<Result['output']>[LogStream],
  { output, observed }: Shown,
): Promise<Taken | null> {
  const content = uri === null ? null : await observed.context.store.get(uri);
  if (content === null) return null;
  const whole = measured(content);
  await output.take(stream, whole.content, { isProven: complete });
  return whole.taken();
}

const lines = (text: string) =>
  text
    .split('\n')
    .map((line) => `  ${quoted(line)}`)
    .join('\n');

async function soFar(io: Io, id: string, { output, observed, options }: Shown): Promise<ExitCode> {
  const { hasEnded } = output;
  await output.end();
  const places = await livePlaces(output.token, (stream) => output.bytes(stream), observed);
  if (options.json === true) printJson(io, output.asJson(id, 'running', places));
  const where = hasEnded ? 'has ended, its result is not recorded yet' : 'is running (-f follows it)';
  io.stderr.write(`${id} ${where}; this is what is there now\n`);
  tellPlaces(io, places);
  return EXIT.ok;
}

async function notStarted(io: Io, id: string, { output, observed, options }: Shown): Promise<ExitCode> {
  const entry = observed.world().journal.entries.get(id);
  const there = entry === undefined ? null : elsewhere(entry, observed);
  const now = await stateOf(id, observed, io.signal);
  const told = whyOf({ ...now, reason: there ?? now.reason });
  if (options.json === true) printJson(io, output.asJson(id, now.state, null));
  io.stderr.write(`${quoted(`${id} has no output here yet, it is ${now.state}${told}`)}\n`);
  return EXIT.problems;
}

type State = Pick<ObservedAction, 'id' | 'state' | 'reason'> & { readonly more?: string };

/** Throws UsageError (ERR_NOT_FOUND) for what there is not: an action, an issue (the forge is asked), a rule for it. */
async function stateOf(id: string, observed: Observed, signal: AbortSignal): Promise<State> {
  const begun = isSidecarText(id) ? await explainBegun(id, observed, signal) : null;
  if (begun !== null || !isSidecarText(id)) return begun ?? explainAction(id, observed, signal);
  const { formula, rule, issue } = sidecarTarget(id, observed);
  if (rule === null) throw new UsageError('ERR_NOT_FOUND', `no [[sidecar]] has the formula ${formula} any more`);
  const { reason } = await explainIssue(rule, issue, observed, signal);
  return { id, state: 'pending', reason, more: `: \`why sidecar/${formula}-${issue}\` tells more` };
}

function tellWaiting(io: Io, state: State): void {
  io.stderr.write(`${quoted(`${state.id} is ${state.state}${whyOf(state)}; waiting`)}\n`);
}

function whyOf({ reason, more = '' }: State): string {
  return reason === null ? more : `: ${reason.message} [${reason.code}]`;
}

function notReadable(io: Io, id: string): ExitCode {
  io.stderr.write(`${quoted(describeUnreadable(id).reason?.message ?? id)}\n`);
  return EXIT.problems;
}
