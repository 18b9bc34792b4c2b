import { Command } from 'commander';
import { UsageError } from '../errors.ts';
import type { CliCommand } from './command.ts';
import { EXIT, type ExitCode, type GlobalOptions, type Io, paint, printJson, printLine } from './io.ts';
import { ago, margin, printBeside, stateColour } from './layout.ts';
import { type Observed, observe } from './observe.ts';
import {
  classOf,
  describeResult,
  describeUnreadable,
  describeWaiting,
  judgeAll,
  liveEntries,
  type ObservedAction,
  readResult,
} from './observed-action.ts';
import { describeLive } from './observed-live.ts';
import { stepsOfResult } from './why-ended.ts';
import { stepsOfLive } from './why-live.ts';
import { type Step, unknownSteps } from './why-steps.ts';
import { stepsOfWaiting } from './why-waiting.ts';

export function whyCommand(): CliCommand {
  const command = new Command('why')
    .description('why an action is where it is: each step with its evidence')
    .argument('<id>', 'id of the action');
  return { command, run: (io, options, [id]) => why(io, options, String(id)) };
}

export interface Explained extends ObservedAction {
  readonly steps: readonly Step[];
}

async function why(io: Io, options: GlobalOptions, id: string): Promise<ExitCode> {
  return observe(io, options, async (observed) => {
    const explained = await explainAction(id, observed, io.signal);
    if (options.json === true) printJson(io, explained);
    else printExplained(io, explained, observed);
    return classOf(explained.reason?.code ?? '') === 'transient' ? EXIT.unreachable : EXIT.ok;
  });
}

/** Throws UsageError (ERR_NOT_FOUND) for an id of no action. */
export async function explainAction(id: string, observed: Observed, signal: AbortSignal): Promise<Explained> {
  const world = observed.world();
  const recorded = world.catalogue.result(id);
  if (recorded !== null) {
    const result = await readResult(recorded, observed);
    if (result === null) return { ...describeUnreadable(id), steps: unknownSteps() };
    return { ...describeResult(result), steps: stepsOfResult(result) };
  }
  const entry = (await liveEntries(observed)).find((live) => live.id === id);
  if (entry !== undefined) {
    const action = await describeLive(entry, observed);
    return { ...action, steps: await stepsOfLive(entry, action, observed) };
  }
  const candidate = [...world.candidates.values()].find((one) => one.id === id);
  if (candidate === undefined) throw notFound(id, observed);
  const verdict = (await judgeAll([candidate], observed, signal)).get(id);
  if (verdict === undefined) throw notFound(id, observed);
  const action = await describeWaiting(candidate, verdict, observed);
  return { ...action, steps: await stepsOfWaiting(candidate, verdict, observed) };
}

function notFound(id: string, observed: Observed): UsageError {
  const world = observed.world();
  const once = world.everRecorded(id) ? '; the branch once held a result of it' : '';
  const { branch } = observed.config.ops_repo;
  return new UsageError('ERR_NOT_FOUND', `there is no action ${JSON.stringify(id)} on ${branch}${once}`);
}

const STEP_COLUMN = 18;

function printExplained(io: Io, explained: Explained, observed: Observed): void {
  const { id, state, since, reason } = explained;
  const now = observed.context.clock.now();
  const when = since === null ? '' : ` since ${since} (${ago(since, now)})`;
  printLine(io, `${paint(io, 'bold', id)}: ${paint(io, stateColour(state), state)}${when}`);
  if (reason !== null) {
    printBeside(io, margin(2), `${reason.message} [${reason.code}]`);
    if (reason.hint !== null) printBeside(io, margin(2), reason.hint, 'dim');
  } else if (state === 'ready') printLine(io, '  Nothing holds it back: it starts when a daemon looks next.');
  printLine(io);
  for (const step of explained.steps) printStep(io, step);
}

function printStep(io: Io, { step, state, code, message, evidence }: Step): void {
  const head = `  ${paint(io, stateColour(state), state.padEnd(8))} ${step.padEnd(STEP_COLUMN - 2)} `;
  const width = 10 + STEP_COLUMN;
  const lines = [...(message === null ? [] : [code === null ? message : `${message} [${code}]`]), ...linesOf(evidence)];
  if (lines.length === 0) printLine(io, head.trimEnd());
  for (const [index, line] of lines.entries())
    printBeside(io, index === 0 ? { head, width } : margin(width), shortIds(line));
}

/** `key: value`; a list of tables has one line each. */
function linesOf(evidence: Step['evidence']): readonly string[] {
  return Object.entries(evidence).flatMap(([key, value]) => {
    if (value === null) return [];
    if (typeof value !== 'object') return [`${key}: ${value}`];
    const texts = value.map((each) => (typeof each === 'object' ? plain(each) : each));
    if (value.some((each) => typeof each === 'object')) return texts.map((text) => `${key}: ${text}`);
    return [`${key}: ${texts.join(', ') || 'none'}`];
  });
}

/** Object ids as people read them; --json has them whole. */
const shortIds = (text: string) => text.replace(/\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b/g, (id) => id.slice(0, 12));

function plain(table: Readonly<Record<string, string | number | null>>): string {
  return Object.entries(table)
    .flatMap(([key, value]) => (value === null ? [] : [`${key} ${value}`]))
    .join(', ');
}
