import { Command } from 'commander';
import type { Plan } from '../domain/plan.ts';
import { InvalidError, UsageError } from '../errors.ts';
import type { TreeEntry } from '../ports/ops-repo.ts';
import { plannedAt } from '../story/planned.ts';
import type { Candidate } from '../story/world.ts';
import type { CliCommand } from './command.ts';
import { describeForeign, foreignAmong, stepsOfForeign } from './foreign-action.ts';
import { EXIT, type ExitCode, type GlobalOptions, type Io, paint, printJson, printLine, quoted } from './io.ts';
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
import { type DoubtfulCancel, doubtfulCancels } from './observed-cancel.ts';
import { describeLive } from './observed-live.ts';
import { planOne, printFacts, printTagCommand } from './plan-facts.ts';
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

interface Told extends Explained {
  /** The committed cancel request that does not count (yet). */
  readonly cancel: DoubtfulCancel | null;
  /** Of an action that waits, what `plan` says of its file; null: it waits no more, or its file can't be read. */
  readonly plan: Plan | null;
}

async function why(io: Io, options: GlobalOptions, id: string): Promise<ExitCode> {
  return observe(io, options, async (observed) => {
    const action = await explainWithPlan(id, observed, io.signal);
    const explained = { ...action, cancel: (await doubtfulCancels(observed, io.signal, id))[0] ?? null };
    if (options.json === true) printJson(io, explained);
    else printExplained(io, explained, observed);
    return classOf(explained.reason?.code ?? '') === 'transient' ? EXIT.unreachable : EXIT.ok;
  });
}

async function explainWithPlan(id: string, observed: Observed, signal: AbortSignal): Promise<Omit<Told, 'cancel'>> {
  const begun = await explainBegun(id, observed, signal);
  if (begun !== null) return { ...begun, plan: null };
  const candidate = candidateOf(id, observed);
  return {
    ...(await explainWaiting(candidate, observed, signal)),
    plan: await planOf(candidate, observed, signal),
  };
}

/** Throws UsageError (ERR_NOT_FOUND) for an id of no action. */
export async function explainAction(id: string, observed: Observed, signal: AbortSignal): Promise<Explained> {
  const begun = await explainBegun(id, observed, signal);
  return begun ?? explainWaiting(candidateOf(id, observed), observed, signal);
}

/** null: it has no result and no live attempt. */
async function explainBegun(id: string, observed: Observed, signal: AbortSignal): Promise<Explained | null> {
  const world = observed.world();
  const recorded = world.catalogue.result(id);
  if (recorded !== null) {
    const foreign = (await foreignAmong([recorded], observed, signal)).get(recorded.path);
    if (foreign === undefined) return explainRecorded(id, recorded, observed);
    // What somebody else wrote ends no attempt of ours.
    const live = await explainLive(id, observed);
    if (live !== null) return live;
    return { ...(await describeForeign(id, foreign, observed)), steps: await stepsOfForeign(id, foreign, observed) };
  }
  return explainLive(id, observed);
}

function candidateOf(id: string, observed: Observed): Candidate {
  const candidate = [...observed.world().candidates.values()].find((one) => one.id === id);
  if (candidate === undefined) throw notFound(id, observed);
  return candidate;
}

async function explainWaiting(candidate: Candidate, observed: Observed, signal: AbortSignal): Promise<Explained> {
  const verdict = (await judgeAll([candidate], observed, signal)).get(candidate.id);
  if (verdict === undefined) throw notFound(candidate.id, observed);
  const action = await describeWaiting(candidate, verdict, observed);
  return { ...action, steps: await stepsOfWaiting(candidate, verdict, observed) };
}

/** null: what lies there is no regular file, or too large to be read. */
async function planOf({ file }: Candidate, observed: Observed, signal: AbortSignal): Promise<Plan | null> {
  const { entry, path } = file;
  if (entry.kind !== 'file' && entry.kind !== 'executable') return null;
  try {
    const bytes = await observed.context.opsRepo.read(entry.oid);
    return await planOne(plannedAt(path, bytes, observed.context), observed, signal);
  } catch (error) {
    if (error instanceof InvalidError && error.code === 'ERR_FILE_SIZE') return null;
    throw error;
  }
}

async function explainRecorded(id: string, at: TreeEntry, observed: Observed): Promise<Explained> {
  const result = await readResult(at, observed);
  if (result === null) return { ...describeUnreadable(id), steps: unknownSteps() };
  return { ...describeResult(result), steps: stepsOfResult(result) };
}

async function explainLive(id: string, observed: Observed): Promise<Explained | null> {
  const entry = (await liveEntries(observed)).find((live) => live.id === id);
  if (entry === undefined) return null;
  const action = await describeLive(entry, observed);
  return { ...action, steps: await stepsOfLive(entry, action, observed) };
}

function notFound(id: string, observed: Observed): UsageError {
  const world = observed.world();
  const once = world.everRecorded(id) ? '; the branch once held a result of it' : '';
  const { branch } = observed.config.ops_repo;
  return new UsageError('ERR_NOT_FOUND', `there is no action ${JSON.stringify(id)} on ${branch}${once}`);
}

const STEP_COLUMN = 18;

function printExplained(io: Io, explained: Told, observed: Observed): void {
  const { id, state, since, reason, cancel } = explained;
  const now = observed.context.clock.now();
  const when = since === null ? '' : ` since ${since} (${ago(since, now)})`;
  printLine(io, `${paint(io, 'bold', quoted(id))}: ${paint(io, stateColour(state), state)}${when}`);
  if (reason !== null) {
    printBeside(io, margin(2), `${reason.message} [${reason.code}]`);
    if (reason.hint !== null) printBeside(io, margin(2), reason.hint, 'dim');
  } else if (state === 'ready') printLine(io, '  Nothing holds it back: it starts when a daemon looks next.');
  if (cancel !== null) printBeside(io, margin(2), `${cancel.message} [${cancel.code}]`, 'yellow');
  printLine(io);
  for (const step of explained.steps) printStep(io, step);
  if (explained.plan === null) return;
  printLine(io);
  printFacts(io, explained.plan);
  printTagCommand(io, explained.plan, observed);
}

function printStep(io: Io, { step, state, code, message, evidence }: Step): void {
  const head = `  ${paint(io, stateColour(state), state.padEnd(8))} ${step.padEnd(STEP_COLUMN - 2)} `;
  const width = 10 + STEP_COLUMN;
  const said = message === null ? [] : [code === null ? message : `${message} [${code}]`];
  // Only of the evidence: what a message says may have to be copied.
  const lines = [...said, ...linesOf(evidence).map(shortIds)];
  if (lines.length === 0) printLine(io, head.trimEnd());
  for (const [index, line] of lines.entries()) printBeside(io, index === 0 ? { head, width } : margin(width), line);
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
